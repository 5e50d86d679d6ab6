"""What a point of a norm's contract is tried with: a layer, an activation and label maps from one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.norm_check.layers import activation, built, random_maps, spread
from harness.norm_check.points import must_be_tensor, must_have_shape

CHANNELS = 32
SIZE = (12, 20)


@dataclass(frozen=True)
class Bench:
    """What a point needs: the norm as a config has it, what its label maps hold, where, and from which seed.

    compiler: backend of torch.compile; None: that point is skipped.
    """

    norm: Mapping[str, Any]
    spec: LabelSpec
    device: torch.device
    seed: int
    compiler: str | None = "inductor"

    def start(self, seed: int | None = None) -> nn.Module:
        """A new layer, in training mode."""
        return built(self.norm, CHANNELS, self.spec, self.seed if seed is None else seed).to(self.device)

    def layer(self) -> nn.Module:
        """A layer that has seen a training batch and whose parameters have moved, in training mode."""
        layer = self.start()
        with torch.no_grad():
            layer(self.x(seed=90), self.maps(seed=91))
        return spread(layer, self.seed)

    def x(self, count: int = 2, size: tuple[int, int] = SIZE, seed: int = 1) -> Tensor:
        """(count, CHANNELS, *size), float32."""
        return activation((count, CHANNELS, *size), self.seed + seed, self.device)

    def maps(self, count: int = 2, size: tuple[int, int] = SIZE, seed: int = 2, finer: int = 2) -> LabelMap:
        """Label maps of every class, `finer` times the size."""
        maps = random_maps(count, size[0] * finer, size[1] * finer, self.spec, self.seed + seed)
        first = maps.indices.flatten()[: self.spec.classes]
        first.copy_(torch.arange(first.numel()))
        return maps.to(self.device)

    def output(self, layer: nn.Module, x: Tensor, maps: LabelMap) -> Tensor:
        """The layer's output, known to be a tensor of the shape of x, with torch's generators at the seed."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            out = must_be_tensor("output", layer(x, maps))
        must_have_shape("output", out, x.shape)
        return out
