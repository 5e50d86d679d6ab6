"""How much memory the tensors of a computation hold at its peak, counted from the tensors themselves.

On a CPU there is no allocator to ask: the process's resident memory keeps what was freed before and grows by
pages, so that it says little about one layer.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Bytes of the storages that operations made while it is entered, and that live at one time: `peak`.

    What autograd keeps for the backward pass is among them; storages that were there before, and scratch memory
    inside a kernel, are not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {_key(t) for t in tree_leaves((args, kwargs or {})) if isinstance(t, Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and _key(tensor) not in self._known | before:
                self._add(tensor)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        # The Python object of a storage lives as long as the storage.
        weakref.finalize(storage, self._remove, key, size).atexit = False

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class Peak:
    """bytes: at the peak, once the block is left."""

    bytes = 0


@contextmanager
def peak_bytes(device: torch.device) -> Iterator[Peak]:
    """Measure a block: on a GPU by its allocator's peak over what was there before, elsewhere by LiveBytes."""
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        torch.cuda.synchronize(device)
        peak.bytes = torch.cuda.max_memory_allocated(device) - before
        return
    with LiveBytes() as live:
        yield peak
    peak.bytes = live.peak


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
