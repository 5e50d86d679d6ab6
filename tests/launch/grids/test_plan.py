"""Plans of grids: the same every time, and quick for a thousand cells."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from launch_stubs import done_record, failure, put, spec_of
from small import SMALL

from ablations.grid import Grid, load_grid, parse_grid
from harness.cells import load_suite, resolve
from harness.commands.grids import chosen_grid
from harness.commands.status import lines
from harness.errors import UserError
from harness.evaluation.bench import Bench, open_bench
from harness.evaluation.places import Places
from harness.launch.cells.prepare import check_planned, prepare
from harness.launch.grids.grid_plan import GridPlan, checked_cells, plan_grid
from harness.launch.grids.plan import How, distinct, grid_cells, read_spec, rows_to_check, write_spec
from harness.launch.grids.states import Target, observe_all
from harness.records import Store
from reports.build import build_table
from reports.records import read_records

LIMIT = 5.0  # seconds


@pytest.fixture(scope="module")
def bench() -> Bench:
    return open_bench(load_suite("toyscapes"), Places(), torch.device("cpu"), features=["toyscapes"])


def grid_of(rows: int, seeds: int) -> Grid:
    """Widths of SPADE, each with its seeds."""
    text = "methods:\n" + "".join(
        f"  - {{name: spade, label: row {i}, set: {{losses.feature_matching: {i + 1}.0}}}}\n" for i in range(rows)
    )
    grid = parse_grid(text, "many", "many.yaml")
    return replace(grid, seeds=tuple(range(seeds)), set=dict(SMALL))


def how(out: Path, bench: Bench) -> How:
    return How(out=str(out), protocol=bench.protocol.as_dict(), features=["toyscapes"])


def planned(out: Path, bench: Bench, grid: Grid) -> GridPlan:
    return plan_grid(grid, load_suite("toyscapes"), bench, how(out, bench))


def test_a_plan_is_the_same_every_time_and_writes_nothing(tmp_path: Path, bench: Bench) -> None:
    grid = grid_of(2, 2)
    one, two = planned(tmp_path, bench, grid), planned(tmp_path, bench, grid)
    assert one.specs == two.specs
    assert list(tmp_path.iterdir()) == []
    suite = load_suite("toyscapes")
    resolved = [resolve(row.name, suite, seed, grid.overrides(row)).id for row in grid.methods for seed in (0, 1)]
    assert [spec.cell for spec in one.specs] == resolved


def test_cells_of_one_method_are_called_after_their_rows(tmp_path: Path, bench: Bench) -> None:
    text = "methods: [spade, {name: spade, label: two, set: {a: 2}}, {name: spade, set: {a: 1}}]".replace(
        "a:", "losses.kld:"
    )
    grid = replace(parse_grid(text, "named", "named.yaml"), set=dict(SMALL))
    expected = ["spade", "two", "spade (losses.kld=1)"]
    assert [spec.name for spec in planned(tmp_path, bench, grid).specs] == [f"{n}-toyscapes-seed0" for n in expected]


def test_a_spec_read_back_is_the_spec_that_was_written(tmp_path: Path, bench: Bench) -> None:
    spec = planned(tmp_path, bench, replace(grid_of(1, 1), ceiling=True)).specs
    for each in spec:
        assert read_spec(write_spec(each)) == each
    spec[0].path.write_text("{")
    with pytest.raises(UserError, match="cannot read this spec"):
        read_spec(spec[0].path)
    spec[0].path.write_text('{"spec": 1, "how": {}, "colour": 1}')
    with pytest.raises(UserError, match="unknown field 'colour'"):
        read_spec(spec[0].path)


def test_what_is_prepared_is_what_was_planned(tmp_path: Path, bench: Bench) -> None:
    spec = planned(tmp_path, bench, grid_of(1, 1)).specs[0]
    ready = prepare(spec, lambda line: None)
    assert ready.cell is not None
    assert ready.cell.id == spec.cell
    with pytest.raises(UserError, match="the code of this cell changed"):
        prepare(replace(spec, cell="0" * 12), lambda line: None)
    with pytest.raises(UserError, match="segmenter or feature nets changed"):
        check_planned(replace(spec, record=f"{spec.cell}-{'0' * 12}"), bench)


def test_in_a_long_grid_one_row_is_tried_for_each_method_and_set_of_overridden_names() -> None:
    suite = load_suite("toyscapes")
    assert len(rows_to_check(grid_cells(grid_of(3, 2), suite), 2)) == 3
    grid = grid_of(9, 2)
    grid = replace(grid, methods=(*grid.methods, replace(grid.methods[0], set={}, label="plain")))
    assert len(rows_to_check(grid_cells(grid, suite), 2)) == 2


def test_two_spellings_of_one_cell_are_worked_on_once(tmp_path: Path) -> None:
    one = spec_of(tmp_path)
    assert distinct([one, replace(one, overrides={"a": 1}), spec_of(tmp_path, "b" * 12)]) == [
        one,
        spec_of(tmp_path, "b" * 12),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("methods: [spade, {name: spade, set: {generator.nfg: 3}}]", "methods[1]: set: nothing is called"),
        ("methods: [spade, {name: spade, set: {losses.kld: 2, generator.ngf: abc}}]", "methods[1]: set: generator.ngf"),
        ("methods: [spade]\nset: {schedule.iterations: -4}", "mine.yaml: set: schedule.iterations must be 1 or more"),
        ("methods: [spade, spaed]", "mine.yaml: methods[1]: unknown method 'spaed' (did you mean spade"),
    ],
)
def test_what_no_cell_can_be_is_told_with_its_place_in_the_grid(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"suites: [toyscapes]\n{text}\n")
    with pytest.raises(UserError) as caught:
        grid_cells(load_grid(path), load_suite("toyscapes"))
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_what_the_command_line_brought_in_is_told_as_its_option(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("suites: [toyscapes]\nmethods: [{name: spade, set: {generator.ngf: 4}}]\n")

    def told(methods: str | None, overrides: list[str]) -> str:
        with pytest.raises(UserError) as caught:
            grid_cells(chosen_grid(str(path), None, methods, None, overrides)[0], load_suite("toyscapes"))
        return str(caught.value)

    assert told(None, ["generator.nfg=3"]).startswith("--set: nothing is called 'generator.nfg'")
    assert told(None, ["spade:generator.ngf=abc"]).startswith("--set: generator.ngf")
    assert told("spaed", []).startswith("--methods spaed: unknown method 'spaed'")


def test_a_network_that_cannot_be_built_is_told_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "suites: [toyscapes]\nmethods: [spade, {name: spade, set: {generator.norm: {name: spade, kernel: 2}}}]"
    )
    with pytest.raises(UserError, match=r"mine\.yaml: methods\[1\]: set"):
        checked_cells(load_grid(path), load_suite("toyscapes"))


def test_failed_cells_are_left_out_until_they_are_retried(tmp_path: Path, bench: Bench) -> None:
    plan, said = planned(tmp_path, bench, grid_of(1, 3)), []
    data = plan.bench.suite
    record = done_record(plan.specs[0])
    record["provenance"]["data"]["trained"] = _fingerprint(data.train_split)
    put(record, tmp_path)
    put(failure(plan.specs[1]), tmp_path)
    assert [spec.seed for spec in plan.to_do(said.append)] == [2]
    assert ["done already" in said[0], "--retry failed" in said[1]] == [True, True]
    assert [record["status"] for record in plan.records()] == ["done", "failed"]
    plan.retry(["failed", "oom"])
    assert [spec.seed for spec in plan.to_do(said.append)] == [1, 2]
    with pytest.raises(UserError, match="nothing is retried as 'all'"):
        plan.retry(["all"])
    record["provenance"]["data"]["trained"] = "other"
    put(record, tmp_path)
    with pytest.raises(UserError, match="trained on other data"):
        plan.to_do(said.append)


def _fingerprint(split: str) -> str:
    from harness.evaluation.bench import open_data

    return open_data(load_suite("toyscapes"), split, Places()).fingerprint()


def timed(what: Any) -> tuple[float, Any]:
    """Processor seconds, which other processes do not stretch as they do the clock's."""
    began = time.process_time()
    found = what()
    return time.process_time() - began, found


