"""Out of memory: the same work by fewer images at a time.

A training goes on in micro-batches with their gradients gathered. Where a norm reads statistics off its
batch that gives other weights, so it is a cell with an id of its own, which tables never mix with cells
trained by whole batches. The cell's own folder keeps a note of it, so that a later run does not run out
of memory first. A scoring goes on with fewer images at a time, which changes scores by no more than 1e-5.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

from harness.cells import Cell
from harness.code_version import code_version
from harness.errors import UserError, first_line
from harness.files import write_json
from harness.records import Store

# The key of a config with the number of micro-batches; configs of cells by whole batches have none.
KEY = "accumulate"
# In a cell's folder: the cell that stands for it (harness/launch/grids/states.py reads it too).
NOTE = "out_of_memory.json"
# How allocators that raise a plain RuntimeError begin or put it.
_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_MEND = "take a smaller width or size, or a machine with more memory"
T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, on a GPU or on the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def next_parts(batch: int, parts: int) -> int | None:
    """The next number of equal micro-batches: at least twice as many; None where they are of one image."""
    return next((more for more in range(2 * parts, batch + 1) if batch % more == 0), None)


def in_parts(cell: Cell, parts: int) -> Cell:
    """The cell trained in `parts` micro-batches, whose id covers their code too; itself for 1."""
    if parts == 1:
        return cell
    return Cell({**cell.config, KEY: parts, "code": f"{cell.config['code']}+{_code()}"}, cell.suite)


def as_trained(cell: Cell, store: Store) -> Cell:
    """The cell that stands for this one in a store: itself, or in micro-batches where it once ran out of memory."""
    return in_parts(cell, _noted(cell, store))


def forget(cell: Cell, store: Store) -> None:
    """Drop the note: the next training tries the whole batch again (`--retry oom`)."""
    _note_path(cell, store).unlink(missing_ok=True)


def training_notes(config: Mapping[str, Any], processes: int) -> list[str]:
    """The lines for the record of a training by this config, over so many processes."""
    if KEY not in config:
        return []
    images = config["schedule"]["batch"] // (processes * config[KEY])
    return [f"out of memory: trained in micro-batches of {images}, batch statistics are over {images} images"]


def train_within_memory(
    cell: Cell, store: Store, train: Callable[[Cell], Path], processes: int, say: Callable[[str], None]
) -> Path:
    """What `train` gives for the cell; each time it runs out of memory it is given one with smaller micro-batches.

    Each of them has its own folder, from whose last checkpoint it goes on. The caller holds the cell's folder.
    Raises UserError where one image does not fit, and in a process of several: they can only start again together.
    """
    local = max(1, cell.config["schedule"]["batch"] // processes)

    def attempt(parts: int) -> Path:
        each = in_parts(cell, parts)
        store.cell_folder(each.id).mkdir(parents=True, exist_ok=True)
        return train(each)

    def told(parts: int, error: str) -> None:
        write_json(_note_path(cell, store), {"micro_batches": parts, "cell": in_parts(cell, parts).id, "error": error})
        if processes > 1:
            raise UserError(
                f"out of memory in one of {processes} processes",
                where=cell.name,
                mend=f"the next training, as by --retry failed, is in micro-batches of {local // parts}",
            )
        say(f"out of memory: {cell.name} starts again in micro-batches of {local // parts}, as another cell")

    return with_less(attempt, _noted(cell, store), lambda parts: next_parts(local, parts), told)


def score_within_memory(score: Callable[[int, tuple[str, ...]], T], batch: int) -> T:
    """score(images at a time, notes for the record), with half as many each time it runs out of memory.

    Raises UserError where one image does not fit.
    """
    notes: list[str] = []

    def told(fewer: int, error: str) -> None:
        notes[:] = [f"out of memory: scored {fewer} at a time, not {batch}: scores are equal to 1e-5"]

    return with_less(lambda images: score(images, tuple(notes)), batch, lambda images: images // 2 or None, told)


def with_less(
    attempt: Callable[[int], T], state: int, less: Callable[[int], int | None], told: Callable[[int, str], None]
) -> T:
    """attempt(state), and while that runs out of memory again with the state that takes less of it."""
    while True:
        try:
            return attempt(state)
        except Exception as error:  # allocators raise many kinds; what is none of theirs goes on
            if not is_out_of_memory(error):
                raise
            words = first_line(error)
            following = less(state)
            if following is None:
                raise UserError(f"out of memory with one image at a time: {words}", mend=_MEND) from error
        # Only here has the error let go of the frames that hold the networks.
        release()
        told(following, words)
        state = following


def release() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _noted(cell: Cell, store: Store) -> int:
    """The micro-batches of the note, 1 without a note."""
    try:
        found = json.loads(_note_path(cell, store).read_text(encoding="utf-8"))["micro_batches"]
    except (OSError, ValueError, KeyError, TypeError):
        return 1
    return found if isinstance(found, int) and 1 < found <= cell.config["schedule"]["batch"] else 1


def _note_path(cell: Cell, store: Store) -> Path:
    return store.cell_folder(cell.id) / NOTE


@cache
def _code() -> str:
    return code_version(["harness.training.accumulate"])
