"""`spadebench report`: the table of a grid from records. Trains and scores nothing, needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.commands.grids import DEFAULT_OUT, chosen_grid, fill_command
from harness.errors import UserError, did_you_mean

# Names of --format, and the ending that reports.write knows each by.
FORMATS = {"terminal": "", "markdown": "md", "latex": "tex", "html": "html", "csv": "csv", "json": "json"}


def report(
    grid: Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own YAML file.")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: all of the grid's own.")] = None,
    methods: Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)] = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    data_root: o.DataRoot = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the records.")] = DEFAULT_OUT,
    form: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "terminal",
    to: Annotated[Path | None, typer.Option(help="Write all formats into this folder.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Only records of this protocol; default: the suite's own.")
    ] = None,
    mix: Annotated[
        bool, typer.Option("--mix", help="Put figures of different protocols into one column, and say so.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Print the table of a grid from the records there are; what is missing is named with the command for it.

    \b
    Example:
      spadebench report table1 --suite toyscapes --format markdown
    """
    from rich.console import Console

    from reports.build import build_table
    from reports.records import read_records
    from reports.render_terminal import render_terminal
    from reports.write import FORMATS as RENDERERS
    from reports.write import write_report

    if form not in FORMATS:
        raise UserError(f"unknown format '{form}'", where="--format", mend=did_you_mean(form, FORMATS))
    loaded, first = chosen_grid(grid, suite, methods, seeds, overrides)
    suites = [first] if suite else list(loaded.suites)
    if form == "html" and len(suites) > 1 and not as_json:
        raise UserError("a page holds one suite", where="--format html", mend="add --suite, or use --to FOLDER")
    given = {"--methods": methods, "--seeds": seeds, "--set": overrides, "--budget": budget, "--protocol": protocol}
    records, tables = read_records(out), []
    for name in suites:
        sized = loaded
        if budget is not None:
            from harness.cells import load_suite
            from harness.evaluation.places import Places

            sized = replace(loaded, set=o.with_budget(dict(loaded.set), budget, load_suite(name), Places(data_root)))
        command = fill_command(grid, name, out, given)
        tables.append(build_table(sized, name, records, mix=mix, protocol=protocol, command=command))
    if to is not None:
        from harness.progress import say

        for table in tables:
            for kind, path in write_report(table, to, f"{loaded.name}-{table.suite}").items():
                say(f"{kind}: {path}")
    if as_json or form == "json":
        from reports.render_json import as_dict

        o.print_json([as_dict(table) for table in tables] if len(tables) > 1 else as_dict(tables[0]))
    elif form == "terminal":
        for table in tables:
            Console().print(render_terminal(table))
    elif form == "csv":  # which names the suite in each line
        first_text, *more = (RENDERERS["csv"](table) for table in tables)
        print("".join([first_text, *(text.partition("\n")[2] for text in more)]), end="")
    else:
        print("\n".join(RENDERERS[FORMATS[form]](table) for table in tables))
