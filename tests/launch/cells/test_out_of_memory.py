"""Out of memory: fewer images at a time, a cell of its own, remembered; scores of a scoring are equal to 1e-5."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import small_cell
from torch import Tensor

from baselines.spade import SPADEGenerator
from harness.cells import Cell
from harness.data.subset import Subset
from harness.errors import UserError
from harness.evaluation.bench import Bench, open_bench, open_data
from harness.evaluation.places import Places
from harness.labels import LabelMap
from harness.launch.cells.cell import Machine, Watch, score_cell, train_cell
from harness.launch.cells.out_of_memory import (
    NOTE,
    as_trained,
    forget,
    in_parts,
    is_out_of_memory,
    next_parts,
    score_within_memory,
    train_within_memory,
)
from harness.records import Store
from harness.training.checkpoints import list_checkpoints, load_checkpoint
from harness.training.loop import LoopOptions

CPU = torch.device("cpu")
LOOP = LoopOptions(checkpoint_every=1, keep=9, tensorboard=False)
Limit = Callable[[int], list[int]]


def four(**changes: Any) -> Cell:
    return small_cell(**{"schedule__batch": 4, "schedule__iterations": 2, **changes})


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """limit(n): SPADE's generator runs out of memory with more than n images; returns the list of its batches."""
    forward = SPADEGenerator.forward

    def apply(most: int) -> list[int]:
        seen: list[int] = []

        def limited(self: SPADEGenerator, labels: LabelMap, z: Tensor | None = None) -> Tensor:
            seen.append(len(labels))
            if len(labels) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(self, labels, z)

        monkeypatch.setattr(SPADEGenerator, "forward", limited)
        return seen

    return apply


