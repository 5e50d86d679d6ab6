"""What goes into which cell of a table, and what is not put into one column."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ablations.grid import COLUMNS, Grid, parse_grid
from harness.errors import UserError
from reports.build import build_table
from reports.layout import lay_out
from reports.table import MISSING, Table

Make = Callable[..., dict[str, Any]]


def texts(table: Table) -> dict[str, list[str]]:
    return {line.title: [entry.text for entry in line.entries] for line in lay_out(table).lines}


def keys(table: Table) -> list[str]:
    return [column.key for column in table.columns]


def test_table1_shows_measured_published_and_their_difference(full: list[dict[str, Any]], table1: Grid) -> None:
    table = build_table(table1, "cityscapes", full)
    assert [row.title for row in table.rows] == ["SPADE", "pix2pixHD++", "pix2pixHD", "real photos"]
    assert [row.ceiling for row in table.rows] == [False, False, False, True]
    assert [column.header for column in table.columns] == ["mIoU ↑", "Accuracy ↑", "FID ↓"]
    shown = texts(table)
    # 62.31 - 62.3 = 0.01 is no difference at one decimal.
    assert shown["SPADE"] == ["62.3", "62.3", "0.0", "81.9", "81.9", "0.0", "71.8", "71.8", "0.0"]
    assert shown["pix2pixHD"] == ["58.3", "58.3", "0.0", "81.4", "81.4", "0.0", "95.0", "95.0", "0.0"]
    assert shown["pix2pixHD++"] == ["58.8", "", "", "81.1", "", "", "80.0", "", ""]
    assert shown["real photos"] == ["75.1", "", "", "90.0", "", "", "0.0", "", ""]


def test_a_cell_knows_its_records_its_protocol_half_and_its_direction(full: list[dict[str, Any]], table1: Grid) -> None:
    miou, _, fid = build_table(table1, "cityscapes", full).rows[0].cells
    assert miou.records == fid.records == (full[0]["id"],)
    assert (miou.protocols, fid.protocols) == (("aaaa00000000",), ("bbbb00000000",))
    assert (miou.lower_is_better, fid.lower_is_better) == (False, True)
    assert miou.values == (0.6231,)


def test_seeds_give_mean_and_sample_deviation(make: Make, table1: Grid) -> None:
    values = [0.5, 0.52, 0.57]
    records = [make(seed=seed, scores={"miou": v}, suite="toyscapes") for seed, v in enumerate(values)]
    grid = replace(table1, seeds=(0, 1, 2))
    cell = build_table(grid, "toyscapes", records).rows[0].cells[0]
    assert (cell.values, cell.seeds) == (tuple(values), (0, 1, 2))
    assert cell.mean == pytest.approx(0.53, abs=1e-12)
    assert cell.spread == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2), abs=1e-12)
    table = build_table(grid, "toyscapes", records)
    assert texts(table)["SPADE"][0] == "53.0 ± 3.6"
    assert "Mean ± sample standard deviation over 3 seeds." in table.notes


def test_a_cell_with_fewer_seeds_than_the_grid_says_so(make: Make, table1: Grid) -> None:
    records = [make(seed=seed, suite="toyscapes") for seed in (0, 2)]
    table = build_table(replace(table1, seeds=(0, 1, 2)), "toyscapes", records)
    assert "2 of 3 seeds" in table.rows[0].cells[0].notes
    assert any(note.startswith("Missing figures are filled by") for note in table.notes)


def test_a_table_without_records_says_which_command_fills_it(table1: Grid) -> None:
    table = build_table(table1, "toyscapes", [])
    assert {text for row in texts(table).values() for text in row} == {MISSING}
    assert table.notes == ("Missing figures are filled by: spadebench run table1 --suite toyscapes",)
    assert keys(table) == ["miou", "accuracy", "distance"]
    assert table.signatures == ()
    given = build_table(table1, "toyscapes", [], command="spadebench run table1 --seeds 3")
    assert given.notes == ("Missing figures are filled by: spadebench run table1 --seeds 3",)


def test_a_users_path_with_a_space_is_quoted_in_the_command() -> None:
    table = build_table(parse_grid("methods: [spade]", "my", "my grids/my.yaml"), "toyscapes", [])
    assert table.notes == ("Missing figures are filled by: spadebench run 'my grids/my.yaml' --suite toyscapes",)


def test_without_records_the_published_figures_still_show(table1: Grid) -> None:
    table = build_table(table1, "coco_stuff", [])
    assert keys(table) == ["miou", "accuracy", "fid"]
    assert texts(table)["SPADE"] == [MISSING, "37.4", "", MISSING, "67.9", "", MISSING, "22.6", ""]
    notes = " ".join(lay_out(table).footnotes)
    assert "35.2" in notes
    assert "38.8" in notes


def test_a_full_table_has_no_note_on_missing_figures(full: list[dict[str, Any]], table1: Grid) -> None:
    table = build_table(table1, "cityscapes", full)
    assert not any("Missing" in note for note in table.notes)


def test_distances_by_other_nets_get_columns_of_their_own_names(make: Make, table1: Grid) -> None:
    scores = {"miou": 0.5, "accuracy": 0.8, "fd_toyscapes": 0.01234, "fd_efficientnet_lite0": 3.456, "fid": None}
    table = build_table(table1, "toyscapes", [make(suite="toyscapes", scores=scores)])
    assert [c.header for c in table.columns[2:]] == ["FD efficientnet_lite0 ↓", "FD toyscapes ↓"]
    assert texts(table)["SPADE"] == ["50.0", "80.0", "3.46", "0.0123"]
    assert "FID" not in str([c.header for c in table.columns])


def test_another_nets_distance_is_not_compared_with_a_published_fid(make: Make, table1: Grid) -> None:
    table = build_table(table1, "cityscapes", [make(scores={"miou": 0.6, "fd_x": 12.0})])
    assert keys(table) == ["miou", "accuracy", "fd_x"]
    assert table.rows[0].cells[2].published is None


def test_where_some_record_has_fid_a_row_without_it_stays_empty_and_says_why(make: Make, table1: Grid) -> None:
    records = [make(), make("pix2pixhd", scores={"miou": 0.5, "accuracy": 0.8, "fd_x": 3.0})]
    table = build_table(table1, "cityscapes", records)
    assert keys(table) == ["miou", "accuracy", "fid"]
    cell = table.rows[2].cells[2]
    assert cell.values == ()
    assert any(note == f"not in record {records[1]['id']}" for note in cell.notes)


def test_protocols_are_not_mixed_in_a_column_unless_asked(make: Make, table1: Grid) -> None:
    records = [make(), make("pix2pixhd", segmentation="dddd00000000")]
    with pytest.raises(UserError) as caught:
        build_table(table1, "cityscapes", records)
    message = str(caught.value)
    assert "\n" not in message
    for said in ("mIoU", "SPADE: aaaa00000000", "pix2pixHD: dddd00000000", "--mix", "table1 on cityscapes"):
        assert said in message
    mixed = build_table(table1, "cityscapes", records, mix=True)
    assert [column.mixed for column in mixed.columns] == [True, True, False]
    assert mixed.columns[0].header == "mIoU ↑ (mixed protocols)"
    assert sum("segmentation:" in line for line in mixed.signatures) == 2


def test_another_feature_net_splits_no_column_of_miou(make: Make) -> None:
    records = [make(), make("pix2pixhd", distance="eeee00000000")]
    grid = parse_grid("{methods: [spade, pix2pixhd], columns: [miou, accuracy]}", "g", "g")
    assert not any(column.mixed for column in build_table(grid, "cityscapes", records).columns)


def test_seeds_of_one_row_by_two_protocols_are_mixed_too(make: Make, table1: Grid) -> None:
    records = [make(seed=0), make(seed=1, segmentation="dddd00000000")]
    with pytest.raises(UserError, match="would mix protocols"):
        build_table(replace(table1, seeds=(0, 1)), "cityscapes", records)


def test_cost_has_no_protocol_and_is_never_mixed(make: Make) -> None:
    records = [make(), make("pix2pixhd", segmentation="dddd00000000", distance="eeee00000000")]
    grid = parse_grid("{methods: [spade, pix2pixhd], columns: [parameters, multiply_adds]}", "g", "g")
    table = build_table(grid, "cityscapes", records)
    assert [c.header for c in table.columns] == ["Parameters (M) ↓", "Multiply-adds (G) ↓"]
    assert texts(table)["SPADE"] == ["93.0", "281.3"]


def test_a_cost_has_no_spread_over_seeds_and_is_not_missing_of_photos(make: Make) -> None:
    grid = parse_grid("{methods: [spade], seeds: [0, 1], ceiling: true, columns: [parameters, miou]}", "g", "g")
    table = build_table(grid, "toyscapes", [make(suite="toyscapes", seed=0), make(suite="toyscapes", seed=1)])
    assert texts(table)["SPADE"] == ["93.0", "62.3 ± 0.0"]
    photos = build_table(grid, "toyscapes", [make("photos", "toyscapes")]).rows[-1]
    assert photos.cells[0].notes == ()


def test_flags_of_a_record_become_footnotes_of_its_row(make: Make, table1: Grid) -> None:
    table = build_table(table1, "toyscapes", [make(suite="toyscapes", notes=["scoring segmenter used as a loss"])])
    line = lay_out(table).lines[0]
    assert [lay_out(table).footnotes[mark - 1] for mark in line.marks] == ["scoring segmenter used as a loss"]


@pytest.mark.parametrize("value", ["0.5", True, math.nan, math.inf, [0.5]])
def test_a_score_that_is_no_finite_number_is_refused(make: Make, table1: Grid, value: Any) -> None:
    with pytest.raises(UserError, match=r"under scores\.miou is no finite number"):
        build_table(table1, "cityscapes", [make(scores={"miou": value})])


@pytest.mark.parametrize(("key", "value"), [("miou", -1), ("miou", 7.5), ("accuracy", 1.01), ("fid", -0.1)])
def test_a_score_that_cannot_be_is_refused_with_its_record(make: Make, table1: Grid, key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"{value:g} under scores\.{key} is no (share|distance)") as caught:
        build_table(table1, "cityscapes", [make(scores={key: value})])
    assert make()["id"] in str(caught.value)


def test_an_unbiased_estimate_may_be_below_nought(make: Make, table1: Grid) -> None:
    table = build_table(table1, "cityscapes", [make(scores={"kid": -0.002, "fid": -1e-9})])
    assert keys(table) == ["miou", "accuracy", "fid", "kid"]


def test_a_note_stands_only_beside_the_figure_that_it_speaks_of(make: Make) -> None:
    notes = ["SIMS: multiply-adds are those of 12 segments", "fid of 200 images, fewer than 2048", "trained in bf16"]
    for columns, shown in (("miou", {2}), ("miou, multiply_adds", {0, 2}), ("distance", {1, 2})):
        grid = parse_grid(f"{{methods: [spade], columns: [{columns}]}}", "g", "g")
        table = build_table(grid, "cityscapes", [make(notes=notes)])
        assert set(table.rows[0].notes) == {notes[i] for i in shown}


def test_a_spread_is_named_only_where_a_cell_has_several_seeds(make: Make, table1: Grid) -> None:
    grid = replace(table1, seeds=(0, 1, 2))
    for other, said in ((0, "Seed 0."), (1, "Figures of one seed each.")):
        table = build_table(grid, "toyscapes", [make(suite="toyscapes"), make("pix2pixhd", "toyscapes", other)])
        assert table.notes[0] == said


def test_signatures_name_each_half_once_with_its_hash_and_the_version(full: list[dict[str, Any]], table1: Grid) -> None:
    assert build_table(table1, "cityscapes", full).signatures == (
        "segmentation: seg:drn_d_105@12345678 v1 #aaaa00000000",
        "distance: fd:inception@12345678 v1 #bbbb00000000",
        "spadebench 0.1.0",
    )


def test_overrides_are_said_in_the_row_or_under_the_table(make: Make) -> None:
    grid = parse_grid("{methods: [spade, {name: spade, set: {generator.ngf: 16}}], set: {lr: 0.1}}", "g", "g")
    records = [make(overrides={"lr": 0.1}), make(overrides={"lr": 0.1, "generator.ngf": 16}, id="narrow")]
    table = build_table(grid, "cityscapes", records)
    assert [row.title for row in table.rows] == ["SPADE", "SPADE, generator.ngf=16"]
    assert "All rows with lr=0.1." in table.notes


def test_a_label_wins_over_the_title_of_the_record(make: Make) -> None:
    grid = parse_grid("methods: [{name: spade, label: ours}]", "g", "g")
    assert build_table(grid, "cityscapes", [make()]).rows[0].title == "ours"


def test_an_unverified_published_figure_says_so(make: Make) -> None:
    grid = parse_grid("{methods: [{name: spade, published: spade_kernel5}], published: table4}", "g", "g")
    table = build_table(grid, "cityscapes", [make()])
    assert "published figure unverified: from memory alone" in lay_out(table).footnotes


def test_the_order_of_records_changes_nothing(full: list[dict[str, Any]], table1: Grid) -> None:
    expected = build_table(table1, "cityscapes", full)
    for seed in range(4):
        shuffled = random.Random(seed).sample(full, len(full))
        assert build_table(table1, "cityscapes", shuffled) == expected


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_a_grid_may_name_can_be_built(make: Make, column: str) -> None:
    grid = parse_grid(f"{{methods: [spade], columns: [{column}]}}", "g", "g")
    record = make()
    record["scores"] |= {"accuracy_void_ignored": 0.9, "kid": 0.01}
    (wanted,) = (c for c in build_table(grid, "cityscapes", [record]).columns if c.key != "kid" or column == "kid")
    table = build_table(grid, "cityscapes", [record])
    cell = next(cell for cell in table.rows[0].cells if cell.column == wanted.key)
    assert cell.mean is not None
