"""Which rows of a table are best by a test, not by the third decimal.

mIoU and accuracy are tested from the confusions beside the records, Fréchet distances over seeds, all by
harness.metrics. Here is what is tested against what, and what the table says of it (docs/statistics.md, "In a
table").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from harness.errors import UserError
from harness.metrics.significance import Comparison, check_level, holm, permutation_test
from reports.columns import metric_of
from reports.scored import Bench, Scored
from reports.table import Cell, Column, Interval, Mark, RowTest, Table, clean

Pair = tuple[int, int]
# All pairs of more would take minutes, and Holm over so many tests leaves little to be shown.
MOST_ROWS = 24
MOST_TRAININGS = 200


@dataclass
class _Found:
    """Of one column. rows: indices of the rows to be tested, in an order that is not the table's, so that the
    table's order decides no random number. tests: row i minus row j. reason: why the column stays unmarked."""

    rows: list[int]
    intervals: dict[int, Interval | None] = field(default_factory=dict)
    tests: dict[Pair, Comparison] = field(default_factory=dict)
    adjusted: dict[Pair, float] = field(default_factory=dict)
    marks: dict[int, Mark] = field(default_factory=dict)
    reason: str = ""


def with_tests(
    table: Table, folder: Path, *, resamples: int = 10_000, level: float = 0.95, say: Callable[[str], None]
) -> Table:
    """The table with intervals of its segmentation scores, tests between its rows, marks, and notes that say how.

    folder: that of `records/`, which holds the confusions. level: of the intervals; a difference is called where
    p, by Holm over all tests of the table, is at most 1 - level. say: told of work that takes a while. A column
    that cannot be tested stays unmarked and a note says why. Raises UserError for a wrong level or number of
    resamples only.
    """
    check_level(level)
    if resamples < 1:
        raise UserError(f"{resamples} resamples are too few", mend="take 1000 or more")
    bench = Bench(folder / "records", resamples, level, say)
    found = [_column(table, index, bench) for index in range(len(table.columns))]
    twins = _twins(table)
    for one in found:
        one.tests = {pair: test for pair, test in one.tests.items() if tuple(sorted(pair)) not in twins}
    family = [(one, pair) for one in found for pair in one.tests]
    p_values = [one.tests[pair].p for one, pair in family]
    # No p is no evidence.
    adjusted = holm([p if math.isfinite(p) else 1.0 for p in p_values])
    for (one, pair), p in zip(family, adjusted, strict=True):
        one.adjusted[pair] = p
    for one, column in zip(found, table.columns, strict=True):
        one.marks = _marks(one, column, 1 - level)
    rows = [
        replace(row, cells=tuple(_marked(cell, n, one) for cell, one in zip(row.cells, found, strict=True)))
        for n, row in enumerate(table.rows)
    ]
    tests = [test for one, column in zip(found, table.columns, strict=True) for test in _row_tests(one, column, table)]
    notes = [clean(note) for note in [*_notes(table.columns, found, level), *_of_twins(table, twins)]]
    return replace(table, rows=tuple(rows), tests=tuple(tests), notes=(*table.notes, *notes))


def _column(table: Table, index: int, bench: Bench) -> _Found:
    column = table.columns[index]
    half = metric_of(column.key).half
    cells = {n: row.cells[index] for n, row in enumerate(table.rows) if row.cells[index].values}
    ranked = sorted(
        (n for n in cells if not table.rows[n].ceiling), key=lambda n: (table.rows[n].key, cells[n].records)
    )
    one = _Found(ranked)
    if half is None:
        return one
    trainings = sum(len(cells[n].values) for n in ranked)
    if len(ranked) > MOST_ROWS or trainings > MOST_TRAININGS:
        many = f"{len(ranked)} rows" if len(ranked) > MOST_ROWS else f"{trainings} trainings"
        one.reason = f"{many} are too many to be tested pair by pair (choose some with --methods)"
        return one
    if column.mixed:
        one.reason = "scored by more than one protocol"
    elif column.flags:
        one.reason = ", ".join(column.flags)
    if half == "segmentation":
        _over_images(one, table, cells, bench)
    elif not one.reason and len(one.rows) > 1:
        _over_seeds(one, cells, bench)
    return one


def _twins(table: Table) -> list[Pair]:
    """Pairs of rows whose scores are equal to the last digit in every column: one training under two names, as where
    a suite has no loss that a row could leave out."""
    scores = [n for n, column in enumerate(table.columns) if metric_of(column.key).half is not None]
    told = {n: tuple(row.cells[at].values for at in scores) for n, row in enumerate(table.rows) if not row.ceiling}
    return [(i, j) for i, j in combinations(told, 2) if told[i] == told[j] and len([v for v in told[i] if v]) > 1]


def _of_twins(table: Table, twins: Sequence[Pair]) -> list[str]:
    return [
        f"{table.rows[i].title} and {table.rows[j].title}: equal in every score to the last digit, on this suite one "
        "training under two names; not tested against each other."
        for i, j in twins
    ]


def _over_seeds(one: _Found, cells: Mapping[int, Cell], bench: Bench) -> None:
    """Exact permutation, where no pair has so few seeds that nothing could be shown."""
    tests = {
        (i, j): permutation_test(cells[i].values, cells[j].values, cells[i].column, bench.resamples, bench.level)
        for i, j in combinations(one.rows, 2)
    }
    if all(test.smallest_p <= 1 - bench.level for test in tests.values()):
        one.tests = tests
        return
    fewest = min(len(cells[n].values) for n in one.rows)
    one.reason = f"{fewest} {'seed is' if fewest == 1 else 'seeds are'} too few for a test"


