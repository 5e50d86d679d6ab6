"""Instance norm: statistics of each image and channel, in training and in eval."""

from __future__ import annotations

from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="instance")
class Instance(nn.InstanceNorm2d):
    """No running statistics, no parameters, eps 1e-5, as pix2pixHD and the official SPADE code have it.

    affine: whether a learned scale and shift per channel follow; without them it is parameter-free.
    """

    def __init__(self, channels: int, labels: LabelSpec, affine: bool = False) -> None:
        super().__init__(channels, affine=affine)

    def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
        return super().forward(input)
