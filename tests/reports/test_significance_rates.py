"""Marks of tables made by hand: a known difference is found at the stated rate, and none is found where none is.

Stated: with alpha = 5%, a table without differences gets any mark in at most 5% of cases, over all its columns; a
row that is better by as much as is said below is the only best one in at least 90%. The bounds are a binomial's, which
a right rate breaks once in 1000 runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from handmade import by_hand, marks_of
from handmade import reading as read
from scipy import stats

from harness.metrics.confusion import Confusion
from reports.significance import with_tests
from reports.table import Table

ROWS = ("a", "b", "c")
ALPHA, FOUND = 0.05, 0.9


def at_most(trials: int, rate: float) -> int:
    return int(stats.binom.ppf(0.999, trials, rate))


def at_least(trials: int, rate: float) -> int:
    return int(stats.binom.ppf(0.001, trials, rate))


def confusions(
    rng: np.random.Generator, gain: float, images: int, seeds: int, spread: float
) -> dict[str, list[Confusion]]:
    """Three rows on the same images, hard ones hard for all; `a` reads `gain` more right. spread: of trainings."""
    pixels = rng.integers(20, 400, (images, 5))
    hard = 0.6 + rng.normal(0, 0.1, (images, 1)) + rng.normal(0, 0.05, (images, 5))
    own = {row: gain if row == "a" else 0.0 for row in ROWS}
    return {
        row: [
            read(rng, pixels, hard + own[row] + rng.normal(0, spread) + rng.normal(0, 0.05, (images, 5)))
            for _ in range(seeds)
        ]
        for row in ROWS
    }


def tables(
    folder: Path, trials: int, gain: float, better: float, images: int, seeds: int, spread: float
) -> list[Table]:
    """Simulated tables with their marks. better: by how many standard deviations of a training a's FID is lower."""
    rng, made = np.random.default_rng(seeds), []
    for _ in range(trials):
        rows = confusions(rng, gain, images, seeds, spread)
        fid = {row: rng.normal(50 - 3 * better * (row == "a"), 3, seeds).tolist() for row in ROWS}
        made.append(with_tests(by_hand(folder, rows, fid), folder, resamples=400, say=print))
    return made


def alarms(made: list[Table]) -> int:
    """Tables with any mark."""
    return sum(any(cell.mark for row in table.rows for cell in row.cells) for table in made)


def found(made: list[Table], key: str) -> int:
    """Tables that mark `a` alone as best and leave the two others to the second place."""
    return sum(marks_of(table, key) == {"a": "best", "b": "second", "c": "second"} for table in made)


def test_over_images_a_table_without_differences_is_marked_in_at_most_5_percent(tmp_path: Path) -> None:
    made = tables(tmp_path, trials=300, gain=0.0, better=0.0, images=40, seeds=1, spread=0.0)
    assert alarms(made) <= at_most(300, ALPHA)
    assert {test.unit for table in made for test in table.tests} == {"images"}
    assert {len(table.tests) for table in made} == {6}


def test_over_images_a_gain_of_4_points_is_found_in_9_of_10(tmp_path: Path) -> None:
    made = tables(tmp_path, trials=120, gain=0.04, better=0.0, images=40, seeds=1, spread=0.0)
    for key in ("miou", "accuracy"):
        assert found(made, key) >= at_least(120, FOUND), key


def test_over_images_trainings_of_equal_methods_are_told_apart_as_the_note_warns(tmp_path: Path) -> None:
    made = tables(tmp_path, trials=40, gain=0.0, better=0.0, images=40, seeds=1, spread=0.03)
    assert alarms(made) > 20
    assert all(any("these trained networks" in note for note in table.notes) for table in made)


def test_over_seeds_a_table_without_differences_is_marked_in_at_most_5_percent(tmp_path: Path) -> None:
    made = tables(tmp_path, trials=120, gain=0.0, better=0.0, images=40, seeds=5, spread=0.03)
    assert alarms(made) <= at_most(120, ALPHA)
    assert {(test.column, test.unit) for table in made for test in table.tests} == {
        ("miou", "seeds × images"),
        ("accuracy", "seeds × images"),
        ("fid", "seeds"),
    }
    assert {len(table.tests) for table in made} == {9}


def test_over_seeds_a_known_difference_of_methods_is_found_in_9_of_10_in_every_column(tmp_path: Path) -> None:
    made = tables(tmp_path, trials=60, gain=0.16, better=8.0, images=40, seeds=5, spread=0.03)
    for key in ("miou", "accuracy", "fid"):
        assert found(made, key) >= at_least(60, FOUND), key
