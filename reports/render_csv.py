"""A Table as CSV: one line for each figure, ready for pandas."""

from __future__ import annotations

import csv
import io

from reports.render_json import published_value
from reports.table import Cell, Column, Table, clean

FIELDS = (
    "table",
    "suite",
    "row",
    "title",
    "ceiling",
    "metric",
    "mean",
    "spread",
    "seeds",
    "published",
    "published_status",
    "lower_is_better",
    "protocols",
    "records",
    "signature",
)


def render_csv(table: Table) -> str:
    """Figures in the records' units with all digits; empty where there is none; lists joined by spaces.

    `signature` is the protocol line of the figure, or several joined by ` | ` where protocols are mixed.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            head = [table.name, table.suite, clean(row.key), clean(row.title), str(row.ceiling).lower(), column.key]
            writer.writerow([*head, *_figures(cell, column), _signature(cell, table)])
    return out.getvalue()


def _figures(cell: Cell, column: Column) -> list[str]:
    published = published_value(cell, column)
    return [
        "" if cell.mean is None else repr(cell.mean),
        "" if cell.spread is None else repr(cell.spread),
        " ".join(str(seed) for seed in cell.seeds if seed is not None),
        "" if published is None else repr(published),
        "" if cell.published is None else cell.published.status,
        str(cell.lower_is_better).lower(),
        " ".join(dict.fromkeys(cell.protocols)),
        " ".join(cell.records),
    ]


def _signature(cell: Cell, table: Table) -> str:
    hashes = set(cell.protocols)
    return " | ".join(line for line in table.signatures if line.rpartition("#")[2] in hashes)
