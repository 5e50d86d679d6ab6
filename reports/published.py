"""The published figures of results/published, which travel with the package."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.errors import UserError, did_you_mean

STATUSES = ("verified in three copies", "verified in two copies", "seen in one copy", "unverified")
FIELDS = ("table", "method", "title", "suite", "metric", "value", "unit", "status", "source", "note")
UNITS = ("", "%", "M")


@dataclass(frozen=True)
class Published:
    """A figure from a paper.

    text: as printed. value: the same as a number in `unit` (`%`, `M` for millions, or none), or None
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


def published_tables(folder: Path | None = None) -> list[str]:
    """Names of the published tables, sorted."""
    return sorted(f.name.removesuffix(".csv") for f in _folder(folder).iterdir() if f.name.endswith(".csv"))


def load_published(table: str, folder: Path | None = None) -> list[Published]:
    """The figures of a table (`table1`), in the order of its file.

    folder: where to look in place of the package's own. Raises UserError for an unknown table, and
    naming file and line for a broken row.
    """
    known = published_tables(folder)
    if table not in known:
        raise UserError(f"no published figures under '{table}'", mend=did_you_mean(table, known))
    file = _folder(folder) / f"{table}.csv"
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    if tuple(rows.fieldnames or ()) != FIELDS:
        raise UserError("wrong columns", where=str(file), mend="columns: " + ",".join(FIELDS))
    return [_figure(row, f"{file}, line {rows.line_num}") for row in rows]


def find(figures: Iterable[Published], method: str, metric: str) -> list[Published]:
    """A row's figures of a metric, of one suite's: the table's own first, then other values of the same paper."""
    return [f for f in figures if (f.method, f.metric) == (method, metric)]


def _figure(row: dict[str, str | None], where: str) -> Published:
    # A short row leaves None behind, a long one puts the surplus under the key None.
    if any(not isinstance(key, str) or value is None for key, value in row.items()):
        raise UserError("wrong number of fields", where=where, mend="one field for each column")
    field = {key: value or "" for key, value in row.items()}
    try:
        value = None if field["value"] == "N/A" else float(field["value"])
    except ValueError as error:
        raise UserError(f"'{field['value']}' is no number", where=where, mend="write a number or N/A") from error
    for key, legal in (("status", STATUSES), ("unit", UNITS)):
        if field[key] not in legal:
            raise UserError(f"unknown {key} '{field[key]}'", where=where, mend=did_you_mean(field[key], legal))
    named = {key: field[key] for key in FIELDS if key != "value"}
    return Published(text=field["value"], value=value, **named)


def _folder(folder: Path | None) -> Traversable:
    return folder if folder is not None else resources.files("results") / "published"
