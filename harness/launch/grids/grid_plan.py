"""A grid on one suite, made ready to run: its bench, its cells as specs, and what the store holds of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ablations.grid import Grid, GridRow
from harness.cells import Cell, resolve
from harness.evaluation.bench import Bench
from harness.launch.cells.beforehand import check_cell
from harness.launch.cells.cell import check_trained_data
from harness.launch.cells.out_of_memory import forget
from harness.launch.grids.plan import (
    CellSpec,
    How,
    cell_names,
    check_retry,
    distinct,
    grid_cells,
    placed,
    plan,
    plan_photos,
    rows_to_check,
)
from harness.launch.grids.states import FAILED, State, finished, observe_all, target_of
from harness.records import Store
from harness.suites.base import Suite


@dataclass(frozen=True)
class GridPlan:
    """The cells of a grid on a suite. specs: one for each cell, by row and seed, then the ceiling's photos."""

    grid: Grid
    suite: Suite
    bench: Bench
    how: How
    cells: list[Cell]
    specs: list[CellSpec] = field(default_factory=list)

    @cached_property
    def cell_of(self) -> dict[str, Cell]:
        """Cells by the keys of their specs."""
        return {spec.key: cell for spec, cell in zip(self.specs, self.cells, strict=False)}

    @property
    def store(self) -> Store:
        return Store(Path(self.how.out))

    def states(self) -> list[State]:
        """How far each spec is."""
        return observe_all([target_of(spec) for spec in self.specs], self.store)

    def to_do(self, say: Callable[[str], None]) -> list[CellSpec]:
        """The specs that are neither done nor failed, each once; says of the others what they are.

        Raises UserError where a finished cell was trained on other data than the suite has now.
        """
        left = []
        states = dict(zip((spec.key for spec in self.specs), self.states(), strict=True))
        checked = ""
        for number, spec in enumerate(specs := distinct(self.specs), start=1):
            state, name = states[spec.key], f"[{number}/{len(specs)}] {spec.name}"
            record = finished(spec)
            if record is not None and spec.config is not None:
                trained = record["provenance"]["data"]["trained"]
                if trained != checked:  # opening a data set for each of a thousand cells would take minutes
                    check_trained_data(record, self.bench)
                    checked = trained
            if record is not None:
                say(f"{name}: done already, {'cell ' if spec.config is not None else ''}{spec.cell}")
            elif state.state == FAILED:
                say(f"{name}: failed before: {state.detail}; --retry failed runs it again")
            else:
                left.append(spec)
        return left

    def retry(self, kinds: Sequence[str]) -> None:
        """Forget failures (`failed`) and what ran out of memory (`oom`), so that it is tried again."""
        check_retry(kinds)
        if "failed" in kinds:
            for spec in self.specs:
                self.store.forget_failure(spec.record)
        if "oom" in kinds:
            for cell in self.cells:
                forget(cell, self.store)

    def records(self) -> list[dict[str, Any]]:
        """What the store holds of each spec: finished records, and those of failures, by row and seed."""
        found = []
        for spec in self.specs:
            record = finished(spec) or self.store.failure(spec.record)
            if record is not None and spec.config is not None:
                # Another spelling of the same cell may have made the record: the table looks for this one's.
                described = {key: spec.config[key] for key in ("overrides", "title")}
                record = {**record, "title": spec.title, "config": {**record["config"], **described}}
            if record is not None:
                found.append(record)
        return found


def checked_cells(grid: Grid, suite: Suite) -> list[Cell]:
    """The cells of a grid. Raises UserError for what no cell can be, before any data are opened."""
    cells = grid_cells(grid, suite)
    rows = {id(cell): row for row, cell in zip(grid.methods, cells[:: len(grid.seeds)], strict=True)}
    for cell in rows_to_check(cells, len(grid.seeds)):
        _check(grid, rows[id(cell)], cell)
    return cells


def _check(grid: Grid, row: GridRow, cell: Cell) -> None:
    def check(overrides: dict[str, Any]) -> None:
        known = overrides == grid.overrides(row)
        check_cell(cell if known else resolve(row.name, cell.suite, cell.config["seed"], overrides))

    placed(grid, row, check)


def plan_grid(grid: Grid, suite: Suite, bench: Bench, how: How, cells: list[Cell] | None = None) -> GridPlan:
    """Plan a grid; nothing is written. cells: its `checked_cells`, where they were made before the bench."""
    cells = checked_cells(grid, suite) if cells is None else cells
    photos = [plan_photos(bench, how)] if grid.ceiling else []
    named = zip(plan(cells, bench, how), cell_names(grid, cells), strict=True)
    return GridPlan(grid, suite, bench, how, cells, [*(replace(spec, name=name) for spec, name in named), *photos])
