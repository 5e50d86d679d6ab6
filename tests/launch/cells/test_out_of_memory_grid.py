"""Out of memory in a grid: the cell in micro-batches is found again, and the whole batch is tried when asked for."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from small import SMALL_SET
from torch import Tensor
from typer.testing import CliRunner

from baselines.spade import SPADEGenerator
from harness.cells import load_suite
from harness.cli import app
from harness.data.subset import Subset
from harness.evaluation.bench import open_data
from harness.evaluation.places import Places
from harness.labels import LabelMap


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """[n]: SPADE's generator runs out of memory with more than n images."""
    limit = [2]
    forward = SPADEGenerator.forward

    def limited(self: SPADEGenerator, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        if len(labels) > limit[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, labels, z)

    monkeypatch.setattr(SPADEGenerator, "forward", limited)
    return limit


@pytest.fixture(autouse=True)
def opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set is drawn once for all runs, and few of its samples are scored."""
    for module in ("harness.launch.cells.cell", "harness.evaluation.bench", "harness.launch.cells.estimate"):
        monkeypatch.setattr(f"{module}.open_data", lambda suite, split, places: _data(split))


@cache
def _data(split: str) -> Any:
    whole = open_data(load_suite("toyscapes"), split, Places())
    return whole if split == "train" else Subset(whole, whole.names[:6])


def run(folder: Path, *words: str) -> Any:
    """What `run --json` prints for a grid of one cell."""
    grid, out = folder / "one.yaml", folder / "out"
    grid.write_text("{methods: [spade], ceiling: false}")
    small = (*SMALL_SET, "--set", "schedule.batch=4", "--budget", "1it", "--features", "none", "--device", "cpu")
    done = CliRunner().invoke(app, ["run", str(grid), "-s", "toyscapes", *small, "--out", str(out), "--json", *words])
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return json.loads(done.stdout)


def test_a_grid_finds_its_cell_in_micro_batches_again(tmp_path: Path, most: list[int]) -> None:
    first = run(tmp_path)
    record = first["records"][0]
    assert record["config"]["accumulate"] == 2
    assert record["notes"][:2] == [
        "out of memory: trained in micro-batches of 2, batch statistics are over 2 images",
        "out of memory: scored 2 at a time, not 8: scores are equal to 1e-5",
    ]
    assert first["table"]["rows"][0]["notes"] == record["notes"]
    most[0] = 0  # nothing more is generated
    again = run(tmp_path)
    assert [each["id"] for each in again["records"]] == [each["id"] for each in first["records"]]
    assert [cell["done"] for cell in run(tmp_path, "--dry-run")["cells"]] == [True]
    most[0] = 8
    retried = run(tmp_path, "--retry", "oom")
    whole = retried["records"][0]
    assert "accumulate" not in whole["config"]
    assert whole["id"] != record["id"]
    assert not any("out of memory" in line for line in whole["notes"])


def test_a_dry_run_says_what_cells_will_take(tmp_path: Path, most: list[int]) -> None:
    most[0] = 8
    cell = run(tmp_path, "--estimate")["cells"][0]
    assert not cell["done"]
    assert cell["estimate"]["cell"] == cell["cell"]
    assert cell["estimate"]["seconds_training"] > 0
    assert not (tmp_path / "out" / "records").exists()
