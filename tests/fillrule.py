"""Weights and inputs of the golden figures: a pure function of a name and a shape, so no weight file is needed.

Each state-dict entry is refilled from the crc32 of its name and its flat index through an integer
hash, in float64, then cast. `load_filled` gives a network the weights behind the figures under
tests/golden.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Container
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

Net = TypeVar("Net", bound=nn.Module)
POWER_ITERATIONS = 100


def u01(name: str, count: int) -> NDArray[np.float64]:
    """`count` numbers in [0, 1) that belong to a name."""
    # All products fit in 64 bits; each step keeps the low 32.
    low = np.uint64(0xFFFFFFFF)
    x = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))
    x &= low
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & low
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 2.0**32


def sym(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An array in [-1, 1) that belongs to a name."""
    return (2.0 * u01(name, math.prod(shape)) - 1.0).reshape(shape)


def tensor(name: str, shape: tuple[int, ...], scale: float = 1.0) -> NDArray[np.float32]:
    """An input in [-scale, scale)."""
    return (scale * sym(name, shape)).astype(np.float32)


def labelmap(name: str, height: int, width: int, classes: int) -> NDArray[np.int64]:
    """(height, width) class indices, constant on blocks of 8x8."""
    rows, columns = -(-height // 8), -(-width // 8)
    blocks = np.floor(u01(name, rows * columns) * classes).astype(np.int64).reshape(rows, columns)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def fill_value(key: str, shape: tuple[int, ...]) -> NDArray:
    """The value of a state-dict entry, float64 (int64 for a counter)."""
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    value = sym(key, shape)
    if last == "running_var":
        return 1.0 + 0.2 * value
    if last != "running_mean" and len(shape) >= 2:
        return value * math.sqrt(3.0 / math.prod(shape[1:]))
    return 1.0 + 0.1 * value if last == "weight" else 0.1 * value


@torch.no_grad()
def load_filled(net: Net, skip: Container[str] = ()) -> Net:
    """Refill every parameter and buffer of a network in place; entries in `skip` stay. Returns the network."""
    for key, entry in net.state_dict().items():
        if key not in skip:
            entry.copy_(torch.from_numpy(np.asarray(fill_value(key, tuple(entry.shape)))))
    for layer in net.modules():
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                _settle(layer, hook)
    return net


def _settle(layer: nn.Module, hook: SpectralNorm) -> None:
    """Set u and v of a spectral norm by power iterations in float64 that start at the filled u."""
    matrix: Tensor = hook.reshape_weight_to_matrix(layer.get_parameter("weight_orig")).double()
    u = layer.get_buffer("weight_u").double()
    u, v = u / u.norm(), u
    for _ in range(POWER_ITERATIONS):
        v = matrix.t() @ u
        v = v / v.norm()
        u = matrix @ v
        u = u / u.norm()
    layer.get_buffer("weight_u").copy_(u)
    layer.get_buffer("weight_v").copy_(v)
