"""A grid on suites, planned: for each cell a spec, plain JSON that a process elsewhere can work from.

Planning trains nothing and writes nothing; the same grid gives the same specs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import UserError
from harness.files import write_json

if TYPE_CHECKING:  # a status needs neither, and starts faster without
    from ablations.grid import Grid, GridRow
    from harness.cells import Cell
    from harness.evaluation.bench import Bench
    from harness.suites.base import Suite

Made = TypeVar("Made")
FORMAT = 1
PHOTOS = "photos"  # the method of the ceiling row
RETRIES = ("failed", "oom")
# Up to so many rows are all tried; of more, one for each method and set of overridden names.
_ROWS_CHECKED = 8


@dataclass(frozen=True)
class How:
    """What all cells of a run have in common. Folders are absolute, so that a spec works from any folder.

    protocol: fields of the protocol. features: names, None for the protocol's own. device: None picks a GPU
    where there is one. workers: loader threads. batch: images scored at a time. imports: the user's code.
    command: the words after `spadebench`, for the record. halves: random halves of the images for the spread
    of Fréchet distances, None for no spread.
    """

    out: str
    protocol: dict[str, Any]
    features: list[str] | None = None
    data_root: str | None = None
    weights_root: str | None = None
    device: str | None = None
    workers: int = 0
    batch: int = 8
    checkpoint_every: int | None = None
    keep: int = 1
    imports: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    halves: int | None = None


@dataclass(frozen=True)
class CellSpec:
    """One cell to train and score, or the photos of a suite to score.

    cell: id of the cell, or of the photos. record: id that its record will have. described: the protocol's
    part of the record. config: the resolved config, None for photos. total: iterations.
    """

    cell: str
    name: str
    record: str
    method: str
    title: str
    suite: str
    seed: int | None
    overrides: dict[str, Any]
    config: dict[str, Any] | None
    described: dict[str, Any]
    total: int
    how: How

    @property
    def key(self) -> str:
        """What tells it from other specs of a run: the id of its record."""
        return self.record

    @property
    def folder(self) -> Path:
        """Where its checkpoints, log and signs of life are."""
        return Path(self.how.out) / ("cells" if self.config is not None else PHOTOS) / self.cell

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def path(self) -> Path:
        """Where `write_spec` puts it: beside the checkpoints, one for each protocol."""
        return self.folder / f"spec-{self.described['hash']}.json"

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values."""
        return {"spec": FORMAT, **asdict(self)}


def write_spec(spec: CellSpec) -> Path:
    """Write a spec for `python -m harness.launch.cells.worker`; returns its path."""
    write_json(spec.path, spec.as_dict())
    return spec.path


def read_spec(path: Path) -> CellSpec:
    """A spec out of a file. Raises UserError where it is missing, broken, or another version's."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("spec") != FORMAT:
            raise UserError("this spec is of another version", where=str(path), mend="run the grid again")
        how = {**plain.pop("how")}
        how.update({key: tuple(how.get(key, ())) for key in ("imports", "command")})
        return CellSpec(**_only(CellSpec, plain, path), how=How(**_only(How, how, path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read this spec: {error}", where=str(path), mend="run the grid again") from error


def _only(kind: type, plain: dict[str, Any], path: Path) -> dict[str, Any]:
    unknown = set(plain) - {field.name for field in fields(kind)}
    if unknown:
        raise UserError(
            f"unknown field '{sorted(unknown)[0]}' in this spec", where=str(path), mend="run the grid again"
        )
    return plain


def grid_cells(grid: Grid, suite: Suite) -> list[Cell]:
    """The cells of a grid on a suite: by row, then by seed. Raises UserError, with its row, for what no cell can be."""
    from harness.cells import Cell, resolve

    cells = []
    for row in grid.methods:
        first = placed(grid, row, partial(resolve, row.name, suite, grid.seeds[0]))
        # The seed has no say in anything else that is resolved.
        cells += [Cell({**first.config, "seed": seed}, first.suite) for seed in grid.seeds]
    return cells


def placed(grid: Grid, row: GridRow, make: Callable[[dict[str, Any]], Made]) -> Made:
    """What is made of a row's overrides. Raises UserError with the place of the override or the row at fault."""
    overrides = grid.overrides(row)
    try:
        return make(overrides)
    except UserError as error:
        key = next((key for key in overrides if not _fails_alike(make, overrides, key, error)), None)
        inner = "" if error.where in ("", "--set") else f": {error.where}"
        raise UserError(error.what, _place(grid, row, key) + inner, error.mend) from error


