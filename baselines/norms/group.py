"""Group norm (Wu & He 2018): statistics of each image over groups of channels."""

from __future__ import annotations

import math

from torch import Tensor, nn

from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="group")
class Group(nn.GroupNorm):
    """The same in training and in eval, no running statistics, eps 1e-5.

    groups: number of groups, 32 in the paper; where it does not divide the channels, their greatest
        common divisor is taken. With as many groups as channels it is instance norm, with one group
        layer norm.
    affine: whether a learned scale and shift per channel follow; without them it is parameter-free.
    Raises UserError for fewer than one group.
    """

    def __init__(self, channels: int, labels: LabelSpec, groups: int = 32, affine: bool = False) -> None:
        if groups < 1:
            raise UserError(f"there are no {groups} groups", where="norm 'group'", mend="give groups from 1 up")
        super().__init__(math.gcd(groups, channels), channels, affine=affine)

    def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
        # Autocast has this one compute, and return, float32.
        return super().forward(input).to(input.dtype)
