"""A grid with what the command line changes in it: rows, seeds, overrides. Needs no torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.grid import Grid, GridRow, load_grid
from harness.errors import UserError, did_you_mean
from harness.overrides import parse_set

if TYPE_CHECKING:
    from harness.suites.base import Suite

DEFAULT_OUT = Path("runs")


def chosen_grid(
    name: str,
    suite: str | None,
    methods: str | None,
    seeds: int | None,
    overrides: Sequence[str] | None,
    report_only: bool = False,
) -> tuple[Grid, str]:
    """The grid and the suite to run or report.

    methods: comma-separated rows, by label or method; a name that no row has is added as a method.
    seeds: their number. overrides: --set pairs; `row:name=value` is for one row alone. report_only: whether
    a grid with nothing to run, a human study, will do. Raises UserError.
    """
    grid = load_grid(name)
    if not grid.runs and not report_only:
        mend = shlex.join(["spadebench", "report", name, *(["--suite", suite] if suite else [])])
        raise UserError("a human study, published figures alone: nothing to run", where=name, mend=f"see {mend}")
    suite = suite or (grid.suites[0] if grid.suites else None)
    if suite is None:
        raise UserError("this grid names no suite", where=name, mend="add --suite toyscapes")
    if methods is not None:
        grid = replace(grid, methods=_rows(grid, methods))
    if seeds is not None:
        grid = replace(grid, seeds=tuple(range(seeds)))
    for key, value in parse_set(list(overrides or ())).items():
        row_name, colon, dotted = key.rpartition(":")
        if not colon:
            grid = replace(grid, set={**grid.set, key: value}, given=grid.given | {key})
            continue
        labels = [row.label or row.name for row in grid.methods]
        # By its label or, where no row has that label, by its method, as --methods takes it.
        known = labels if row_name in labels else [row.name for row in grid.methods]
        if row_name not in known:
            raise UserError(f"no row is called '{row_name}'", where=f"--set {key}", mend=did_you_mean(row_name, labels))
        rows = [
            replace(row, set={**row.set, dotted: value}, given=row.given | {dotted}) if own == row_name else row
            for own, row in zip(known, grid.methods, strict=True)
        ]
        grid = replace(grid, methods=tuple(rows))
    return grid, suite


def grid_suites(grid: Grid, asked: str | None) -> list[Suite]:
    """The suite asked for, or all of the grid's own. Raises UserError, with its place, for an unknown one."""
    from harness.cells import load_suite

    found = []
    for i, name in enumerate([asked] if asked else grid.suites):
        try:
            found.append(load_suite(name))
        except UserError as error:
            where = "--suite" if asked else f"{grid.origin}: suites[{i}]"
            raise UserError(error.what, where, error.mend) from error
    return found


def fill_command(grid: str, suite: str, out: Path, given: Mapping[str, str | int | Sequence[str] | None]) -> str:
    """The `spadebench run` that fills a table's missing figures.

    given: options that say which cells are meant, by name, as they were given; None for one that was not.
    """
    words = ["spadebench", "run", grid, "--suite", suite]
    for name, value in given.items():
        several = [] if value is None else [str(value)] if isinstance(value, str | int) else value
        words += [word for each in several for word in (name, str(each))]
    return shlex.join([*words, *([] if out == DEFAULT_OUT else ["--out", str(out)])])


def _rows(grid: Grid, methods: str) -> tuple[GridRow, ...]:
    rows: list[GridRow] = []
    for name in (n.strip() for n in methods.split(",")):
        if not name:
            raise UserError("an empty name", where=f"--methods {methods}", mend="write spade,pix2pixhd")
        found = [row for row in grid.methods if name in (row.label, row.name)]
        rows += found or [GridRow(name, where=f"--methods {methods}")]
    return tuple(rows)
