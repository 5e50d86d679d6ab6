"""The confusions behind a table's cells, read from beside the records, and what their resampling says.

A cell names its records, a record its confusion and the rules of its protocol. What is read and drawn is kept: the
columns of a table share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.metrics.confusion import Confusion
from harness.metrics.resampling import Interval as Resampled
from harness.metrics.resampling import intervals
from harness.metrics.rows import Compared, compare_rows
from harness.metrics.significance import Comparison
from harness.records import read_record
from harness.stored_confusion import stored_confusion
from reports.table import Cell, Interval

_LONG = 2e8  # drawn images, over all networks, from which on the work takes some seconds
_VOID = {"accuracy_void_wrong": "wrong", "accuracy_void_ignored": "ignore"}


@dataclass(frozen=True)
class Scored:
    """A cell's confusions, one for each seed, and the rules by which its column reads them."""

    confusions: tuple[Confusion, ...]
    records: tuple[str, ...]
    class_mean: Any
    void: Any


@dataclass
class Bench:
    """folder: of the records. say: told of work that takes a while. The rest is what was read and drawn already."""

    folder: Path
    resamples: int
    level: float
    say: Callable[[str], None]
    _read: dict[str, tuple[dict[str, Any], Confusion]] = field(default_factory=dict)
    _compared: dict[Any, Compared] = field(default_factory=dict)
    _intervals: dict[Any, dict[str, Resampled]] = field(default_factory=dict)

    def scored(self, cell: Cell) -> Scored:
        """What is behind a cell. Raises UserError where a record or confusion is missing, or is not its own."""
        if len(set(cell.protocols)) > 1:
            raise UserError("its seeds were scored by more than one protocol")
        read = [self._record(name) for name in cell.records]
        rules = []
        for record, _ in read:
            # Records of protocol version 1 name no void rule: they left void out.
            fields = record["protocol"].get("fields") or {}
            mean, void = fields.get("class_mean", "union"), _VOID.get(cell.column, fields.get("void", "ignore"))
            rules.append((str(mean), str(void)))
        if len(set(rules)) != 1:
            raise UserError("its seeds were scored by more than one protocol")
        return Scored(tuple(confusion for _, confusion in read), cell.records, *rules[0])

    def compared(self, column: str, rows: Sequence[Scored]) -> tuple[list[Interval | None], dict[Any, Comparison]]:
        """A column's intervals, and tests of all pairs of its rows. Raises UserError for rows of other images."""
        if len({(row.class_mean, row.void) for row in rows}) > 1:
            raise UserError("scored by more than one protocol")
        key = (tuple(row.records for row in rows), rows[0].class_mean, rows[0].void)
        if key not in self._compared:
            networks = sum(len(row.confusions) for row in rows)
            draws = networks * len(rows[0].confusions[0]) * self.resamples

            def drawn(done: int) -> None:
                if draws > _LONG:
                    self.say(f"tests between rows: images drawn for {done} of {len(rows)} rows")

            self._compared[key] = compare_rows(
                [row.confusions for row in rows], *key[1:], self.resamples, self.level, drawn=drawn
            )
        found, name = self._compared[key], _name(column)
        pairs = {pair: tests[name] for pair, tests in found.pairs.items()}
        return [self._told(own[name]) for own in found.intervals], pairs

    def interval(self, column: str, row: Scored) -> Interval | None:
        """One row's interval. Raises UserError where its images cannot be resampled."""
        key = (row.records, row.class_mean, row.void)
        if key not in self._intervals:
            self._intervals[key] = intervals(row.confusions, *key[1:], self.resamples, self.level)
        return self._told(self._intervals[key][_name(column)])

    def _told(self, own: Resampled) -> Interval | None:
        if not (math.isfinite(own.low) and math.isfinite(own.high)):
            return None
        # Student's t of two seeds reaches beyond what a share can be.
        return Interval(max(own.low, 0.0), min(own.high, 1.0), self.level, own.unit)

    def _record(self, name: str) -> tuple[dict[str, Any], Confusion]:
        if name not in self._read:
            path = self.folder / f"{name}.json"
            try:
                record = read_record(path)
            except UserError as error:  # which names the file, and a table's note is to be printed anywhere
                raise UserError(f"no record {name} can be read") from error
            self._read[name] = record, stored_confusion(record, self.folder)
        return self._read[name]


def _name(column: str) -> str:
    """What harness.metrics calls the figure of a column, whose void rule is told apart."""
    return "miou" if column == "miou" else "accuracy"
