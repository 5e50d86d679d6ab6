"""One-hot label maps made once per forward pass and size, and shared by the layers that read them.

A SPADE generator reads the one-hot label map in up to three layers of every resolution; making it is
a large write at 150 or more channels. The cache lives as long as the forward pass that made it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.labels import LabelMap


class SharedLabels(LabelMap):
    """A LabelMap that keeps its one-hot forms. Its readers must not write to them."""

    def __init__(self, source: LabelMap) -> None:
        super().__init__(source.indices, source.spec, source.edges)
        self._source = source
        self._sizes: dict[tuple[int, int], SharedLabels] = {}
        self._one_hots: dict[torch.dtype, Tensor] = {}

    def resized(self, height: int, width: int) -> SharedLabels:
        """As LabelMap.resized; the indices come from the source's pyramid."""
        if (height, width) == self.size:
            return self
        if (height, width) not in self._sizes:
            self._sizes[height, width] = SharedLabels(self._source.resized(height, width))
        return self._sizes[height, width]

    def one_hot(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """As LabelMap.one_hot; the same tensor at every call."""
        if dtype not in self._one_hots:
            self._one_hots[dtype] = super().one_hot(dtype)
        return self._one_hots[dtype]


def compute_dtype(weight: Tensor) -> torch.dtype:
    """The type in which a layer with this weight computes: autocast's where that is on."""
    kind = weight.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return weight.dtype
