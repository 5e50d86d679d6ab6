"""What is behind the cells of a table: the confusions of its records by their own rules, or a reason in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade import by_hand, marks_of, rows_of

import reports.scored
from ablations.grid import load_grid
from reports.build import build_table
from reports.records import read_records
from reports.significance import with_tests
from reports.table import Table

MEASURED = Path(__file__).parents[2] / "results" / "measured"


def marked(table: Table, folder: Path) -> Table:
    return with_tests(table, folder, resamples=200, say=print)


def said(table: Table, start: str) -> list[str]:
    return [note for note in table.notes if note.startswith(start)]


def _edit(path: Path, **changes: Any) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | changes), encoding="utf-8")


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "confusion gone": (lambda at: (at / "b-0.confusion.npz").unlink(), "its per-image confusion is not there (B)"),
    "confusion broken": (
        lambda at: (at / "b-0.confusion.npz").write_bytes(b"PK\x03\x04 no more"),
        "cannot read this confusion file, it is broken or something else (B)",
    ),
    "confusion of another": (
        lambda at: (at / "b-0.confusion.npz").write_bytes((at / "a-0.confusion.npz").read_bytes()),
        "the confusion is not that of the scores of record b-0 (B)",
    ),
    "record gone": (lambda at: (at / "b-0.json").unlink(), "no record b-0 can be read (B)"),
    "record broken": (lambda at: (at / "b-0.json").write_text("{", encoding="utf-8"), "no record b-0 can be read (B)"),
    "confusion elsewhere": (
        lambda at: _edit(at / "b-0.json", confusion="../b.npz"),
        "record b-0 names no confusion beside it (B)",
    ),
    "no confusion": (lambda at: _edit(at / "b-0.json", confusion=None), "record b-0 names no confusion beside it (B)"),
    "unknown rule": (
        lambda at: _edit(
            at / "b-0.json", protocol=json.loads((at / "b-0.json").read_text())["protocol"] | {"fields": {"void": 3}}
        ),
        "scored by more than one protocol",
    ),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_what_cannot_be_tested_leaves_the_column_unmarked_and_says_why(what: str, tmp_path: Path) -> None:
    table = by_hand(tmp_path, rows_of({"a": 0.5, "b": 0.8, "photos": 0.9}))
    harm, why = BROKEN[what]
    harm(tmp_path / "records")
    got = marked(table, tmp_path)
    assert not got.tests
    assert said(got, "mIoU, Accuracy") == [f"mIoU, Accuracy: unmarked, {why}."]
    assert str(tmp_path) not in "".join(got.notes)
    # The others keep their intervals.
    assert got.rows[0].cells[0].interval
    assert got.rows[2].cells[0].interval


def test_rows_of_other_images_are_not_tested(tmp_path: Path) -> None:
    rows = rows_of({"a": 0.5}) | {"b": rows_of({"b": 0.8}, images=39)["b"]}
    table = marked(by_hand(tmp_path, rows), tmp_path)
    assert not table.tests
    assert "not of the same images" in said(table, "mIoU, Accuracy: unmarked")[0]
    assert all(row.cells[0].interval for row in table.rows)


def test_a_ceiling_without_its_confusion_takes_nothing_from_the_rows(tmp_path: Path) -> None:
    table = by_hand(tmp_path, rows_of({"a": 0.5, "b": 0.8, "photos": 0.9}))
    (tmp_path / "records" / "photos-0.confusion.npz").unlink()
    got = marked(table, tmp_path)
    assert marks_of(got, "miou") == {"a": "second", "b": "best", "photos": None}
    assert got.rows[2].cells[0].interval is None


@pytest.mark.parametrize("fields", [{"class_mean": "all", "void": "wrong"}, {"class_mean": "present"}, {}])
def test_the_rules_are_those_of_the_record_and_of_version_1_where_it_names_none(
    fields: dict[str, str], tmp_path: Path
) -> None:
    keys = ("miou", "accuracy", "accuracy_void_wrong", "accuracy_void_ignored")
    table = marked(by_hand(tmp_path, rows_of({"a": 0.5, "b": 0.8}), keys=keys, fields=fields), tmp_path)
    assert len(table.tests) == 4
    for row in table.rows:
        for cell in row.cells:
            assert cell.interval is not None
            assert cell.mean is not None
            assert cell.interval.low < cell.mean < cell.interval.high
    by = {test.column: test for test in table.tests}
    same = "accuracy_void_wrong" if fields.get("void") == "wrong" else "accuracy_void_ignored"
    assert replace(by["accuracy"], column=same) == by[same]
    assert by["accuracy_void_wrong"].difference != by["accuracy_void_ignored"].difference


def test_long_work_is_told_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports.scored, "_LONG", 0.0)
    told: list[str] = []
    table = by_hand(tmp_path, rows_of({"a": 0.5, "b": 0.8}))
    with_tests(table, tmp_path, resamples=50, say=told.append)
    assert told == [f"tests between rows: images drawn for {n} of 2 rows" for n in (1, 2)]


def test_the_measured_tables_are_tested_from_their_own_confusions() -> None:
    out = MEASURED / "toyscapes"
    table = build_table(load_grid("table1"), "toyscapes", read_records(out))
    got = marked(table, out)
    filled = [row for row in got.rows if row.cells[0].values and not row.ceiling]
    assert len(got.tests) == len(filled) * (len(filled) - 1)
    assert all(row.cells[0].interval for row in filled)
