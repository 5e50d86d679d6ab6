"""Out of memory in a grid: the cell in micro-batches is found again, and the whole batch is tried when asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small import SMALL_SET
from torch import Tensor
from typer.testing import CliRunner

from baselines.spade import SPADEGenerator
from harness.cli import app
from harness.labels import LabelMap


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """[n]: SPADE's generator runs out of memory with more than n images."""
    limit = [1]
    forward = SPADEGenerator.forward

    def limited(self: SPADEGenerator, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        if len(labels) > limit[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, labels, z)

    monkeypatch.setattr(SPADEGenerator, "forward", limited)
    return limit


def run(out: Path, *words: str) -> Any:
    grid = ("run", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET, "--budget", "1it")
    done = CliRunner().invoke(
        app, [*grid, "--features", "none", "--out", str(out), "--device", "cpu", "--json", *words]
    )
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return json.loads(done.stdout)


def test_a_grid_finds_its_cell_in_micro_batches_again(tmp_path: Path, most: list[int]) -> None:
    first = run(tmp_path, "--batch", "1")
    record = next(each for each in first["records"] if each["method"] == "spade")
    assert record["config"]["accumulate"] == 2
    note = "out of memory: trained in micro-batches of 1, batch statistics are over 1 images"
    assert note in record["notes"]
    assert note in [*first["table"]["notes"], *(n for row in first["table"]["rows"] for n in row["notes"])]
    most[0] = 0  # nothing more is generated
    again = run(tmp_path, "--batch", "1")
    assert [each["id"] for each in again["records"]] == [each["id"] for each in first["records"]]
    assert [cell["done"] for cell in run(tmp_path, "--batch", "1", "--dry-run")["cells"]] == [True]
    most[0] = 8
    retried = run(tmp_path, "--batch", "1", "--retry", "oom")
    whole = next(each for each in retried["records"] if each["method"] == "spade")
    assert "accumulate" not in whole["config"]
    assert whole["id"] != record["id"]
    assert not any("out of memory" in line for line in whole["notes"])


def test_a_dry_run_says_what_cells_will_take(tmp_path: Path, most: list[int]) -> None:
    most[0] = 8
    cell = run(tmp_path, "--estimate")["cells"][0]
    assert not cell["done"]
    assert cell["estimate"]["cell"] == cell["cell"]
    assert cell["estimate"]["seconds_training"] > 0
    assert not (tmp_path / "records").exists()
