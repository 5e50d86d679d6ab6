"""Activation norm of Glow: a scale and a shift per channel that the first training batch sets."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS

EPS = 1e-5


@NORMS.register_module(name="actnorm")
class ActNorm(nn.Module):
    """x * scale + shift (Kingma & Dhariwal 2018, section 3.1).

    The first training forward sets both so that each channel of its own output has mean 0 and variance
    1 over the batches of all processes; from then on they are plain parameters, and no statistic is
    taken. Before it, as in eval, the layer is the identity. `is_set` says whether that forward has been.
    The variance has 1e-5 added, as in the other norms: a channel that is constant in the first batch
    would else be blown up from the second on.
    """

    is_set: Tensor

    def __init__(self, channels: int, labels: LabelSpec) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("is_set", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Back to the identity, to be set by the next training batch. Nothing is drawn."""
        self.scale.fill_(1.0)
        self.shift.zero_()
        self.is_set.fill_(False)

    def forward(self, x: Tensor, labels: LabelMap | None = None) -> Tensor:
        """x (N, channels, h, w) -> the same shape and type."""
        if self.training and not self.is_set:
            self._set(x)
        return (x * self.scale.view(1, -1, 1, 1) + self.shift.view(1, -1, 1, 1)).to(x.dtype)

    @torch.no_grad()
    def _set(self, x: Tensor) -> None:
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        count = _over_processes(torch.full_like(self.scale, x.numel() / x.shape[1], dtype=values.dtype))
        mean = _over_processes(values.sum((0, 2, 3))) / count
        # In two passes: the mean of squares less the squared mean would lose digits in float32.
        squares = (values - mean.view(1, -1, 1, 1)).square().sum((0, 2, 3))
        scale = (_over_processes(squares) / count + EPS).rsqrt()
        self.scale.copy_(scale)
        self.shift.copy_(-mean * scale)
        self.is_set.fill_(True)


def _over_processes(value: Tensor) -> Tensor:
    """Sum over the processes, where there are several."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(value)
    return value
