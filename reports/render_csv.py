"""Tables as CSV: one line for each figure, ready for pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from reports.layout import several
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
    "interval_low",
    "interval_high",
    "interval_level",
    "interval_unit",
    "mark",
    "published",
    "published_status",
    "lower_is_better",
    "protocols",
    "records",
    "signature",
)


def render_csv(tables: Table | Sequence[Table]) -> str:
    """Figures in the records' units with all digits; empty where there is none; lists joined by spaces.

    Several tables stand under one another, one header over them. `signature` is the protocol line of the
    figure, or several joined by ` | ` where protocols are mixed.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for table in several(tables):
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                head = [table.name, table.suite, clean(row.key), clean(row.title), str(row.ceiling).lower(), column.key]
                writer.writerow([*head, *_figures(cell, column), _signature(cell, table)])
    return out.getvalue()


def _figures(cell: Cell, column: Column) -> list[str]:
    return [
        "" if cell.mean is None else repr(cell.mean),
        "" if cell.spread is None else repr(cell.spread),
        " ".join(str(seed) for seed in cell.seeds if seed is not None),
        *_interval(cell),
        cell.mark or "",
        _published(cell, column),
        "" if cell.published is None else cell.published.status,
        str(cell.lower_is_better).lower(),
        " ".join(dict.fromkeys(cell.protocols)),
        " ".join(cell.records),
    ]


def _published(cell: Cell, column: Column) -> str:
    """N/A stays N/A, which pandas reads as no number."""
    value = published_value(cell, column)
    if cell.published is None:
        return ""
    return cell.published.text if value is None else repr(value)


def _interval(cell: Cell) -> list[str]:
    one = cell.interval
    return ["", "", "", ""] if one is None else [repr(one.low), repr(one.high), repr(one.level), one.unit]


def _signature(cell: Cell, table: Table) -> str:
    hashes = set(cell.protocols)
    return " | ".join(line for line in table.signatures if line.rpartition("#")[2] in hashes)
