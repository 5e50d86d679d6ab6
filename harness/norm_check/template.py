"""My norm layer: copy this file, rename what is in it, and write your own forward.

    spadebench validate-norm --template > my_norm.py
    spadebench validate-norm my_norm.py:MyNorm --suite toyscapes --checks-only

As it stands it is CLADE's idea on an instance norm: a scale and a shift per class, looked up for each pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.method import Losses, Method, Part
from harness.registry import METHODS, NORMS


@NORMS.register_module(name="my_norm")
class MyNorm(nn.Module):
    """out = instance norm(x) * scale[class] + shift[class].

    channels: of x. labels: how many classes there are, and whether label maps carry instance edges.
    What follows these two are your options, with plain values as defaults: `--set generator.norm.eps=1e-3`.
    """

    def __init__(self, channels: int, labels: LabelSpec, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(labels.classes, channels))
        self.shift = nn.Parameter(torch.zeros(labels.classes, channels))

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Set every parameter, drawing from `rng` only. Convs and linear layers without it are set by the network."""
        self.scale.copy_(1 + 0.02 * torch.randn(self.scale.shape, generator=rng, device=rng.device))
        self.shift.zero_()

    def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
        """x (N, channels, h, w) and label maps of any size -> the same shape and type."""
        if labels is None:
            raise ValueError("my_norm needs label maps")
        # (N, h, w) int64; where convs need a one-hot form: labels.resized(h, w).one_hot(dtype). Do not write to it.
        classes = labels.resized(x.shape[2], x.shape[3]).indices
        scale, shift = (F.embedding(classes, table).permute(0, 3, 1, 2) for table in (self.scale, self.shift))
        # Tables are float32: under autocast the product would be too.
        return (F.instance_norm(x, eps=self.eps) * scale + shift).to(x.dtype)


@METHODS.register_module(name="spade_my_norm")
def spade_my_norm() -> Method:
    """SPADE with the norm above in place of SPADE's own: a row of a table."""
    return Method(
        name="spade_my_norm",
        title="decoder w/ my norm",
        generator=Part("spade", {"norm": {"name": "my_norm"}}),
        discriminator=Part("multiscale"),
        losses=Losses(kld=0.0),
    )