def _over_images(one: _Found, table: Table, cells: Mapping[int, Cell], bench: Bench) -> None:
    """Tests where all rows can be read, and were scored on the same images; intervals of all that can be read."""
    scored: dict[int, Scored] = {}
    for n, cell in cells.items():
        try:
            scored[n] = bench.scored(cell)
        except UserError as error:
            if not table.rows[n].ceiling:
                one.reason = one.reason or f"{error.what} ({table.rows[n].title})"
    if one.rows and not one.reason:
        try:
            found, tests = bench.compared(cells[one.rows[0]].column, [scored[n] for n in one.rows])
            one.intervals = dict(zip(one.rows, found, strict=True))
            one.tests = {(one.rows[i], one.rows[j]): test for (i, j), test in tests.items()}
        except UserError as error:
            one.reason = error.what
    for n in scored.keys() - one.intervals.keys():
        try:
            one.intervals[n] = bench.interval(cells[n].column, scored[n])
        except UserError as error:
            one.reason = one.reason or f"{error.what} ({table.rows[n].title})"


def _marks(one: _Found, column: Column, alpha: float) -> dict[int, Mark]:
    """`best`: the rows that no other is shown to beat, the one of the best mean among them. `second`: the same among
    the rest. None where that would be every row."""
    beaten = set()
    for (i, j), test in one.tests.items():
        if one.adjusted[i, j] <= alpha and test.difference != 0:
            beaten.add((i, j) if (test.difference < 0) == column.lower_is_better else (j, i))
    best = _unbeaten(one.rows, beaten)
    if len(best) == len(one.rows):
        return {}
    second = _unbeaten([n for n in one.rows if n not in best], beaten)
    return {**dict.fromkeys(best, "best"), **dict.fromkeys(second, "second")}


def _unbeaten(rows: Sequence[int], beaten: set[Pair]) -> list[int]:
    return [loser for loser in rows if not any((winner, loser) in beaten for winner in rows)]


def _marked(cell: Cell, row: int, one: _Found) -> Cell:
    return replace(cell, interval=one.intervals.get(row), mark=one.marks.get(row))


def _row_tests(one: _Found, column: Column, table: Table) -> list[RowTest]:
    """In the table's order, the row further up less the one below."""
    told = []
    for (i, j), test in sorted(one.tests.items(), key=lambda item: sorted(item[0])):
        difference, low, high = test.difference, _finite(test.low), _finite(test.high)
        if i > j:
            difference, low, high = -difference, _minus(high), _minus(low)
        first, second = (table.rows[n].key for n in sorted((i, j)))
        p = test.p if math.isfinite(test.p) else 1.0
        told.append(
            RowTest(column.key, (first, second), difference, low, high, p, one.adjusted[i, j], test.test, test.unit)
        )
    return told


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _notes(columns: Sequence[Column], found: Sequence[_Found], level: float) -> list[str]:
    every = [test for one in found for test in one.tests.values()]
    notes = []
    if any(one.marks for one in found):
        notes.append("Bold: the rows of a column that no other is shown to beat; underlined: the same among the rest.")
    if every:
        holm_over = f" by Holm over the {len(every)} tests of this table" if len(every) > 1 else ""
        notes.append(f"Two-sided tests at {100 * (1 - level):g}%{holm_over}: {_how(columns, found)}.")
    units = {test.unit for test in every}
    if "images" in units:
        notes.append("A test over images, by one seed, is of these trained networks, not of other trainings.")
    if "seeds × images" in units:
        fewest = min(min(test.seeds) for test in every if test.unit == "seeds × images")
        notes.append(f"Over seeds × images scores are taken as normal over seeds, which {fewest} seeds cannot check.")
    unmarked: dict[str, list[str]] = {}
    for column, one in zip(columns, found, strict=True):
        reason = _why_unmarked(one, 1 - level)
        if reason:
            unmarked.setdefault(reason, []).append(column.name)
    return [*notes, *(f"{', '.join(names)}: unmarked, {reason}." for reason, names in unmarked.items())]


def _how(columns: Sequence[Column], found: Sequence[_Found]) -> str:
    """Which columns by which tests."""
    by: dict[tuple[str, ...], list[str]] = {}
    for column, one in zip(columns, found, strict=True):
        tests = sorted({(test.test.removeprefix(f"{test.unit} "), test.unit) for test in one.tests.values()})
        if tests:
            by.setdefault(tuple(f"{name} over {unit}" for name, unit in tests), []).append(column.name)
    return "; ".join(f"{', '.join(names)} by {' and '.join(tests)}" for tests, names in by.items())


def _why_unmarked(one: _Found, alpha: float) -> str:
    """Empty where a column is marked, or has no two rows to tell apart."""
    if len(one.rows) < 2 or one.marks:
        return ""
    if not one.tests:
        return one.reason
    least = min(test.smallest_p for test in one.tests.values())
    nothing = "no row is shown to differ from another"
    # Holm multiplies the smallest p of a column by the number of its tests at least.
    if least * len(one.tests) <= alpha:
        return nothing
    first = next(iter(one.tests.values()))
    by = f"{first.resamples} resamples" if first.resamples else f"so few {first.unit}"
    return f"{nothing}, which {by} could not show in so many tests"