@pytest.fixture(autouse=True)
def opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set is drawn once for all tests."""
    monkeypatch.setattr("harness.launch.cells.cell.open_data", lambda suite, split, places: _data(split))


@cache
def _data(split: str) -> Any:
    return open_data(small_cell().suite, split, Places())


@pytest.fixture(scope="module")
def bench() -> Bench:
    cell = small_cell()
    opened = open_bench(cell.suite, Places(), CPU, features=[], dataset=_data(cell.suite.score_split))
    return replace(opened, dataset=Subset(opened.dataset, opened.dataset.names[:5]))


def trained(cell: Cell, store: Store, lines: list[str] | None = None) -> Path:
    say = (lambda line: None) if lines is None else lines.append
    return train_cell(cell, store, Places(), Machine(CPU), LOOP, Watch(say=say))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_what_allocators_say_is_known(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_the_cpu_allocators_own_error_is_known_and_others_are_not() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    with pytest.raises(MemoryError) as array:
        np.empty(1 << 55)
    assert is_out_of_memory(array.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(UserError("out of memory"))


def test_micro_batches_are_equal_and_end_at_one_image() -> None:
    def chain(batch: int) -> list[int]:
        found, parts = [], next_parts(batch, 1)
        while parts is not None:
            found.append(parts)
            parts = next_parts(batch, parts)
        return found

    assert chain(8) == [2, 4, 8]
    assert chain(6) == [2, 6]
    assert chain(3) == [3]
    assert chain(1) == []


def test_a_cell_in_micro_batches_is_another_and_one_by_whole_batches_is_itself() -> None:
    cell = four()
    assert in_parts(cell, 1) is cell
    assert "accumulate" not in cell.config
    ids = {in_parts(cell, parts).id for parts in (1, 2, 4)}
    assert len(ids) == 3
    assert in_parts(cell, 2).name == cell.name


def test_a_training_out_of_memory_ends_in_micro_batches_with_a_record_that_says_so(
    tmp_path: Path, limit: Limit, bench: Bench
) -> None:
    store, cell, lines = Store(tmp_path), four(), []
    seen = limit(2)
    path = trained(cell, store, lines)
    flagged = in_parts(cell, 2)
    assert path.parent.parent == store.cell_folder(flagged.id)
    assert seen[:3] == [4, 2, 2]
    assert lines == [f"out of memory: {cell.name} starts again in micro-batches of 2, as another cell"]
    note = json.loads((store.cell_folder(cell.id) / NOTE).read_text())
    assert note == {
        "micro_batches": 2,
        "cell": flagged.id,
        "error": "CUDA out of memory. Tried to allocate 2.00 GiB.",
    }
    assert not list_checkpoints(store.cell_folder(cell.id) / "checkpoints")
    record = score_cell(cell, path, bench, store, Machine(CPU, score_batch=2))
    assert record["cell"] == flagged.id
    assert record["id"].startswith(f"{flagged.id}-")
    assert record["config"] == flagged.config
    assert record["notes"][0] == "out of memory: trained in micro-batches of 2, batch statistics are over 2 images"
    # A later run does not try the whole batch again, nor train what is trained.
    seen.clear()
    assert trained(cell, store) == path
    assert seen == []
    assert as_trained(cell, store).id == flagged.id


def test_it_goes_on_from_the_last_checkpoint_in_the_same_micro_batches(tmp_path: Path, limit: Limit) -> None:
    cell = four()
    limit(2)
    whole = load_checkpoint(trained(cell, Store(tmp_path / "whole")))
    path = trained(cell, Store(tmp_path / "stopped"))
    path.unlink()
    steps: list[int] = []
    watch = Watch(training=lambda done, total, values: steps.append(done))
    again = load_checkpoint(train_cell(cell, Store(tmp_path / "stopped"), Places(), Machine(CPU), LOOP, watch))
    assert steps == [2]
    for name, state in whole.networks.items():
        assert all(torch.equal(value, again.networks[name][key]) for key, value in state.items())


def test_with_the_note_dropped_the_whole_batch_is_tried_again(tmp_path: Path, limit: Limit) -> None:
    store, cell = Store(tmp_path), four(schedule__iterations=1)
    limit(2)
    trained(cell, store)
    seen = limit(4)
    forget(cell, store)
    forget(cell, store)  # and again, without a note
    assert trained(cell, store).parent.parent == store.cell_folder(cell.id)
    assert seen == [4, 4]  # the generator's step, and the fresh fake
    assert as_trained(cell, store) is cell


def test_one_image_that_does_not_fit_is_one_line(tmp_path: Path, limit: Limit) -> None:
    limit(0)
    with pytest.raises(UserError, match="out of memory with one image at a time: CUDA out of memory") as caught:
        trained(four(), Store(tmp_path))
    assert "\n" not in str(caught.value)


def test_other_errors_are_not_taken_for_it(tmp_path: Path) -> None:
    def wrong(cell: Cell) -> Path:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train_within_memory(four(), Store(tmp_path), wrong, 1, lambda line: None)
    assert not list(tmp_path.rglob(NOTE))


def test_one_process_of_several_leaves_the_note_and_all_start_again_together(tmp_path: Path) -> None:
    def short(cell: Cell) -> Path:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    store, cell = Store(tmp_path), four()
    with pytest.raises(UserError, match=r"out of memory in one of 2 processes \(.* in micro-batches of 1\)"):
        train_within_memory(cell, store, short, 2, lambda line: None)
    assert as_trained(cell, store).id == in_parts(cell, 2).id


def test_a_scoring_out_of_memory_has_equal_scores_by_fewer_at_a_time(
    tmp_path: Path, limit: Limit, bench: Bench
) -> None:
    store, cell = Store(tmp_path), four(schedule__iterations=1)
    path = trained(cell, store)
    whole = score_cell(cell, path, bench, store, Machine(CPU, score_batch=5))
    seen = limit(2)
    fewer = score_cell(cell, path, bench, store, Machine(CPU, score_batch=5))
    assert seen == [1, 5, 2, 2, 1]  # the first is counted for its cost
    assert fewer["id"] == whole["id"]
    assert fewer["notes"][0] == "out of memory: scored 2 at a time, not 5: scores are equal to 1e-5"
    assert not any("out of memory" in note for note in whole["notes"])
    for key in ("miou", "accuracy"):
        assert fewer["scores"][key] == pytest.approx(whole["scores"][key], abs=1e-5)


def test_a_scoring_of_one_image_that_does_not_fit_is_one_line() -> None:
    tried: list[int] = []

    def score(images: int, notes: tuple[str, ...]) -> None:
        tried.append(images)
        raise MemoryError

    with pytest.raises(UserError, match="one image at a time: MemoryError"):
        score_within_memory(score, 8)
    assert tried == [8, 4, 2, 1]
