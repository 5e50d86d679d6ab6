"""No normalisation. A network with this norm keeps the biases of its convs and has no norm layer."""

from __future__ import annotations

from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="none")
class NoNorm(nn.Module):
    """Returns its input."""

    def __init__(self, channels: int, labels: LabelSpec) -> None:
        super().__init__()

    def forward(self, x: Tensor, labels: LabelMap | None = None) -> Tensor:
        return x
