"""`spadebench status`: how far the cells of a grid are, read from files. Trains and scores nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.grids import chosen_grid
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.launch.grids.states import State, Target

_SECONDS_BETWEEN_LOOKS = 2.0


def status(
    grid: Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own .yaml or .py file.")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: all of the grid's own.")] = None,
    methods: Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)] = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    protocol: Annotated[str, typer.Option(help="Protocol that the cells are scored by.")] = "native",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of cells and records.")] = Path("runs"),
    data_root: o.DataRoot = None,
    user_code: o.Import = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds until all have ended.")] = False,
    as_json: o.Json = False,
) -> None:
    """Say which cells of a grid are done, running, failed, waiting or lost, and where their logs are.

    Give the options that the run was given. A lost cell is one whose process ended without a word: the same
    run goes on with it.

    \b
    Example:
      spadebench status table1 --suite toyscapes --methods spade --budget 20it --out demo
    """
    if watch and as_json:
        raise UserError("--watch is for people", where="--json", mend="leave one of them out")
    o.import_user_code(user_code)
    from harness.cells import load_suite
    from harness.evaluation.places import Places
    from harness.launch.grids.plan import cell_names, grid_cells
    from harness.launch.grids.states import Target, observe_all, photos_target
    from harness.launch.launchers.slurm_jobs import with_jobs
    from harness.protocols.load import load_protocol
    from harness.records import Store

    chosen, first = chosen_grid(grid, suite, methods, seeds, overrides)
    store = Store(out)
    targets: list[Target] = []
    photos: list[Target] = []
    for name in [first] if suite else chosen.suites:
        known = load_suite(name)
        sized = replace(chosen, set=o.with_budget(dict(chosen.set), budget, known, Places(data_root)))
        asked = load_protocol(protocol, known)
        cells = grid_cells(sized, known)
        for cell, called in zip(cells, cell_names(sized, cells), strict=True):
            total = cell.config["schedule"]["iterations"]
            key = cell.id
            targets.append(Target(key, called, store.cell_folder(key), total, protocol=asked.name))
        if sized.ceiling:
            photos.append(photos_target(store, name, asked.name))
    targets = [*list({target.cell: target for target in reversed(targets)}.values())[::-1], *photos]
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(targets, store)
        return
    states = with_jobs(observe_all(targets, store), store.root)
    if as_json:
        o.print_json(_plain(states))
    else:
        print("\n".join(lines(states)))


def lines(states: Sequence[State]) -> list[str]:
    """The counts, and a line for each cell."""
    from harness.launch.grids.drive import amount
    from harness.launch.grids.states import counts

    width = max((len(state.name) for state in states), default=0)
    cells = max((len(state.cell) for state in states), default=0)
    found = [", ".join(f"{count} {name}" for name, count in counts(states).items())]
    for state in states:
        far = f"{state.stage} {amount(state)}".strip()
        said = "  ".join(part for part in (far, state.detail) if part)
        found.append(f"{state.state:<8}{state.cell:<{cells}}  {state.name:<{width}}  {said}  {state.log}")
    return found


def _plain(states: Sequence[State]) -> dict[str, Any]:
    from harness.launch.grids.states import counts

    return {"counts": dict(counts(states)), "cells": [state.as_dict() for state in states]}


def _watch(targets: Sequence[Target], store: Any) -> None:
    """Show the lines anew until every cell is done or has failed. Raises KeyboardInterrupt at ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from harness.launch.grids.states import DONE, FAILED, observe_all
    from harness.launch.launchers.slurm_jobs import with_jobs

    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            states = with_jobs(observe_all(targets, store), store.root)
            live.update(Text("\n".join(lines(states)), overflow="fold"), refresh=True)
            if all(state.state in (DONE, FAILED) for state in states):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
