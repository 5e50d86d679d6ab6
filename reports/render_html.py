"""Tables as one HTML page that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from harness.errors import UserError
from reports.layout import Entry, full_caption, lay_out, several, split_interval
from reports.table import MISSING, Cell, Column, Table, clean, measured_text

# StrictUndefined: a name misspelt in the template is an error and no empty cell.
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("reports"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_PICTURES = ("data:image/png;base64,", "data:image/svg+xml;base64,", "data:image/svg+xml,")


def render_html(tables: Table | Sequence[Table], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """A page in the reader's light or dark scheme, the tables one below the other, then the pictures.

    pictures: (caption, data URI of a PNG or SVG) each. A figure's tooltip names its interval and the records
    behind it; both stand below the table too, folded, where they can be read without a mouse, and so do the
    tests. Raises UserError for a picture that is no data URI of a PNG or SVG.
    """
    for caption, uri in pictures:
        if not uri.startswith(_PICTURES):
            raise UserError(
                "a page holds its pictures itself", where=clean(caption), mend="give a data URI of a PNG or SVG"
            )
    shown = several(tables)
    titles = list(dict.fromkeys(clean(table.title) for table in shown))
    return _ENVIRONMENT.get_template("table.html.jinja").render(
        title=", ".join(titles) or "Report",
        sections=[_section(table, _heading(table, len(shown), len(titles))) for table in shown],
        pictures=[(clean(caption), uri) for caption, uri in pictures],
        tooltip=_tooltip,
        split=split_interval,
        clean=clean,
    )


def _heading(table: Table, tables: int, titles: int) -> str:
    """Of one table among others: what the page's title does not say."""
    return "" if tables == 1 else clean(table.suite if titles == 1 else f"{table.title}: {table.suite}")


def _section(table: Table, heading: str) -> dict[str, object]:
    """One table as the template takes it."""
    layout = lay_out(table)
    return {
        "title": heading,
        "caption": clean(full_caption(table)),
        "layout": layout,
        "columns": [group.column for group in layout.groups for _ in group.kinds],
        "rooms": [_room([line.entries[i] for line in layout.lines]) for i in range(len(layout.heads))],
        "notes": [clean(note) for note in table.notes],
        "signatures": [clean(signature) for signature in table.signatures],
        "tests": _tests(table),
        "sources": _sources(table),
    }


def _room(entries: Sequence[Entry]) -> str:
    """The widest text behind a column's figures: a spread, an interval."""
    behind = (space + rest for _, space, rest in (entry.text.partition(" ") for entry in entries))
    return max(behind, key=len, default="")


def _tests(table: Table) -> list[list[str]]:
    """A line for each test, in printed units: column, rows, difference, interval, p, adjusted p, how."""
    columns = {column.key: column for column in table.columns}
    titles = {row.key: row.title for row in table.rows}
    lines = []
    for test in table.tests:
        column = columns[test.column]
        first, second = (clean(titles.get(key, key)) for key in test.rows)
        low, high = (None if end is None else column.text(end * column.scale, True) for end in (test.low, test.high))
        ends = MISSING if low is None or high is None else f"{low} to {high}"
        difference = column.text(test.difference * column.scale, True)
        how = f"{test.test} over {test.unit}" if test.unit not in test.test else test.test
        p_values = [_p(test.p), _p(test.p_holm)]
        lines.append([clean(column.name), f"{first} − {second}", difference, ends, *p_values, clean(how)])
    return lines


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def _sources(table: Table) -> list[list[str]]:
    """A line for each measured figure: row, column, figure, interval, seeds, records."""
    return [
        [
            clean(row.title),
            clean(column.name),
            measured_text(cell, column),
            _interval(cell, column) or MISSING,
            ", ".join(str(seed) for seed in cell.seeds if seed is not None) or MISSING,
            clean(", ".join(cell.records)),
        ]
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.records
    ]


def _interval(cell: Cell, column: Column) -> str:
    one = cell.interval
    if one is None:
        return ""
    low, high = (column.text(end * column.scale) for end in (one.low, one.high))
    return f"{low} to {high} ({100 * one.level:g}%, over {one.unit})"


def _tooltip(entry: Entry, column: Column) -> str:
    """What is behind a figure."""
    cell = entry.cell
    if entry.kind == "published" and cell.published is not None:
        return clean(f"{cell.published.source} ({cell.published.status})")
    if entry.kind == "measured" and cell.records:
        interval = _interval(cell, column)
        return clean((f"interval: {interval}; " if interval else "") + f"records: {', '.join(cell.records)}")
    return ""
