"""Where a figure comes from: found by the words a reader would use, with all that is behind it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ablations.grid import Grid, load_grid, parse_grid
from harness.cells import load_suite, resolve
from harness.cli import app
from harness.commands.explain import lines
from harness.errors import UserError
from reports.build import build_table
from reports.explain import explain, find_column, find_row, repeat_commands
from reports.published import Published
from reports.records import select
from reports.table import Table

Make = Callable[..., dict[str, Any]]
OASIS = Published(
    "1", "oasis", "OASIS", "cityscapes", "miou", "69.3", 69.3, "%", "unverified", "arXiv 2012.04781, Table 1", ""
)


def explained(
    grid: Grid, records: list[dict[str, Any]], row: str, column: str, suite: str = "cityscapes", **changes: Any
) -> dict[str, Any]:
    table = build_table(grid, suite, records, **changes)
    picked = select(records, grid, suite)
    at = find_row(table, grid, row), find_column(table, column)
    return explain(table, grid, picked, *at, Path("runs"), "spadebench run it")


def test_a_figure_has_its_record_protocol_versions_data_and_commands(make: Make, table1: Grid) -> None:
    record = make()
    record["provenance"] |= {
        "git_commit": "abc",
        "training": {"git_commit": "def"},
        "data": {"scored": "5c0", "trained": "7ea"},
        "command": "spadebench run table1 --suite cityscapes",
    }
    told = explained(table1, [record], "spade", "miou")
    (figure,) = told["figures"]
    assert figure["record"] == record["id"]
    assert figure["file"] == f"runs/records/{record['id']}.json"
    assert (figure["value"], figure["printed"], figure["seed"]) == (0.6231, "62.3", 0)
    signature = "seg:drn_d_105@12345678 v1"
    assert figure["protocol"] == {
        "name": "native",
        "half": "segmentation",
        "signature": signature,
        "hash": "aaaa00000000",
    }
    assert (figure["git_commit"], figure["trained_at_git_commit"]) == ("abc", "def")
    assert figure["data"] == {"scored": "5c0", "trained": "7ea"}
    assert figure["command"] == "spadebench run table1 --suite cityscapes"
    assert told["published"][0]["source"] == "arXiv 1903.07291v2, Table 1"
    assert told["missing"] is None
    shown = "\n".join(lines(told))
    for said in (record["id"], "0.6231", signature, "aaaa00000000", "0.1.0", "abc (scored)", "7ea", "62.3 %"):
        assert said in shown
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("row", ["SPADE", "spade", " Spade "])
@pytest.mark.parametrize("column", ["miou", "mIoU", "mIoU ↑"])
def test_row_and_column_are_found_by_what_is_printed_or_by_their_key(
    full: list[dict[str, Any]], table1: Grid, row: str, column: str
) -> None:
    assert explained(table1, full, row, column)["printed"] == "62.3"


def test_a_row_is_found_by_its_label_or_its_method(make: Make) -> None:
    grid = parse_grid("methods: [{name: spade, label: ours, set: {a: 1}}, pix2pixhd]", "g", "g")
    records = [make(overrides={"a": 1})]
    for name in ("ours", "spade"):
        assert explained(grid, records, name, "miou")["row"]["title"] == "ours"


def test_a_method_of_two_rows_has_to_be_said_by_title(make: Make) -> None:
    grid = parse_grid("methods: [{name: spade, label: a}, {name: spade, label: b, set: {x: 1}}]", "g", "g")
    with pytest.raises(UserError, match="2 rows are called 'spade' \\(say 'a' or 'b'\\)"):
        find_row(build_table(grid, "cityscapes", [make()]), grid, "spade")


def test_unknown_rows_and_columns_are_refused_with_the_nearest(table: Table, table1: Grid) -> None:
    with pytest.raises(UserError, match="no row is called 'spda' \\(did you mean spade"):
        find_row(table, table1, "spda")
    with pytest.raises(UserError, match="no column is called 'miuo' \\(did you mean miou"):
        find_column(table, "miuo")


@pytest.mark.parametrize("name", ["photos", "real photos", "Photos"])
def test_the_photos_have_no_seed_and_no_training(full: list[dict[str, Any]], table1: Grid, name: str) -> None:
    told = explained(table1, full, name, "distance")
    (figure,) = told["figures"]
    assert (figure["seed"], figure["protocol"]["half"], told["row"]["method"]) == (None, "distance", "photos")
    assert figure["repeat"] == ["spadebench evaluate --suite cityscapes --photos --out again"]


def test_every_seed_is_told_and_a_missing_one_with_its_command(make: Make, table1: Grid) -> None:
    grid = parse_grid("{methods: [spade], seeds: [0, 1, 2], columns: [miou]}", "g", "g")
    told = explained(grid, [make(seed=0), make(seed=2)], "spade", "miou")
    assert [figure["seed"] for figure in told["figures"]] == [0, 2]
    assert told["missing"] == {"seeds": [1], "failed": [], "command": "spadebench run it"}
    assert "  filled by     spadebench run it" in lines(told)


def test_a_record_without_the_figure_says_why(make: Make, table1: Grid) -> None:
    note = "not scored with feature net inception: no weight file"
    told = explained(table1, [make(scores={"miou": 0.5}, notes=[note])], "spade", "fid")
    assert told["figures"] == []
    assert told["without_figure"][0]["notes"] == [note]
    assert any(note in line for line in lines(told))


def test_a_note_of_a_distance_is_not_told_of_another_score(make: Make, table1: Grid) -> None:
    note = "fid of 200 images, fewer than 2048"
    assert note not in json.dumps(explained(table1, [make(notes=[note])], "spade", "miou"))
    assert explained(table1, [make(notes=[note])], "spade", "fid")["figures"][0]["notes"] == [note]


def test_a_published_figure_has_its_source_and_nothing_to_fill(table1: Grid) -> None:
    told = explained(table1, [], "OASIS", "miou", others=[OASIS])
    assert (told["figures"], told["missing"], told["row"]["method"]) == ([], None, None)
    assert told["published"][0]["source"] == "arXiv 2012.04781, Table 1"
    assert "  status        unverified" in lines(told)
    study = explained(load_grid("table2"), [], "sims", "spade_preferred", "coco_stuff")
    assert study["missing"] is None
    assert study["published"][0]["text"] == "N/A"
    assert "  published     N/A" in lines(study)


def test_both_published_values_of_one_figure_are_told(table1: Grid) -> None:
    told = explained(table1, [], "spade", "miou", "coco_stuff")
    assert [figure["text"] for figure in told["published"]] == ["37.4", "35.2"]


def test_a_cost_has_no_protocol(make: Make) -> None:
    grid = parse_grid("{methods: [spade], columns: [parameters]}", "g", "g")
    told = explained(grid, [make()], "spade", "parameters")
    assert told["figures"][0]["protocol"] is None
    assert not any(re.match(" *protocol", line) for line in lines(told))


def test_the_repeating_command_trains_the_very_cell(make: Make, tmp_path: Path) -> None:
    overrides = {"generator.ngf": 4, "generator.norm": {"name": "clade", "base": "batch"}, "precision": "bf16"}
    overrides |= {"schedule.iterations": 2, "optimiser.lr_generator": 1e-5}
    cell = resolve("spade", load_suite("toyscapes"), 3, overrides)
    record = make(suite="toyscapes", seed=3, cell=cell.id, config=cell.config)
    train, evaluate = repeat_commands(record)
    assert f"again/cells/{cell.id}/checkpoints/iteration_00000002.pt" in evaluate
    done = CliRunner().invoke(app, [*shlex.split(train)[1:], "--dry-run", "--json", "--out", str(tmp_path)])
    assert json.loads(done.stdout)["cell"] == cell.id


def test_what_decided_the_score_is_given_again(make: Make) -> None:
    record = make(suite="toyscapes")
    record["protocol"]["name"] = "mine"
    record["provenance"]["command"] = (
        "spadebench run g.yaml --import a.py --import=b.py --protocol 'my folder/mine.yaml' --features none --out x"
    )
    train, evaluate = repeat_commands(record)
    assert train.endswith("--import a.py --import b.py --out again")
    assert "--features none --protocol 'my folder/mine.yaml' --import a.py --import b.py --out again" in evaluate


@pytest.mark.parametrize("changes", [{"config": None}, {"source": {"kind": "folder"}}, {"rescored": True}])
def test_what_no_training_here_made_is_repeated_by_its_first_command(make: Make, changes: dict[str, Any]) -> None:
    record = make(**{key: value for key, value in changes.items() if key != "rescored"})
    record["provenance"]["command"] = "spadebench evaluate --images a"
    if "rescored" in changes:
        record["provenance"]["rescored_from"] = "b"
    assert repeat_commands(record) == ["spadebench evaluate --images a"]
