"""`spadebench report`: the table of a grid from records. Trains and scores nothing, needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.commands.run import select_rows
from harness.errors import UserError, did_you_mean

FORMATS = ("terminal", "markdown", "latex", "html", "csv", "json")


def report(
    grid: Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own YAML file.")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: the grid's own.")] = None,
    methods: Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Overrides that the cells were run with; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the records.")] = Path("runs"),
    form: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "terminal",
    to: Annotated[Path | None, typer.Option(help="Write all formats into this folder.")] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Put figures of different protocols into one column, and say so.")] = False,
    as_json: o.Json = False,
) -> None:
    """Print the table of a grid from the records there are; what is missing is named with the command for it.

    \b
    Example:
      spadebench report table1 --suite toyscapes --format markdown
    """
    from ablations.grid import load_grid
    from harness.overrides import parse_set
    from reports.build import build_table
    from reports.records import read_records
    from reports.render_terminal import print_table
    from reports.write import RENDERERS, write_report

    if form not in FORMATS:
        raise UserError(f"unknown format '{form}'", where="--format", mend=did_you_mean(form, FORMATS))
    loaded = select_rows(load_grid(grid), methods)
    suite = suite or (loaded.suites[0] if loaded.suites else None)
    if suite is None:
        raise UserError("this grid names no suite", where=grid, mend="add --suite toyscapes")
    given = parse_set(list(overrides or ()))
    loaded = replace(loaded, set={**loaded.set, **given}, seeds=tuple(range(seeds)) if seeds else loaded.seeds)
    table = build_table(loaded, suite, read_records(out), mix=mix)
    if to is not None:
        from harness.commands.progress import say

        for kind, path in write_report(table, to, f"{loaded.name}-{suite}").items():
            say(f"{kind}: {path}")
    if as_json or form == "json":
        print(RENDERERS["json"](table))
    elif form == "terminal":
        print_table(table)
    else:
        print(RENDERERS[form](table))
