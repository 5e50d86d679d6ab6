"""The image encoder of SPADE with a VAE (paper, appendix A): a photo to a Gaussian over z."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.checks import at_least_one
from baselines.init import initialise
from baselines.layers import normed
from baselines.norms.build import NormValue
from harness.errors import UserError
from harness.labels import LabelSpec
from harness.registry import ENCODERS

NORM: dict[str, Any] = {"name": "instance"}
END = 4  # height and width before the linear layers


@ENCODERS.register_module(name="conv")
class ConvEncoder(nn.Module):
    """Images -> mu and logvar of z; state-dict names of the official `latest_net_E.pth`.

    Convs 3x3 of stride 2 with spectral norm and `norm` (one that reads no label map), LeakyReLU 0.2,
    until 4x4 pixels are left; widths are ndf times 1, 2, 4, 8, 8, 8.

    size: images are resized to size x size first, a power of two from 8 up; the official 256 makes six
    layers, smaller ones fewer. Raises UserError for another size.
    """

    def __init__(
        self, ndf: int = 64, z_dim: int = 256, size: int = 256, norm: NormValue = NORM, spectral: bool = True
    ) -> None:
        super().__init__()
        at_least_one("encoder 'conv'", {"ndf": ndf, "z_dim": z_dim})
        if size < 2 * END or size & (size - 1):
            raise UserError(f"size must be a power of two from 8 up, not {size}", where="encoder 'conv'")
        self.size = size
        self.z_dim = z_dim
        self.layers = round(math.log2(size // END))
        widths = [3] + [ndf * min(2**i, 8) for i in range(self.layers)]
        for i, (a, b) in enumerate(pairwise(widths), start=1):
            conv = nn.Conv2d(a, b, 3, stride=2, padding=1)
            self.add_module(f"layer{i}", normed(conv, norm, LabelSpec(classes=0), spectral))
        self.fc_mu = nn.Linear(widths[-1] * END * END, z_dim)
        self.fc_var = nn.Linear(widths[-1] * END * END, z_dim)

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0 (paper.md, Training)."""
        initialise(self, rng, "xavier")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, h, w) in [-1, 1] -> mu and logvar, each (N, z_dim)."""
        if images.shape[2:] != (self.size, self.size):
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        x = images
        for i in range(1, self.layers + 1):
            x = F.leaky_relu(self.get_submodule(f"layer{i}")(x), 0.2)
        flat = x.flatten(1)
        return self.fc_mu(flat), self.fc_var(flat)