def test_a_thousand_cells_are_planned_told_of_and_reported_in_under_five_seconds_each(
    tmp_path: Path, bench: Bench
) -> None:
    grid = grid_of(200, 5)
    seconds, plan = timed(lambda: planned(tmp_path, bench, grid))
    assert len(plan.specs) == 1000
    assert seconds < LIMIT
    iou = [0.5] * 20
    for i, spec in enumerate(plan.specs):
        record = failure(spec) if i % 10 == 0 else done_record(spec, 0.1 + i / 2000)
        put({**record, "config": spec.config, **({"scores": {"miou": 0.5, "iou": iou}} if i % 10 else {})}, tmp_path)
    targets = [
        Target(s.cell, s.name, s.folder, s.total, protocol=spec.described["name"])
        for s, spec in zip(plan.specs, plan.specs, strict=True)
    ]
    seconds, states = timed(lambda: lines(observe_all(targets, Store(tmp_path))))
    assert states[0] == "900 done, 0 running, 100 failed, 0 waiting, 0 lost"
    assert seconds < LIMIT
    seconds, table = timed(lambda: build_table(grid, "toyscapes", read_records(tmp_path)))
    assert len(table.rows) == 200
    assert seconds < LIMIT
    assert "4 of 5 seeds, 1 failed" in table.rows[0].cells[0].notes
    assert any("100 cells failed" in note for note in table.notes)
