"""What the norms share that read classes but no positions or neighbours: class shares, tables by class."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from baselines.init import GAIN
from baselines.norms.build import NormValue, build_base
from harness.labels import LabelMap, LabelSpec


class ClassTables(nn.Module):
    """A parameter-free norm, and a scale and a shift per class and channel.

    base: any parameter-free norm. Raises UserError for one that has parameters.
    """

    def __init__(self, channels: int, labels: LabelSpec, base: NormValue, where: str) -> None:
        super().__init__()
        self.param_free_norm = build_base(base, channels, labels, where)
        self.scale = nn.Parameter(torch.ones(labels.classes, channels))
        self.shift = nn.Parameter(torch.zeros(labels.classes, channels))

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Scales normal(1, 0.02), shifts 0, as the learned scales and shifts of plain norms (baselines/init.py)."""
        self.scale.copy_(1 + GAIN * torch.randn(self.scale.shape, generator=rng, device=rng.device))
        self.shift.zero_()


def class_shares(labels: LabelMap, dtype: torch.dtype) -> Tensor:
    """(N, classes): the share of each class in a label map, that is its one-hot form pooled over space.

    Taken at the label map's own size. Edges are not read.
    """
    n, pixels = len(labels), labels.size[0] * labels.size[1]
    one = torch.ones((), dtype=dtype, device=labels.device).expand(n, pixels)
    counts = torch.zeros(n, labels.spec.classes, dtype=dtype, device=labels.device)
    return counts.scatter_add_(1, labels.indices.flatten(1), one) / pixels


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Keep autocast off: in bf16 a scale near 1 has steps of a percent, and these products cost next to nothing."""
    # The meta device knows no autocast.
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
