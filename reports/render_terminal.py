"""A Table for the terminal, by rich."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from reports.layout import Entry, full_caption, lay_out, split_interval, superscript
from reports.table import Table, clean

_SHORT = 14  # characters


def render_terminal(table: Table) -> Group:
    """A renderable: the table, and under it footnotes, notes and signatures. Markup in names is shown as it is."""
    layout = lay_out(table)
    title = Text(clean(table.title), style="bold")
    title.append(f"  {full_caption(table)}", style="not bold italic")
    grid = RichTable(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    # A name is folded and never cut, and where all are short kept in one line: figures' heads fold instead.
    short = all(len(clean(line.title) + superscript(line.marks)) <= _SHORT for line in layout.lines)
    grid.add_column(Text("Method"), overflow="fold", no_wrap=short)
    for head, kind in zip(layout.heads, [k for g in layout.groups for k in g.kinds], strict=True):
        grid.add_column(Text(head), justify="right", overflow="fold", style="" if kind == "measured" else "dim")
    for i, line in enumerate(layout.lines):
        if line.ceiling and i:
            grid.add_section()
        cells = [Text(clean(line.title) + superscript(line.marks), style="italic" if line.ceiling else "")]
        cells += [_figure(entry) for entry in line.entries]
        grid.add_row(*cells)
    below = [Text(f"{superscript((i,))} {clean(note)}", style="dim") for i, note in enumerate(layout.footnotes, 1)]
    below += [Text(clean(note), style="dim") for note in table.notes]
    below += [Text(clean(signature), style="dim cyan") for signature in table.signatures]
    return Group(grid, *below)


def _figure(entry: Entry) -> Text:
    """Best bold, second underlined, their footnotes neither."""
    figure, interval = split_interval(entry.text)
    style = {"best": "bold", "second": "underline", None: ""}[entry.mark]
    return Text.assemble((figure, style), interval, superscript(entry.marks))
