"""Layer norm (Ba et al. 2016): statistics of each image over all of its channels and pixels."""

from __future__ import annotations

from torch import Tensor, nn

from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="layer")
class Layer(nn.GroupNorm):
    """One mean and one variance over (C, H, W), as in CRN (paper.md, CRN); the same in training and in eval.

    affine: whether a learned scale and shift per channel follow; without them it is parameter-free.
    eps: added to the variance; above 0, else UserError. CRN has affine and 1e-12.
    """

    def __init__(self, channels: int, labels: LabelSpec, affine: bool = False, eps: float = 1e-5) -> None:
        if eps <= 0:
            raise UserError(f"eps must be above 0, not {eps}", where="norm 'layer'")
        super().__init__(1, channels, eps=eps, affine=affine)

    def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
        # Autocast has this one compute, and return, float32.
        return super().forward(input).to(input.dtype)
