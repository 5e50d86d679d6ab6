"""What every kind of figure shares: its options, the table it draws, and the writing of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.grids import DEFAULT_OUT as DEFAULT_OUT
from harness.commands.grids import chosen_grid, fill_command
from harness.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ablations.grid import Grid
    from reports.records import Picked, Record
    from reports.table import Cell, Column, Row, Table

GridName = Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own YAML file.")]
To = Annotated[Path, typer.Option("--to", help="Files to write: STEM for STEM.pdf and so on, or one file.")]
SuiteName = Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: the grid's first.")]
Methods = Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")]
Seeds = Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the records.")]
Protocol = Annotated[str | None, typer.Option(help="Only records of this protocol; default: the suite's own.")]
Formats = Annotated[str, typer.Option("--format", help="Comma-separated: pdf, png, svg.")]
Width = Annotated[str, typer.Option(help="column (3.3 inches), page (6.9 inches), or a number of inches.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figure's data as JSON; progress stays on stderr.")]

ALL_FORMATS = "pdf,png,svg"
_NARROWEST, _WIDEST = 2.0, 40.0  # inches


@dataclass(frozen=True)
class Asked:
    """What a figure is of. grid: sized as the command line asks. records: all of the folder `out`.

    command: fills what is missing. again: trains anew, into another folder. protocol: only records of
    the protocol of this name.
    """

    grid: Grid
    suite: str
    out: Path
    records: tuple[Record, ...]
    command: str
    again: str
    protocol: str | None

    def table(self, columns: Sequence[str] | None = None) -> Table:
        """The table of the grid, or of these columns. Raises UserError where it would mix protocols."""
        from reports.build import build_table

        grid = self.grid if columns is None else replace(self.grid, columns=tuple(dict.fromkeys(columns)))
        return build_table(grid, self.suite, self.records, protocol=self.protocol, command=self.command)

    def picked(self) -> list[Picked]:
        """The records behind the rows of the table, in its order."""
        from reports.records import select

        return select(self.records, self.grid, self.suite, self.protocol)

    def trained_by(self, recorded: bool) -> str:
        """The command that trains a missing cell. A cell that is `recorded` counts as done where its record is."""
        return self.again if recorded else self.command

    def nothing(self, what: str, recorded: bool = False) -> UserError:
        """The error of a figure for which `what` is not there: no record, or, where `recorded`, the cell itself."""
        mend = f"run: {self.trained_by(recorded)}"
        return UserError(what, where=f"{self.grid.name} on {self.suite} in {self.out}", mend=mend)


def asked(
    grid: str,
    suite: str | None,
    methods: str | None,
    seeds: int | None,
    overrides: Sequence[str] | None,
    budget: str | None,
    data_root: Path | None,
    out: Path,
    protocol: str | None,
) -> Asked:
    """The grid as the command line changes it, and the records of `out`. Raises UserError."""
    from reports.records import read_records

    loaded, name = chosen_grid(grid, suite, methods, seeds, overrides)
    if budget is not None:
        from harness.cells import load_suite
        from harness.evaluation.places import Places

        loaded = replace(loaded, set=o.with_budget(dict(loaded.set), budget, load_suite(name), Places(data_root)))
    given = {"--methods": methods, "--seeds": seeds, "--set": overrides, "--budget": budget, "--protocol": protocol}
    command = fill_command(grid, name, out, given)
    other = Path("again") if out != Path("again") else Path("again2")
    again = f"{fill_command(grid, name, other, given)}; then draw with --out {other}"
    return Asked(loaded, name, out, tuple(read_records(out)), command, again, protocol)


def width_of(text: str) -> float:
    """Inches of --width."""
    from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE

    named = {"column": WIDTH_COLUMN, "page": WIDTH_PAGE}
    if text in named:
        return named[text]
    try:
        inches = float(text)
    except ValueError:
        inches = 0.0
    if not _NARROWEST <= inches <= _WIDEST:
        raise UserError(
            f"'{text}' is no width", where="--width", mend=f"column, page, or {_NARROWEST:g} to {_WIDEST:g} inches"
        )
    return inches


def one_of(value: str, known: Sequence[str], option: str) -> str:
    """The value, where it is known. Raises UserError else."""
    if value not in known:
        raise UserError(f"unknown value '{value}'", where=option, mend=did_you_mean(value, known))
    return value


def check_formats(to: Path, formats: str) -> None:
    """Raise UserError for formats that cannot be written, before anything is measured or drawn."""
    from reports.figures.style import endings

    endings(to, o.names(formats) or ())


def score_key(name: str) -> str:
    """The column of a score that a figure is asked for. Raises UserError for one that no record has."""
    known = ("miou", "accuracy", "accuracy_void_ignored", "accuracy_void_wrong", "distance", "fid", "kid")
    if name in known or name.startswith("fd_"):
        return name
    raise UserError(f"unknown score '{name}'", mend=did_you_mean(name, (*known, "fd_NET")))


def score_columns(table: Table) -> list[Column]:
    """The columns of a table that are scores; `distance` may stand for several."""
    from reports.columns import metric_of

    return [column for column in table.columns if metric_of(column.key).part == "scores"]


def cell_of(row: Row, column: Column) -> Cell:
    """The cell of a row in a column of its table."""
    return next(cell for cell in row.cells if cell.column == column.key)


def trained_note(seed: int, records: Sequence[Record]) -> str:
    """Seed and iterations of the networks of records, as it is written under pictures."""
    found = sorted({record["source"]["iteration"] for record in records if record["source"].get("iteration")})
    return f"Seed {seed}" + (f", {' or '.join(map(str, found))} iterations." if found else ".")


def segmentation_of(record: Record) -> str:
    """The signature of the protocol of a record's segmentation scores, as tables have it."""
    half = record["protocol"]["segmentation"]
    return f"segmentation: {half['signature']} #{half['hash']}"


