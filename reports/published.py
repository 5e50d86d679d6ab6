"""Figures out of papers: those of results/published, which travel with the package, and a user's own files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ablations.grid import COLUMNS, STUDY
from harness.errors import UserError, did_you_mean, first_line

STATUSES = ("verified in three copies", "verified in two copies", "seen in one copy", "unverified")
FIELDS = ("table", "method", "title", "suite", "metric", "value", "unit", "status", "source", "note")
_OPTIONAL = ("table", "note")
_FILLED = ("method", "title", "suite", "source")
METRICS = (*(column for column in COLUMNS if column != "distance"), *STUDY)
# A distance has none, everything else is a percentage.
_UNITS = {"fid": "", "kid": "", "parameters": "M", "multiply_adds": "G"}
_NETS = ("fd_", "kd_")
_COLUMNS_ARE = "columns: " + ",".join(FIELDS)


@dataclass(frozen=True)
class Published:
    """A figure from a paper.

    text: as printed. value: the same as a number in `unit` (`%`, `M` for millions, `G`, or none), or None
    where the paper has N/A. status, source, note: see results/README.md.
    """

    table: str
    method: str
    title: str
    suite: str
    metric: str
    text: str
    value: float | None
    unit: str
    status: str
    source: str
    note: str

    @property
    def paper(self) -> str:
        """The source up to its first comma: `arXiv 1903.07291v2` of `arXiv 1903.07291v2, Table 1`."""
        return self.source.partition(",")[0].strip()


def published_tables(folder: Path | None = None) -> list[str]:
    """Names of the published tables, sorted; `table1_mine` holds more rows of `table1` and is none of its own."""
    stems = _stems(folder)
    return [stem for stem in stems if not any(stem.startswith(f"{other}_") for other in stems)]


def load_published(table: str, folder: Path | None = None) -> list[Published]:
    """The figures of a table (`table1`), in the order of its file.

    folder: where to look in place of the package's own. Raises UserError for an unknown table, and
    naming file and line for a broken row.
    """
    known = published_tables(folder)
    if table not in known:
        raise UserError(f"no published figures under '{table}'", mend=did_you_mean(table, known))
    return read_figures(_folder(folder) / f"{table}.csv")


def own_figures(table: str, folder: Path | None = None) -> list[Published]:
    """The figures of a table that its own paper states, which is the paper of its file's first row."""
    figures = load_published(table, folder)
    return [figure for figure in figures if figure.paper == figures[0].paper]


def other_figures(table: str, folder: Path | None = None) -> list[Published]:
    """What other papers state for a table: in its own file, then in each `<table>_*.csv` by name."""
    figures = load_published(table, folder)
    found = [figure for figure in figures if figure.paper != figures[0].paper]
    for stem in _stems(folder):
        if stem.startswith(f"{table}_"):
            found += read_figures(_folder(folder) / f"{stem}.csv")
    return found


def read_figures(file: Traversable | Path) -> list[Published]:
    """The figures of a CSV file with the columns of results/README.md, in any order; `table` and `note` may lack.

    Raises UserError naming the file, and the line of a broken row.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read these figures: {first_line(error)}", where=str(file), mend="a UTF-8 CSV"
        ) from error
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_columns(list(rows.fieldnames or ()), str(file))
        figures = [_figure(row, f"{file}, line {rows.line_num}") for row in rows]
    except csv.Error as error:
        raise UserError(f"broken CSV: {error}", where=f"{file}, line {rows.line_num}", mend="quote fields") from error
    if not figures:
        raise UserError("no figure in this file", where=str(file), mend="a line for each figure; " + _COLUMNS_ARE)
    return figures


def find(figures: Iterable[Published], method: str, metric: str) -> list[Published]:
    """A row's figures of a metric, of one suite's: the table's own first, then other values of the same paper."""
    return [f for f in figures if (f.method, f.metric) == (method, metric)]


def _check_columns(names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in FIELDS:
            raise UserError(f"wrong columns: unknown '{name}'", where=where, mend=_COLUMNS_ARE)
        if names.count(name) > 1:
            raise UserError(f"wrong columns: '{name}' twice", where=where, mend=_COLUMNS_ARE)
    for name in FIELDS:
        if name not in names and name not in _OPTIONAL:
            raise UserError(f"wrong columns: no '{name}'", where=where, mend=_COLUMNS_ARE)


def _figure(row: dict[str, str | None], where: str) -> Published:
    # A short row leaves None behind, a long one puts the surplus under the key None.
    if any(not isinstance(key, str) or value is None for key, value in row.items()):
        raise UserError("wrong number of fields", where=where, mend="one field for each column")
    field = dict.fromkeys(_OPTIONAL, "") | {key: (value or "").strip() for key, value in row.items()}
    for key in _FILLED:
        if not field[key]:
            raise UserError(f"no {key}", where=where, mend=f"fill in {key}")
    metric = field["metric"]
    if metric not in METRICS and not metric.startswith(_NETS):
        raise UserError(f"unknown metric '{metric}'", where=where, mend=did_you_mean(metric, METRICS))
    unit = "" if metric.startswith(_NETS) else _UNITS.get(metric, "%")
    if field["unit"] != unit:
        means = f"the unit of {metric} is {unit}" if unit else f"{metric} has no unit"
        raise UserError(f"unknown unit '{field['unit']}'", where=where, mend=means)
    if field["status"] not in STATUSES:
        mend = did_you_mean(field["status"], STATUSES)
        raise UserError(f"unknown status '{field['status']}'", where=where, mend=mend)
    named = {key: field[key] for key in FIELDS if key != "value"}
    return Published(text=field["value"], value=_value(field["value"], unit, where), **named)


def _value(text: str, unit: str, where: str) -> float | None:
    if text == "N/A":
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(f"'{text}' is no number", where=where, mend="write a number or N/A") from error
    if not math.isfinite(value) or value < 0 or (unit == "%" and value > 100):
        span = "from 0 to 100" if unit == "%" else "from 0 up"
        raise UserError(f"'{text}' is no such figure", where=where, mend=f"a number {span}, or N/A")
    return value


def _stems(folder: Path | None) -> list[str]:
    return sorted(f.name.removesuffix(".csv") for f in _folder(folder).iterdir() if f.name.endswith(".csv"))


def _folder(folder: Path | None) -> Traversable:
    return folder if folder is not None else resources.files("results") / "published"
