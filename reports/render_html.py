"""A Table as one HTML page that needs nothing from elsewhere."""

from __future__ import annotations

import jinja2

from reports.layout import Entry, full_caption, lay_out
from reports.table import Table, clean

# StrictUndefined: a name misspelt in the template is an error and no empty cell.
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("reports"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render_html(table: Table) -> str:
    """A page in the reader's light or dark scheme; each figure's tooltip names the records behind it."""
    template = _ENVIRONMENT.get_template("table.html.jinja")
    return template.render(
        title=clean(table.title),
        caption=clean(full_caption(table)),
        layout=lay_out(table),
        notes=[clean(note) for note in table.notes],
        signatures=[clean(signature) for signature in table.signatures],
        tooltip=_tooltip,
        clean=clean,
    )


def _tooltip(entry: Entry) -> str:
    """What is behind a figure."""
    cell = entry.cell
    if entry.kind == "published" and cell.published is not None:
        return clean(f"{cell.published.source} ({cell.published.status})")
    if entry.kind == "measured" and cell.records:
        return clean(f"records: {', '.join(cell.records)}")
    return ""
