"""The memory of a generator that draws on training photos: built once, kept in the cache, opened everywhere.

Its folder is named by the hash of all it depends on, so that trainings of one split share it and other
data or options never meet it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import torch
from filelock import FileLock, Timeout
from torch import nn

from harness.code_version import code_version
from harness.data.base import DataSet
from harness.data.encode import Encoding, encode
from harness.data.roots import cache_folder
from harness.errors import UserError
from harness.method import MemorySample
from harness.registry import DATASETS, lookup

Progress = Callable[[int, int], None]
# From so many photos on it is told how far the building is.
LARGE = 500


class MemorySamples(Sequence[MemorySample]):
    """The samples of a training split at the suite's size, unaugmented, encoded when asked for."""

    def __init__(self, dataset: DataSet, encoding: Encoding) -> None:
        self.dataset, self.encoding = dataset, encoding

    def __len__(self) -> int:
        return len(self.dataset)

    @overload
    def __getitem__(self, index: int) -> MemorySample: ...
    @overload
    def __getitem__(self, index: slice) -> list[MemorySample]: ...
    def __getitem__(self, index: int | slice) -> MemorySample | list[MemorySample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        encoded = encode(self.dataset.load(index), self.encoding)
        if encoded.photo is None:
            raise UserError(f"sample '{encoded.name}' has no photo", mend="a memory is made of photos")
        # Back to the bytes that the encoding came from, exactly: x / 127.5 - 1.
        photo = ((encoded.photo + 1) * 127.5).round().to(torch.uint8)
        return MemorySample(encoded.name, encoded.indices, photo)


def attach_memory(
    generator: nn.Module,
    encoding: Encoding,
    data: str,
    dataset_name: str,
    training_split: Callable[[], DataSet],
    say: Callable[[str], None] = lambda line: None,
) -> Path | None:
    """Open the memory of a generator that has one, building it first where the cache has none.

    data: fingerprint of the training split of data set `dataset_name`, which `training_split` opens when
    the memory must be built. say: told how far that is. Safe against a second process. Returns the
    memory's folder, or None for a generator without one.
    Raises UserError where the split is not the one with that fingerprint.
    """
    key_of = getattr(generator, "memory_key", None)
    if key_of is None:
        return None
    folder = cache_folder() / "memory" / _key(generator, key_of(), encoding, data, dataset_name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with _locked(folder.with_name(f"{folder.name}.lock"), say):
        if not folder.is_dir():
            dataset = training_split()
            if dataset.fingerprint() != data:
                raise UserError(
                    "the memory is not cached, and the training split is another than this generator's",
                    where=str(folder),
                    mend="restore the data",
                )
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
            unfinished.mkdir()
            try:
                _call(generator, "build_memory")(MemorySamples(dataset, encoding), unfinished, _tenths(say))
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    _call(generator, "open_memory")(folder)
    return folder


def record_notes(generator: nn.Module) -> tuple[str, ...]:
    """The lines that a generator has for the record."""
    return tuple(str(line) for line in getattr(generator, "notes", ()))


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("waiting: another process is building the memory")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _tenths(say: Callable[[str], None]) -> Progress:
    """A line at each tenth of the way."""
    said = -1

    def progress(done: int, total: int) -> None:
        nonlocal said
        if total >= LARGE and 10 * done // total > said:
            said = 10 * done // total
            say(f"building the memory: {done}/{total} photos")

    return progress


def _key(generator: nn.Module, own: dict[str, Any], encoding: Encoding, data: str, dataset_name: str) -> str:
    made_of = {
        "own": own,
        "data": data,
        "size": list(encoding.size),
        "unknown": encoding.unknown,
        "classes": list(encoding.classes.names),
        "code": code_version(
            [
                __name__,
                "harness.data.encode",
                lookup(DATASETS, dataset_name).__module__,
                type(generator).__module__,
            ]
        ),
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def _call(generator: nn.Module, name: str) -> Callable[..., None]:
    method: Callable[..., None] = getattr(generator, name)
    return method
