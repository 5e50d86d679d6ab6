"""LabelMap: how a label map travels, as class indices with an optional edge mask.

One-hot tensors are made at the door of the layer that needs one and are not kept: at 184 channels
they would be 184 times the size. A LabelMap resizes itself once per resolution and keeps the
results, so the layers of one forward pass share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LabelSpec:
    """What a network must know of its label maps.

    classes: one-hot channels, the unknown channel included where a suite has one.
    edges: whether an instance edge mask follows as one more channel.
    """

    classes: int
    edges: bool = False

    @property
    def channels(self) -> int:
        """Channels of the one-hot form."""
        return self.classes + int(self.edges)


class LabelMap:
    """A batch of label maps.

    indices: (N, H, W) int64, values in 0 .. spec.classes - 1.
    edges: (N, H, W) bool, or None where spec.edges is False.
    """

    # No dataclass: Lightning's wrappers copy the dataclasses that pass through them, and the pyramid with it.
    def __init__(self, indices: Tensor, spec: LabelSpec, edges: Tensor | None = None) -> None:
        if indices.dim() != 3:
            raise ValueError(f"indices must be (N, H, W), not {tuple(indices.shape)}")
        if (edges is not None) != spec.edges:
            raise ValueError(f"edges given: {edges is not None}, but spec.edges is {spec.edges}")
        if edges is not None and edges.shape != indices.shape:
            raise ValueError("edges and indices differ in shape")
        self.indices, self.spec, self.edges = indices, spec, edges
        self._pyramid: dict[tuple[int, int], LabelMap] = {}

    def __len__(self) -> int:
        return self.indices.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.indices.shape[1], self.indices.shape[2]

    @property
    def device(self) -> torch.device:
        return self.indices.device

    def resized(self, height: int, width: int) -> LabelMap:
        """This label map at another size by nearest neighbour (source index = floor(i * in / out))."""
        if (height, width) == self.size:
            return self
        known = self._pyramid.get((height, width))
        if known is None:
            rows = _nearest(self.size[0], height, self.device)
            columns = _nearest(self.size[1], width, self.device)
            edges = None if self.edges is None else self.edges[:, rows][:, :, columns]
            known = LabelMap(self.indices[:, rows][:, :, columns], self.spec, edges)
            self._pyramid[height, width] = known
        return known

    def one_hot(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(N, channels, H, W) of zeros and ones; the edge mask is the last channel."""
        n, h, w = self.indices.shape  # not len(), which has to be a number where an export leaves n open
        out = torch.zeros(n, self.spec.channels, h, w, dtype=dtype, device=self.device)
        out.scatter_(1, self.indices.unsqueeze(1), 1.0)
        if self.edges is not None:
            out[:, -1] = self.edges.to(dtype)
        return out

    def to(self, device: torch.device | str) -> LabelMap:
        """The same label maps on a device."""
        edges = None if self.edges is None else self.edges.to(device, non_blocking=True)
        return LabelMap(self.indices.to(device, non_blocking=True), self.spec, edges)

    def __getitem__(self, part: slice | Tensor) -> LabelMap:
        """A part of the batch."""
        return LabelMap(self.indices[part], self.spec, None if self.edges is None else self.edges[part])


def cat(maps: Sequence[LabelMap]) -> LabelMap:
    """Several batches as one. All must share one spec and size."""
    if len({m.spec for m in maps}) != 1:
        raise ValueError("label maps of different specs cannot be joined")
    edges = torch.cat([m.edges for m in maps if m.edges is not None]) if maps[0].spec.edges else None
    return LabelMap(torch.cat([m.indices for m in maps]), maps[0].spec, edges)


def instance_edges(instances: Tensor) -> Tensor:
    """(N, H, W) instance ids -> (N, H, W) bool: the id differs from a 4-neighbour's."""
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges


def _nearest(source: int, target: int, device: torch.device) -> Tensor:
    """Source index for each target index, as F.interpolate's `nearest` has it."""
    ramp = torch.arange(source, dtype=torch.float32, device=device).view(1, 1, source)
    return F.interpolate(ramp, size=target, mode="nearest").view(target).long()
