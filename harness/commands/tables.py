"""The tables that a command line asks for: what `report` prints and `explain` looks into. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablations.grid import Grid
from harness.commands import options as o
from harness.commands.grids import chosen_grid, fill_command
from harness.errors import did_you_mean
from harness.progress import say

if TYPE_CHECKING:
    from reports.published import Published
    from reports.records import Record
    from reports.table import Table

GridName = Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own .yaml or .py file.")]
SuiteName = Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: all of the grid's own.")]
Methods = Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")]
Seeds = Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the records.")]
Protocol = Annotated[str | None, typer.Option(help="Only records of this protocol; default: the suite's own.")]
Mix = Annotated[
    bool, typer.Option("--mix", help="Put figures that do not compare into one column, as of several protocols.")
]
PublishedFiles = Annotated[
    list[Path] | None,
    typer.Option("--published", help="CSV of another paper's figures, as rows of their own; may be repeated."),
]


@dataclass(frozen=True)
class Choice:
    """The words of a command line that choose tables, as they were given."""

    name: str
    suite: str | None
    methods: str | None
    seeds: int | None
    overrides: Sequence[str] | None
    budget: str | None
    data_root: Path | None
    out: Path
    protocol: str | None
    mix: bool
    published: Sequence[Path]

    def grids(self) -> list[tuple[Grid, str]]:
        """The grid with the schedule of each suite that is asked for. Raises UserError."""
        loaded, first = chosen_grid(self.name, self.suite, self.methods, self.seeds, self.overrides, report_only=True)
        return [(self._sized(loaded, suite), suite) for suite in ([first] if self.suite else loaded.suites or [first])]

    def command(self, suite: str, row: str | None = None) -> str:
        """What fills the missing figures of a suite's table, or of one row."""
        given = {
            "--methods": row or self.methods,
            "--seeds": self.seeds,
            "--set": self.overrides,
            "--budget": self.budget,
            "--protocol": self.protocol,
        }
        return fill_command(self.name, suite, self.out, given)

    def others(self, grid: Grid, suites: Sequence[str]) -> list[Published]:
        """Figures of other papers for this table: those of results/published, then of the user's files.

        A figure that the table has already, from the same source, is left out. Raises UserError.
        """
        from reports.published import other_figures, own_figures, read_figures

        own = own_figures(grid.published) if grid.published else []
        found = other_figures(grid.published) if grid.published else []
        for path in self.published:
            figures = read_figures(path)
            if not any(figure.suite in suites for figure in figures):
                there = ", ".join(dict.fromkeys(figure.suite for figure in figures))
                say(f"{path}: no figure for {', '.join(suites)}; it has some for {there}")
            found += figures
        known = {replace(figure, table="") for figure in own}
        return [figure for figure in dict.fromkeys(replace(f, table="") for f in found) if figure not in known]

    def table(self, grid: Grid, suite: str, records: Sequence[Record], others: Sequence[Published]) -> Table:
        """The table of one suite. Raises UserError where it would mix."""
        from reports.build import build_table

        command = self.command(suite)
        table = build_table(grid, suite, records, mix=self.mix, protocol=self.protocol, command=command, others=others)
        if not any(cell.values or cell.published for row in table.rows for cell in row.cells):
            _hint(suite)
        return table

    def hint(self, records: Sequence[Record]) -> None:
        """Say so where a method or a protocol of the command line is in no record and not known here: a slip, maybe."""
        asked = [name.strip() for name in (self.methods or "").split(",") if name.strip()]
        held = {name for record in records for name in (record["method"], record["title"])}
        unknown = [name for name in dict.fromkeys(asked) if name not in held]
        if unknown:
            known = {*held, *_known_rows(self.name)}
            for name in unknown:
                if name not in known and not _registered(name):
                    say(f"method '{name}' has no record and is not known here ({did_you_mean(name, known)})")
        scored = {record["protocol"].get("name") for record in records} - {None}
        if self.protocol is not None and self.protocol not in scored:
            from harness.registry import PROTOCOLS, names

            shipped = {*names(PROTOCOLS), "native"}
            if self.protocol not in shipped:
                near = did_you_mean(self.protocol, {*shipped, *scored})
                say(f"protocol '{self.protocol}' has no record and is not known here ({near})")

    def _sized(self, grid: Grid, suite: str) -> Grid:
        if self.budget is None:
            return grid
        from harness.cells import load_suite
        from harness.evaluation.places import Places

        places = Places(self.data_root)
        return replace(grid, set=o.with_budget(dict(grid.set), self.budget, load_suite(suite), places))


def _known_rows(grid: str) -> set[str]:
    """Labels and methods of this grid's rows, of the shipped grids' and of the published figures."""
    from ablations.grid import grid_names, load_grid
    from reports.published import load_published, published_tables

    rows = [row for name in dict.fromkeys([grid, *grid_names()]) for row in load_grid(name).methods]
    figures = [figure.method for table in published_tables() for figure in load_published(table)]
    return {name for row in rows for name in (row.name, row.label) if name} | set(figures)


def _registered(method: str) -> bool:
    """Whether there is a method of this name; loads torch, so it is asked last."""
    from harness.registry import METHODS, names

    return method in names(METHODS)


def _hint(suite: str) -> None:
    """Say so where an empty table is of a suite that is not known here, which may be a slip or the user's own."""
    from harness.registry import SUITES, names

    if suite not in names(SUITES):
        say(f"suite '{suite}' has no figures and is not known here ({did_you_mean(suite, names(SUITES))})")
