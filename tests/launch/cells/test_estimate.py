"""Estimates: measured on the real networks and data, kept, and said for what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small import small_cell
from torch import Tensor

from baselines.spade import SPADEGenerator
from harness.evaluation.bench import Bench, open_bench
from harness.evaluation.places import Places
from harness.labels import LabelMap
from harness.launch.cells import estimate
from harness.launch.cells.cell import Machine
from harness.launch.cells.estimate import Estimate, estimate_cells, total_line

CPU = torch.device("cpu")
MACHINE = Machine(CPU, score_batch=2)


@pytest.fixture(scope="module")
def bench() -> Bench:
    cell = small_cell()
    return open_bench(cell.suite, Places(), CPU, features=[])


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that SPADE's generator is given."""
    seen: list[int] = []
    forward = SPADEGenerator.forward

    def noted(self: SPADEGenerator, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        seen.append(len(labels))
        if len(labels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, labels, z)

    monkeypatch.setattr(SPADEGenerator, "forward", noted)
    return seen


def test_a_cell_is_measured_once_and_seeds_and_lengths_share_it(
    tmp_path: Path, bench: Bench, batches: list[int]
) -> None:
    places = Places(cache=tmp_path / "cache")
    cells = [small_cell(schedule__iterations=6), small_cell(schedule__iterations=600)]
    told: list[tuple[int, int]] = []
    state = torch.get_rng_state()
    short, long = estimate_cells(cells, bench, places, MACHINE, lambda done, total, values: told.append((done, total)))
    # Warm-up and three steps, each with a forward for the fresh fake too; then two batches scored.
    assert batches == [2] * (2 * 4 + 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert told == [(1, 2), (2, 2)]
    assert short.cell == cells[0].id
    assert short.name == cells[0].name
    assert short.seconds_training > 0
    assert long.seconds_training == pytest.approx(100 * short.seconds_training)
    assert short.seconds_scoring == long.seconds_scoring > 0
    assert short.peak_memory_bytes > 1e7
    assert not list(tmp_path.rglob("*.pt"))
    batches.clear()
    assert estimate_cells(cells, bench, places, MACHINE) == [short, long]
    assert batches == []


def test_another_machine_or_cell_is_measured_anew(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def stub(cell: Any, *rest: Any) -> estimate._Measured:
        measured.append(cell.id)
        return estimate._Measured(1.0, 0.1, 1000, 1)

    monkeypatch.setattr(estimate, "_measure", stub)
    places = Places(cache=tmp_path)
    cell, wider = small_cell(), small_cell(generator__ngf=8)
    estimate_cells([cell, wider, cell], bench, places, MACHINE)
    assert measured == [cell.id, wider.id]
    estimate_cells([cell], bench, places, Machine(CPU, workers=1, score_batch=2))
    monkeypatch.setattr(estimate, "describe", lambda device: {"device": "another"})
    estimate_cells([cell], bench, places, MACHINE)
    assert measured == [cell.id, wider.id, cell.id, cell.id]


def test_a_batch_that_does_not_fit_is_measured_in_micro_batches_and_not_kept(
    tmp_path: Path, bench: Bench, batches: list[int]
) -> None:
    cell = small_cell(schedule__batch=4)
    found = estimate_cells([cell], bench, Places(cache=tmp_path), MACHINE)[0]
    assert found.micro_batches == 2
    assert batches == [4] + [2] * (4 * 4) + [2, 2]
    assert "in 2 micro-batches" in found.text
    assert not list(tmp_path.iterdir())


def test_no_cells_have_no_estimates(bench: Bench) -> None:
    assert estimate_cells([], bench, Places(), MACHINE) == []
    assert total_line([]) == "nothing to do"


def test_estimates_are_said_as_such() -> None:
    one = Estimate("a", "spade-toyscapes-seed0", 700.0, 50.0, 1_400_000_000)
    two = Estimate("b", "spade-toyscapes-seed1", 172_800.0, 61.0, 900_000_000)
    assert one.text == "about 0:12:30, 1.4 GB"
    assert two.text == "about 2 d 0:01:01, 0.9 GB"
    assert total_line([one, two]) == (
        "in all about 2 d 0:13:31 one after another, at most 1.4 GB: "
        "estimated from 3 steps and one scored batch of each on this machine"
    )