def _fails_alike(
    make: Callable[[dict[str, Any]], object], overrides: dict[str, Any], without: str, error: UserError
) -> bool:
    try:
        make({key: value for key, value in overrides.items() if key != without})
    except UserError as other:
        return other.what == error.what
    return False


def _place(grid: Grid, row: GridRow, key: str | None) -> str:
    """Where the override of this name was written; where the row was, for None."""
    at = row.where or f"{grid.origin}: {row.label or row.name}"
    if key is None:
        return at
    if key in (row.given if key in row.set else grid.given):
        return "--set"
    return f"{at if key in row.set else grid.origin}: set"


def check_retry(kinds: Sequence[str]) -> None:
    """Raise UserError for what --retry does not know."""
    for kind in kinds:
        if kind not in RETRIES:
            raise UserError(f"nothing is retried as '{kind}'", where="--retry", mend=f"write {' or '.join(RETRIES)}")


def cell_names(grid: Grid, cells: Sequence[Cell]) -> list[str]:
    """What people call the cells by row and seed: after the row, since rows of one method may differ in options."""
    rows = []
    for row in grid.methods:
        own = ", ".join(f"{key}={value}" for key, value in row.set.items())
        rows += [row.label or (f"{row.name} ({own})" if own else row.name)] * len(grid.seeds)
    named = zip(rows, cells, strict=True)
    return [f"{row}-{cell.suite.name}-seed{cell.config['seed']}" for row, cell in named]


def rows_to_check(cells: Sequence[Cell], seeds: int) -> list[Cell]:
    """Of the cells by row and seed, those whose networks are tried before anything is trained.

    The seed has no say in what can be built. In a long grid rows that override the same options of one
    method stand for one another; a cell that cannot be built all the same fails when its turn comes.
    """
    rows = list(cells[::seeds])
    if len(rows) <= _ROWS_CHECKED:
        return rows
    kinds = {(c.config["method"]["name"], *sorted(c.config["overrides"])): c for c in reversed(rows)}
    return list(kinds.values())


def plan(cells: Sequence[Cell], bench: Bench, how: How) -> list[CellSpec]:
    """The specs of cells that are to be scored on a bench."""
    from harness.evaluation.bench import record_id
    from harness.evaluation.evaluate import describe_protocol

    described = describe_protocol(bench.signed)
    return [
        CellSpec(
            cell=(name := cell.id),
            name=cell.name,
            record=record_id(bench, name),
            method=cell.config["method"]["name"],
            title=cell.title,
            suite=cell.suite.name,
            seed=cell.config["seed"],
            overrides=cell.config["overrides"],
            config=cell.config,
            described=described,
            total=cell.config["schedule"]["iterations"],
            how=how,
        )
        for cell in cells
    ]


def plan_photos(bench: Bench, how: How) -> CellSpec:
    """The spec of the ceiling row: the photos of the scored split."""
    from harness.evaluation.bench import photos_id, record_id
    from harness.evaluation.evaluate import describe_protocol

    key = photos_id(bench)
    return CellSpec(
        cell=key,
        name=f"real photos of {bench.suite.name}",
        record=record_id(bench, key),
        method=PHOTOS,
        title="real photos",
        suite=bench.suite.name,
        seed=None,
        overrides={},
        config=None,
        described=describe_protocol(bench.signed),
        total=0,
        how=how,
    )


def distinct(specs: Sequence[CellSpec]) -> list[CellSpec]:
    """The specs, each record once: two rows of a grid may be spellings of one cell."""
    return list({spec.key: spec for spec in reversed(specs)}.values())[::-1]
