"""`spadebench report`: the table of a grid from records. Trains and scores nothing, needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import options as o
from harness.commands import tables as t
from harness.commands.grids import DEFAULT_OUT
from harness.errors import UserError, did_you_mean
from harness.progress import say

if TYPE_CHECKING:
    from reports.table import Table

Pictures = list[tuple[str, str]]  # caption and data URI
# Names of --format, and the ending that reports.write knows each by.
FORMATS = {"terminal": "", "markdown": "md", "latex": "tex", "html": "html", "csv": "csv", "json": "json"}


def report(
    grid: t.GridName,
    suite: t.SuiteName = None,
    methods: t.Methods = None,
    seeds: t.Seeds = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    data_root: o.DataRoot = None,
    out: t.Out = DEFAULT_OUT,
    form: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "terminal",
    to: Annotated[Path | None, typer.Option(help="Write all formats into this folder.")] = None,
    protocol: t.Protocol = None,
    mix: t.Mix = False,
    published: t.PublishedFiles = None,
    tests: Annotated[
        bool, typer.Option(help="Test the rows against each other, from their confusions, and mark the best.")
    ] = True,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Print the 95% interval behind a figure of one seed.")
    ] = False,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="With --format latex: a file that compiles on its own.")
    ] = False,
    pictures: Annotated[
        list[Path] | None,
        typer.Option("--picture", help="PNG or SVG for the HTML page, as of spadebench figure; may be repeated."),
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Print the table of a grid from the records there are; what is missing is named with the command for it.

    \b
    Example:
      spadebench report table1 --suite toyscapes --format markdown
    """
    from reports.pictures import page_picture

    if form not in FORMATS:
        raise UserError(f"unknown format '{form}'", where="--format", mend=did_you_mean(form, FORMATS))
    if standalone and (form != "latex" or as_json):
        raise UserError("only LaTeX has a standalone file", where="--standalone", mend="add --format latex")
    if intervals and not tests:
        raise UserError("intervals come with the tests", where="--intervals", mend="leave out --no-tests")
    if pictures and to is None and (form != "html" or as_json):
        raise UserError("only the HTML page takes pictures", where="--picture", mend="add --format html or --to FOLDER")
    shown = [page_picture(path) for path in pictures or ()]
    choice = t.Choice(
        grid, suite, methods, seeds, overrides, budget, data_root, out, protocol, mix, tuple(published or ())
    )
    tables = _tables(choice, tests, intervals)
    if to is not None:
        _write(tables, to, shown)
    _print(tables, "json" if as_json else form, standalone, shown)


def _tables(choice: t.Choice, tests: bool, intervals: bool) -> list[Table]:
    from reports.records import read_records

    sized = choice.grids()
    others = choice.others(sized[0][0], [suite for _, suite in sized])
    records = read_records(choice.out)
    choice.hint(records)
    tables = [choice.table(grid, suite, records, others) for grid, suite in sized]
    if tests:
        from reports.significance import with_tests

        tables = [with_tests(table, choice.out, say=say) for table in tables]
    return [replace(table, intervals=intervals) for table in tables]


def _write(tables: list[Table], to: Path, pictures: Pictures) -> None:
    from reports.write import write_report

    for table in tables:
        for kind, path in write_report(table, to, f"{table.name}-{table.suite}", pictures).items():
            say(f"{kind}: {path}")


def _print(tables: list[Table], form: str, standalone: bool, pictures: Pictures) -> None:
    if form == "terminal":
        from rich.console import Console

        from reports.render_terminal import render_terminal

        for table in tables:
            Console().print(render_terminal(table))
        return
    if form == "html":
        from reports.render_html import render_html

        print(render_html(tables, pictures), end="")
        return
    from reports.write import FORMATS as RENDERERS

    print(RENDERERS["standalone.tex" if standalone else FORMATS[form]](tables), end="")
