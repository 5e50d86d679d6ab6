"""reports.records: what is read from a folder, and which record belongs to which row."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.grid import Grid, parse_grid
from harness.errors import UserError
from reports.records import read_records, select

Make = Callable[..., dict[str, Any]]


def test_records_are_read_by_file_name_and_files_being_written_are_left_alone(
    tmp_path: Path, save: Callable[[dict[str, Any]], Path], full: list[dict[str, Any]]
) -> None:
    for record in reversed(full):
        save(record)
    (tmp_path / "records" / ".spade.1.ab.json").write_text("{", encoding="utf-8")
    found = read_records(tmp_path)
    assert [r["id"] for r in found] == sorted(r["id"] for r in full)
    assert sorted(found, key=lambda r: r["id"]) == sorted(full, key=lambda r: r["id"])


def test_a_folder_without_records_yet_has_none(tmp_path: Path) -> None:
    assert read_records(tmp_path / "nothing") == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1', "\x00", "[" * 100_000])
def test_a_broken_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records" / "half.json"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"records/half\.json: ") as caught:
        read_records(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("schema", [0, 2, None, "1"])
def test_a_record_of_another_schema_is_refused(
    tmp_path: Path, make: Make, save: Callable[[dict[str, Any]], Path], schema: Any
) -> None:
    save(make(schema=schema))
    with pytest.raises(UserError, match=rf"record of schema {schema}, this version reads 1"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    "lost",
    [
        "status",
        "id",
        "method",
        "title",
        "suite",
        "seed",
        "config",
        "config.overrides",
        "protocol",
        "protocol.segmentation",
        "protocol.distance.hash",
        "scores",
        "cost",
        "notes",
        "provenance.finished",
        "provenance.spadebench",
    ],
)
def test_a_record_that_lacks_a_key_is_refused_with_the_key(
    tmp_path: Path, make: Make, save: Callable[[dict[str, Any]], Path], lost: str
) -> None:
    record = make()
    path = save(record)
    *parents, last = lost.split(".")
    inside = record
    for part in parents:
        inside = inside[part]
    del inside[last]
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match=rf"record lacks '{lost}") as caught:
        read_records(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"seed": "0"}, {"seed": True}, {"scores": []}, {"protocol": "x"}, {"notes": [1]}, {"config": {"overrides": []}}],
)
def test_a_record_with_a_key_of_another_type_is_refused(
    tmp_path: Path, make: Make, save: Callable[[dict[str, Any]], Path], changes: dict[str, Any]
) -> None:
    save(make() | changes | {"id": "odd"})
    with pytest.raises(UserError, match=r"odd\.json"):
        read_records(tmp_path)


def test_a_record_of_an_unknown_status_is_refused(
    tmp_path: Path, make: Make, save: Callable[[dict[str, Any]], Path]
) -> None:
    save(make(status="running"))
    with pytest.raises(UserError, match="record of status 'running', which is neither done nor failed"):
        read_records(tmp_path)


def test_a_record_of_a_failed_cell_needs_no_scores_and_fills_no_row(
    tmp_path: Path, table1: Grid, save: Callable[[dict[str, Any]], Path]
) -> None:
    error = {"type": "RuntimeError", "message": "no luck", "where": "", "traceback": ""}
    failed = {"schema": 1, "id": "f", "cell": "f", "method": "spade", "suite": "cityscapes", "seed": 0}
    told = {"title": "SPADE", "protocol": {"hash": "0"}, "provenance": {"finished": "2026-01-01T00:00:00+00:00"}}
    save({**failed, **told, "status": "failed", "config": {"overrides": {}}, "error": error})
    picked = select(read_records(tmp_path), table1, "cityscapes")
    assert [one.records for one in picked] == [()] * 4
    assert [one.missing for one in picked] == [(0,), (0,), (0,), ()]
    assert sum(len(one.failed) for one in picked) == 1


def test_the_latest_finished_record_is_taken_whatever_the_order_and_the_time_zone(make: Make, table1: Grid) -> None:
    times = ["2026-01-02T03:00:00+00:00", "2026-01-02T05:00:00+01:00", "2026-01-02T03:59:59Z", "2026-01-02T02:00:00"]
    records = [make(finished=time, id=f"r{i}") for i, time in enumerate(times)]
    for seed in range(5):
        random.Random(seed).shuffle(records)
        assert select(records, table1, "cityscapes")[0].records[0]["id"] == "r1"


def test_records_that_finished_together_are_told_apart_by_id(make: Make, table1: Grid) -> None:
    records = [make(id="a"), make(id="b")]
    assert select(records, table1, "cityscapes")[0].records[0]["id"] == "b"
    assert select(records[::-1], table1, "cityscapes")[0].records[0]["id"] == "b"


def test_a_time_that_is_none_is_refused(make: Make, table1: Grid) -> None:
    records = [make(finished="2026-01-02"), make(finished="yesterday", id="z")]
    with pytest.raises(UserError, match="'yesterday' is no ISO 8601 time"):
        select(records, table1, "cityscapes")


@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "ade20k"},
        {"seed": 1},
        {"method": "crn"},
        {"overrides": {"generator.ngf": 32}},
        {"config": None},
        {"config": {"init_from": "abcd", "overrides": {}}},
    ],
)
def test_a_record_of_another_cell_fills_no_row(make: Make, table1: Grid, changes: dict[str, Any]) -> None:
    assert all(not one.records for one in select([make(**changes)], table1, "cityscapes"))


def test_a_row_takes_the_record_with_its_overrides_and_seeds_in_grid_order(make: Make) -> None:
    grid = parse_grid(
        "{methods: [spade, {name: spade, set: {generator.ngf: 16, norms: [a, b]}}], seeds: [2, 0], set: {lr: 1}}",
        "g",
        "g",
    )
    records = [make(seed=seed, overrides={"lr": 1.0}, id=f"plain{seed}") for seed in (0, 1, 2)]
    records.append(make(overrides={"norms": ["a", "b"], "generator.ngf": 16, "lr": 1}, id="narrow0"))
    plain, narrow = select(records, grid, "cityscapes")
    assert [r["id"] for r in plain.records] == ["plain2", "plain0"]
    assert ([r["id"] for r in narrow.records], narrow.missing) == (["narrow0"], (2,))


def test_true_and_one_are_different_overrides(make: Make) -> None:
    grid = parse_grid("{methods: [spade], set: {generator.vae: true}}", "g", "g")
    assert not select([make(overrides={"generator.vae": 1})], grid, "cityscapes")[0].records
    assert select([make(overrides={"generator.vae": True})], grid, "cityscapes")[0].records


def test_the_ceiling_row_comes_last_and_only_where_the_grid_has_one(full: list[dict[str, Any]], table1: Grid) -> None:
    picked = select(full, table1, "cityscapes")
    assert picked[-1].row is None
    assert picked[-1].records[0]["method"] == "photos"
    without = parse_grid("methods: [spade]", "g", "g")
    assert [one.row is None for one in select(full, without, "cityscapes")] == [False]


def test_a_checkpoint_on_the_way_never_takes_a_row(make: Make, table1: Grid) -> None:
    done = make(source={"kind": "generator", "iteration": 100})
    later = make(source={"kind": "generator", "iteration": 50}, finished="2027-01-01T00:00:00+00:00", id="on-the-way")
    picked = select([done, later], table1, "cityscapes")
    assert [r["id"] for r in picked[0].records] == [done["id"]]


def test_records_of_the_protocol_of_most_rows_come_before_later_ones(make: Make, table1: Grid) -> None:
    rows = [make(method) for method in ("spade", "pix2pixhdpp", "photos")]
    other = {**rows[0]["protocol"], "hash": "dddd00000000"}
    again = [
        make(method, protocol=other, id=f"{method}-again", finished="2027-01-01T00:00:00+00:00")
        for method in ("spade", "photos")
    ]
    picked = select([*rows, *again], table1, "cityscapes")
    assert [one.records[0]["id"] for one in picked if one.records] == [r["id"] for r in rows]
