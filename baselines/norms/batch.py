"""Batch norm over the batch of this process: the paper's Table 4 row "BatchNorm"."""

from __future__ import annotations

from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="batch")
class Batch(nn.BatchNorm2d):
    """Batch statistics in training, running statistics in eval. eps 1e-5, momentum 0.1.

    affine: whether a learned scale and shift per channel follow; without them it is parameter-free.
    """

    def __init__(self, channels: int, labels: LabelSpec, affine: bool = False) -> None:
        super().__init__(channels, affine=affine)

    def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
        return super().forward(input)