def say_absent(asked: Asked, titles: Sequence[str]) -> None:
    """Name the rows that a figure has no figure of, with the command that fills them."""
    from harness.progress import say

    if titles:
        say(f"not measured yet: {', '.join(titles)}; run: {asked.command}")


def notes_of(table: Table, asked: Asked, spread: bool = False) -> list[str]:
    """What is written under a figure of scores: the table's notes but how to fill it, and the signatures.

    spread: whether the figure shows standard deviations over seeds.
    """
    from reports.columns import note_is_of

    keys = {column.key for column in table.columns}
    kept = [note for note in table.notes if asked.command not in note and "--retry failed" not in note]
    if not spread:
        kept = [note.replace("Mean ± sample standard deviation over", "Mean over") for note in kept]
    flags = [
        note if note.startswith(f"{row.title}: ") else f"{row.title}: {note}"
        for row in table.rows
        if not row.ceiling
        for note in row.notes
        if note_is_of(note, keys)
    ]
    return [" ".join(note for note in kept if note_is_of(note, keys)), *flags, *table.signatures]


def about(table: Table) -> str:
    """One line for a file's metadata: what the figure is of, and by which protocols."""
    return "; ".join([f"{table.title} on {table.suite}", *table.signatures])


def head(kind: str, asked: Asked) -> dict[str, Any]:
    """The first keys of a figure's JSON."""
    return {"figure": kind, "grid": asked.grid.name, "suite": asked.suite}


def tail(table: Table, notes: Sequence[str]) -> dict[str, Any]:
    """The last keys of a figure's JSON: what is written under it."""
    return {"notes": [note for note in notes if note], "signatures": list(table.signatures)}


def column_dict(column: Column) -> dict[str, Any]:
    """A column in a figure's JSON."""
    return {
        "key": column.key,
        "name": column.name,
        "unit": column.unit,
        "lower_is_better": column.lower_is_better,
    }


def cell_dict(row: Row, cell: Cell, column: Column) -> dict[str, Any]:
    """A cell in a figure's JSON, in printed units."""
    spread = cell.spread
    return {
        "row": row.key,
        "title": row.title,
        "mean": None if cell.mean is None else cell.mean * column.scale,
        "spread": None if spread is None else spread * column.scale,
        "values": [value * column.scale for value in cell.values],
        "seeds": list(cell.seeds),
        "records": list(cell.records),
    }


def write(figure: Figure, to: Path, formats: str, about: str, as_json: bool, data: dict[str, Any]) -> None:
    """Save the figure, name its files on stderr, and print its data where asked.

    about: kept in the files' metadata, such as the signatures of the protocols.
    """
    from harness.progress import say
    from reports.figures.style import lacking, save

    absent = lacking(figure)
    if absent:
        say(f"note: the figure's font has no {' '.join(absent)}; PDF and PNG show a box")
    for kind, path in save(figure, to, o.names(formats) or (), about).items():
        say(f"{kind}: {path}")
    if as_json:
        o.print_json(data)
