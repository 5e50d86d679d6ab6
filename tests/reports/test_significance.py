"""Marks of a table: who is best by the tests, what stays unmarked and why, and that nothing depends on the order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import by_hand, changed, marks_of, rows_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from reports.significance import with_tests
from reports.table import Table


def marked(table: Table, folder: Path, resamples: int = 400, level: float = 0.95) -> Table:
    return with_tests(table, folder, resamples=resamples, level=level, say=print)


def said(table: Table, start: str) -> list[str]:
    return [note for note in table.notes if note.startswith(start)]


SPREAD = {"low": 0.5, "high": 0.8, "top": 0.8, "middle": 0.65, "photos": 0.95}


def test_rows_that_none_beats_are_best_and_the_same_among_the_rest_are_second(tmp_path: Path) -> None:
    before = by_hand(tmp_path, rows_of(SPREAD))
    table = marked(before, tmp_path)
    expected = {"low": None, "high": "best", "top": "best", "middle": "second", "photos": None}
    for key in ("miou", "accuracy"):
        assert marks_of(table, key) == expected
    for key in ("fid", "parameters"):
        assert set(marks_of(table, key).values()) == {None}
    # Nothing else of the table is touched.
    plain = [[replace(cell, mark=None, interval=None) for cell in row.cells] for row in table.rows]
    assert plain == [list(row.cells) for row in before.rows]
    assert table.notes[: len(before.notes)] == before.notes
    assert replace(table, rows=before.rows, notes=before.notes, tests=()) == before


def test_the_notes_say_what_marks_mean_by_which_tests_and_what_one_seed_cannot_show(tmp_path: Path) -> None:
    table = marked(by_hand(tmp_path, rows_of(SPREAD)), tmp_path)
    assert table.notes[1:] == (
        "Bold: the rows of a column that no other is shown to beat; underlined: the same among the rest.",
        "Two-sided tests at 5% by Holm over the 12 tests of this table: mIoU, Accuracy by approximate randomisation "
        "over images.",
        "A test over images, by one seed, is of these trained networks, not of other trainings.",
        "FID: unmarked, 1 seed is too few for a test.",
    )


def test_every_segmentation_score_has_an_interval_the_ceiling_too_and_cost_and_distances_none(tmp_path: Path) -> None:
    table = marked(by_hand(tmp_path, rows_of(SPREAD)), tmp_path, level=0.9)
    for row in table.rows:
        for cell in row.cells[:2]:
            assert cell.interval is not None
            assert cell.mean is not None
            assert cell.interval.low < cell.mean < cell.interval.high
            assert (cell.interval.level, cell.interval.unit) == (0.9, "images")
        assert [cell.interval for cell in row.cells[2:]] == [None, None]


def test_tests_are_listed_in_the_tables_order_between_all_rows_but_the_ceiling(tmp_path: Path) -> None:
    table = marked(by_hand(tmp_path, rows_of(SPREAD)), tmp_path)
    pairs = [("low", "high"), ("low", "top"), ("low", "middle"), ("high", "top"), ("high", "middle"), ("top", "middle")]
    assert [test.rows for test in table.tests] == pairs * 2
    first = table.tests[0]
    low, high = (row.cells[0].mean for row in table.rows[:2])
    assert low is not None
    assert high is not None
    assert first.difference == pytest.approx(low - high)
    assert first.low is not None
    assert first.high is not None
    assert first.low < first.difference < first.high < 0
    assert first.p_holm == pytest.approx(min(1.0, 12 * first.p))


def test_where_nothing_is_shown_to_differ_nothing_is_marked_and_a_note_says_so(tmp_path: Path) -> None:
    table = marked(by_hand(tmp_path, rows_of({"one": 0.7, "other": 0.7})), tmp_path)
    assert set(marks_of(table, "miou").values()) == {None}
    assert said(table, "mIoU, Accuracy") == ["mIoU, Accuracy: unmarked, no row is shown to differ from another."]
    assert said(table, "Bold") == []


def test_too_few_resamples_for_so_many_tests_are_told(tmp_path: Path) -> None:
    table = marked(by_hand(tmp_path, rows_of(SPREAD)), tmp_path, resamples=30)
    assert set(marks_of(table, "miou").values()) == {None}
    assert "which 30 resamples could not show in so many tests" in table.notes[-2]


@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_distances_are_tested_over_seeds_where_these_can_show_anything(seeds: int, tmp_path: Path) -> None:
    rows = rows_of({"a": 0.6, "b": 0.6}, seeds, images=10)
    fid = {"a": [30.0 + n for n in range(seeds)], "b": [60.0 + n for n in range(seeds)]}
    table = marked(by_hand(tmp_path, rows, fid, keys=("fid",)), tmp_path)
    if seeds == 3:
        assert not table.tests
        assert table.notes[-1] == "FID: unmarked, 3 seeds are too few for a test."
    else:
        assert {test.test for test in table.tests} == {"exact permutation"}
        assert marks_of(table, "fid") == {"a": "best", "b": "second"}  # lower is better


def test_four_seeds_are_too_few_for_three_rows_and_a_note_says_so(tmp_path: Path) -> None:
    rows = rows_of({"a": 0.6, "b": 0.6, "c": 0.6}, 4, images=10)
    fid = {row: [level + n for n in range(4)] for row, level in (("a", 30.0), ("b", 60.0), ("c", 90.0))}
    table = marked(by_hand(tmp_path, rows, fid, keys=("fid",)), tmp_path)
    assert len(table.tests) == 3
    assert "which so few seeds could not show in so many tests" in table.notes[-1]


def test_several_seeds_are_tested_over_seeds_and_images_and_one_seed_among_them_over_images(tmp_path: Path) -> None:
    rows = rows_of({"a": 0.6, "b": 0.7}, seeds=3) | {"c": rows_of({"c": 0.8})["c"]}
    # The same labels: those of rows_of are drawn first, before any reading.
    table = marked(by_hand(tmp_path, rows), tmp_path)
    units = {test.rows: (test.test, test.unit) for test in table.tests}
    assert units == {
        ("a", "b"): ("seeds × images bootstrap", "seeds × images"),
        ("a", "c"): ("paired bootstrap", "images"),
        ("b", "c"): ("paired bootstrap", "images"),
    }
    assert any("bootstrap over seeds × images and paired bootstrap over images" in note for note in table.notes)
    assert said(table, "Over seeds × images") == [
        "Over seeds × images scores are taken as normal over seeds, which 3 seeds cannot check."
    ]


def test_an_interval_of_two_seeds_stays_a_share(tmp_path: Path) -> None:
    rows = {"a": [rows_of({"a": skill})["a"][0] for skill in (0.2, 0.9)]}
    interval = marked(by_hand(tmp_path, rows), tmp_path).rows[0].cells[0].interval
    assert interval is not None
    assert (interval.low, interval.high, interval.unit) == (0.0, 1.0, "seeds × images")


def test_a_mixed_column_is_unmarked_and_keeps_its_intervals(tmp_path: Path) -> None:
    table = marked(changed(by_hand(tmp_path, rows_of(SPREAD)), 0, mixed=True), tmp_path)
    assert set(marks_of(table, "miou").values()) == {None}
    assert said(table, "mIoU:") == ["mIoU: unmarked, scored by more than one protocol."]
    assert all(row.cells[0].interval for row in table.rows)
    assert marks_of(table, "accuracy")["high"] == "best"


def test_a_table_with_nothing_to_compare_says_nothing(tmp_path: Path) -> None:
    table = by_hand(tmp_path, rows_of({"a": 0.5, "photos": 0.9}))
    got = marked(table, tmp_path)
    assert (got.tests, got.notes) == ((), table.notes)
    assert got.rows[0].cells[0].interval
    empty = replace(table, rows=())
    assert marked(empty, tmp_path) == empty


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"level": 1.0}])
def test_a_wrong_level_or_number_of_resamples_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError):
        with_tests(by_hand(tmp_path, rows_of({"a": 0.5})), tmp_path, say=print, **wrong)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(5)), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_no_bit_and_marks_follow_from_the_tests(
    order: list[int], seed: int, tmp_path: Path
) -> None:
    skills = dict(zip(SPREAD, np.random.default_rng(seed).choice([0.6, 0.62, 0.65, 0.7], 5), strict=True))
    counts = {"low": 9, "high": 9, "top": 1, "middle": 2, "photos": 1}  # 9 against 9: splits are drawn
    many = rows_of(skills, seeds=9, images=12)
    rows = {row: many[row][: counts[row]] for row in skills}
    rng = np.random.default_rng(seed)
    fid = {row: rng.normal(50, 5, counts[row]).tolist() for row in rows}
    table = by_hand(tmp_path, rows, fid)
    table = (
        replace(table, rows=tuple(row for row in table.rows if len(row.cells[0].values) == 9)) if seed % 2 else table
    )
    one = marked(table, tmp_path, resamples=199)
    assert marked(table, tmp_path, resamples=199) == one
    turned = [table.rows[n] for n in order if n < len(table.rows)]
    other = marked(replace(table, rows=tuple(turned)), tmp_path, resamples=199)
    assert {row.key: row for row in other.rows} == {row.key: row for row in one.rows}
    assert sorted(other.notes) == sorted(one.notes)
    p_values = {(test.column, frozenset(test.rows)): (test.p, test.p_holm) for test in one.tests}
    assert {(test.column, frozenset(test.rows)): (test.p, test.p_holm) for test in other.tests} == p_values
    for column in one.columns:
        beaten = set()
        for test in one.tests:
            if test.column == column.key and test.p_holm <= 0.05:
                beaten.add(test.rows[(test.difference < 0) == column.lower_is_better])
        marks = marks_of(one, column.key)
        assert {row for row, mark in marks.items() if mark == "best"} == (
            {row for row in marks if row != "photos"} - beaten if beaten else set()
        )


def test_a_table_of_very_many_rows_is_not_tested_pair_by_pair_and_says_so(tmp_path: Path) -> None:
    table = marked(by_hand(tmp_path, rows_of({f"row {n}": 0.5 + 0.01 * n for n in range(25)})), tmp_path)
    assert table.tests == ()
    assert set(marks_of(table, "miou").values()) == {None}
    assert said(table, "mIoU") == [
        "mIoU, Accuracy, FID: unmarked, 25 rows are too many to be tested pair by pair (choose some with --methods)."
    ]


def test_very_many_trainings_are_not_tested_pair_by_pair_either(tmp_path: Path) -> None:
    table = by_hand(tmp_path, rows_of({"low": 0.5, "high": 0.8}))
    rows = tuple(
        replace(row, cells=tuple(replace(cell, values=cell.values * 101) for cell in row.cells)) for row in table.rows
    )
    assert said(marked(replace(table, rows=rows), tmp_path), "mIoU")[0].startswith(
        "mIoU, Accuracy, FID: unmarked, 202 trainings are too many"
    )


def test_rows_that_are_one_training_under_two_names_are_told_and_not_tested_against_each_other(tmp_path: Path) -> None:
    table = by_hand(tmp_path, rows_of(SPREAD))
    high, top = (next(row for row in table.rows if row.key == key) for key in ("high", "top"))
    twin = replace(top, cells=high.cells)
    found = marked(replace(table, rows=tuple(twin if row is top else row for row in table.rows)), tmp_path)
    assert not [test for test in found.tests if set(test.rows) == {"high", "top"}]
    assert {frozenset(test.rows) for test in found.tests} >= {frozenset({"high", "low"}), frozenset({"top", "low"})}
    (note,) = [note for note in found.notes if "under two names" in note]
    assert note.startswith(f"{high.title} and {top.title}: ")
