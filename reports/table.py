"""Table and Cell: what a report says, once, before any format. Every renderer reads these."""

from __future__ import annotations

import math
import statistics
import unicodedata
from dataclasses import dataclass
from typing import Literal

from reports.published import Published

MISSING = "—"
FILLED_BY = "Missing figures are filled by: "  # and the command, to the end of the note
Mark = Literal["best", "second"]


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a cell's mean, in the record's units.

    level: 0.95 for 95%. unit: what is taken as drawn at random, `images` or `seeds × images`.
    """

    low: float
    high: float
    level: float
    unit: str


@dataclass(frozen=True)
class RowTest:
    """A two-sided test between two rows in one column, the first less the second, in the record's units.

    p_holm: adjusted for all tests of the table. low, high: the difference's interval, None where the test has none.
    """

    column: str
    rows: tuple[str, str]
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    test: str
    unit: str


@dataclass(frozen=True)
class Column:
    """A column of a table.

    key: the metric, as under `scores` or `cost` of a record. scale: from a record's figure to the
    printed one (100 for percent). unit: of the printed figure. mixed: whether its cells were scored
    by more than one protocol. measured: False for what no harness measures, such as a human study. flags:
    what else forbids a comparison of its cells, such as `random weights`.
    """

    key: str
    name: str
    lower_is_better: bool
    decimals: int = 1
    scale: float = 1.0
    unit: str = ""
    mixed: bool = False
    measured: bool = True
    flags: tuple[str, ...] = ()

    @property
    def percent(self) -> bool:
        return self.unit == "%"

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.lower_is_better else "↑"

    @property
    def header(self) -> str:
        """Name, unit where it is not percent, arrow; and a warning where its cells do not compare."""
        unit = "" if self.unit in ("", "%") else f" ({self.unit})"
        arrow = f" {self.arrow}" if self.measured else ""
        return f"{self.name}{unit}{arrow}" + (f" ({', '.join(self.warnings)})" if self.warnings else "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why its cells do not compare."""
        return (("mixed protocols",) if self.mixed else ()) + self.flags

    def text(self, printed: float, signed: bool = False) -> str:
        """A figure in printed units as text; a true minus sign, and no sign on zero."""
        size = f"{abs(printed):.{self.decimals}f}"
        if float(size) == 0 or (printed > 0 and not signed):
            return size
        return ("−" if printed < 0 else "+") + size


@dataclass(frozen=True)
class Cell:
    """What a row has in a column.

    values: the measured figure of each seed, in the record's units (fractions), empty where there is
    none. seeds: of the values, None for photos. records: ids of the records behind the values.
    protocols: hash of the protocol half that made each value; empty for cost. published: the figure
    of the paper. notes: footnotes of this cell. interval, mark: what the tests of reports/significance.py
    say of it, None before they ran and where they say nothing.
    """

    column: str
    lower_is_better: bool
    values: tuple[float, ...] = ()
    seeds: tuple[int | None, ...] = ()
    records: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    published: Published | None = None
    notes: tuple[str, ...] = ()
    interval: Interval | None = None
    mark: Mark | None = None

    @property
    def mean(self) -> float | None:
        """Mean over seeds (float64), or None where nothing was measured."""
        return math.fsum(self.values) / len(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over seeds, or None with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Row:
    """A row of a table, one cell for each column.

    ceiling: the real photos, set apart by renderers. published: a row of another paper, with nothing to measure.
    """

    key: str
    title: str
    cells: tuple[Cell, ...]
    ceiling: bool = False
    notes: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True)
class Table:
    """A table of one suite.

    signatures: one line for each protocol behind a number, printed under the table in every format.
    notes: on the whole table. tests: between its rows, empty before they ran. intervals: whether the interval
    of a figure of one seed is printed behind it.
    """

    name: str
    title: str
    caption: str
    suite: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    signatures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tests: tuple[RowTest, ...] = ()
    intervals: bool = False


def measured_text(cell: Cell, column: Column) -> str:
    """The measured figure as printed: `62.3`, `62.3 ± 0.4`, or a dash."""
    if cell.mean is None:
        return MISSING
    # Every seed of a network costs the same, which needs no ± 0.
    same = not cell.protocols and cell.spread == 0
    spread = "" if cell.spread is None or same else f" ± {column.text(cell.spread * column.scale)}"
    return column.text(cell.mean * column.scale) + spread


def interval_text(cell: Cell, column: Column) -> str:
    """The interval of a figure of one seed as printed: `[57.9, 61.2]`; empty where there is none.

    Figures of several seeds have their spread instead.
    """
    if cell.interval is None or len(cell.values) != 1:
        return ""
    ends = (column.text(end * column.scale) for end in (cell.interval.low, cell.interval.high))
    return f"[{', '.join(ends)}]"


def delta(cell: Cell, column: Column) -> float | None:
    """Measured less published, in printed units, or None where one of them is missing."""
    if cell.mean is None or cell.published is None or cell.published.value is None:
        return None
    return cell.mean * column.scale - cell.published.value


def clean(text: str) -> str:
    """Text fit for one line of any format: control characters and lone surrogates dropped, space folded."""
    kept = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return " ".join(kept.split())
