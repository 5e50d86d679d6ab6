"""What is not put into one column: every way in which two figures under one name may not compare."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ablations.grid import Grid, parse_grid
from harness.errors import UserError
from reports.build import build_table
from reports.layout import lay_out
from reports.records import select

Make = Callable[..., dict[str, Any]]


def two(columns: str = "miou, accuracy, distance", seeds: str = "0") -> Grid:
    return parse_grid(f"{{methods: [spade, pix2pixhd], seeds: [{seeds}], columns: [{columns}]}}", "two", "two")


def trained_on(record: dict[str, Any], data: str, **suite: Any) -> dict[str, Any]:
    """The record of a training on data of this fingerprint."""
    made = copy.deepcopy(record)
    made["config"]["suite"] = {"name": made["suite"], "data_options": {}, **suite}
    made["provenance"]["data"] = {"scored": "5c0", "trained": data}
    return made


def by_code(record: dict[str, Any], code: str, **changes: Any) -> dict[str, Any]:
    """The record of a training by another version of the method's code."""
    made = copy.deepcopy({**record, "id": f"{record['id']}-{code}", **changes})
    made["config"]["code"] = code
    return made


RANDOM_SEGMENTER = "segmenter drn_d_105: Random weights, so mIoU and accuracy are no scores"
RANDOM_NET = "feature net inception: random weights, so its distance is no score"


@pytest.mark.parametrize(
    ("note", "flagged"),
    [(RANDOM_SEGMENTER, [True, True, False]), (RANDOM_NET, [False, False, True]), ("random weights", [True] * 3)],
)
def test_a_score_by_random_weights_is_refused_and_with_mix_its_columns_say_so(
    make: Make, note: str, flagged: list[bool]
) -> None:
    record = make(notes=[note])
    with pytest.raises(UserError, match=f"record {record['id']}: scored with random weights") as caught:
        build_table(two(), "cityscapes", [record])
    assert "\n" not in str(caught.value)
    table = build_table(two(), "cityscapes", [record], mix=True)
    assert ["random weights" in column.header for column in table.columns] == flagged


def test_random_weights_are_seen_in_the_signature_too(make: Make) -> None:
    record = make()
    record["protocol"]["segmentation"]["signature"] = "seg:drn_d_105@random v2"
    with pytest.raises(UserError, match="scored with random weights"):
        build_table(two("miou"), "cityscapes", [record])


def test_random_weights_of_the_other_half_spoil_no_column(make: Make) -> None:
    table = build_table(two("miou"), "cityscapes", [make(notes=[RANDOM_NET])])
    assert table.columns[0].flags == ()


def test_distances_by_other_weights_of_one_feature_net_are_not_mixed(make: Make) -> None:
    scores = {"miou": 0.5, "accuracy": 0.8, "fd_x": 3.0}
    records = [make(scores=scores), make("pix2pixhd", scores=scores, distance="eeee00000000")]
    with pytest.raises(UserError, match="column FD x would mix protocols"):
        build_table(two(), "cityscapes", records)
    mixed = build_table(two(), "cityscapes", records, mix=True)
    assert [column.header for column in mixed.columns] == ["mIoU ↑", "Accuracy ↑", "FD x ↓ (mixed protocols)"]


def test_the_ceiling_is_not_mixed_with_rows_of_another_protocol(make: Make, table1: Grid) -> None:
    with pytest.raises(UserError, match=r"SPADE: aaaa00000000; real photos: dddd00000000"):
        build_table(table1, "cityscapes", [make(), make("photos", segmentation="dddd00000000")])


def test_a_row_that_a_missing_net_left_without_a_distance_stays_empty(make: Make) -> None:
    note = "not scored with feature net inception: no weight file"
    lacks = make("pix2pixhd", scores={"miou": 0.5, "accuracy": 0.8}, notes=[note], distance="eeee00000000")
    table = build_table(two(), "cityscapes", [make(), lacks])
    assert [row.cells[2].values for row in table.rows] == [(71.84,), ()]
    assert not table.columns[2].warnings
    assert f"not in record {lacks['id']}" in lay_out(table).footnotes
    assert note in lay_out(table).footnotes


def test_rows_trained_on_other_data_under_one_name_are_not_mixed(make: Make) -> None:
    records = [trained_on(make(), "a" * 64), trained_on(make("pix2pixhd"), "b" * 64)]
    with pytest.raises(UserError, match=r"different data under one name \(SPADE: a{12}; pix2pixHD: b{12}\)"):
        build_table(two("parameters, miou"), "cityscapes", records)
    mixed = build_table(two("parameters, miou"), "cityscapes", records, mix=True)
    assert [column.header for column in mixed.columns] == ["Parameters (M) ↓", "mIoU ↑ (mixed training data)"]


def test_rows_whose_configs_state_other_data_may_stand_together(make: Make) -> None:
    half = trained_on(make("pix2pixhd"), "b" * 64, data_options={"share": 0.5})
    table = build_table(two("miou"), "cityscapes", [trained_on(make(), "a" * 64), half])
    assert not table.columns[0].warnings


def test_seeds_of_a_row_are_of_one_code_the_complete_one(make: Make) -> None:
    later = "2027-01-01T00:00:00+00:00"
    old = [by_code(make(seed=seed), "old") for seed in (0, 1)]
    new = by_code(make(seed=0, finished=later), "new")
    grid = two("miou", "0, 1")
    assert [r["id"] for r in select([*old, new], grid, "cityscapes")[0].records] == [r["id"] for r in old]
    both = [new, by_code(make(seed=1, finished=later), "new")]
    assert [r["id"] for r in select([*old, *both], grid, "cityscapes")[0].records] == [r["id"] for r in both]


def test_a_seed_by_another_code_is_left_out_and_the_table_says_so(make: Make) -> None:
    records = [by_code(make(seed=seed), code) for seed, code in ((0, "a"), (1, "b"), (2, "b"))]
    table = build_table(two("miou", "0, 1, 2"), "cityscapes", records)
    assert table.rows[0].cells[0].seeds == (1, 2)
    said = "SPADE: left out seed 0, trained by another config or code of the method than the others."
    assert said in table.notes
    assert any(note.startswith("Missing figures are filled by") for note in table.notes)


def test_an_override_written_as_another_kind_of_number_is_no_other_training(make: Make) -> None:
    grid = parse_grid("{methods: [spade], seeds: [0, 1], set: {lr: 1}}", "g", "g")
    records = [make(seed=0, overrides={"lr": 1}), make(seed=1, overrides={"lr": 1.0})]
    assert len(select(records, grid, "cityscapes")[0].records) == 2


def test_rows_of_one_method_have_keys_of_their_own(make: Make) -> None:
    grid = parse_grid("methods: [spade, {name: spade, set: {generator.ngf: 16}}]", "g", "g")
    keys = [row.key for row in build_table(grid, "cityscapes", [make()]).rows]
    assert keys == ["spade", "spade, generator.ngf=16"]
