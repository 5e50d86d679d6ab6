"""The decoder that the SPADE generators share: from a small start, blocks and doublings up to the image.

A generator gives it the residual block; start, widths, upsampling, head and state-dict names are here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.checks import at_least_one
from baselines.init import initialise
from baselines.layers import check_size
from baselines.one_hot import SharedLabels, compute_dtype
from harness.errors import UserError, did_you_mean
from harness.labels import LabelMap, LabelSpec

Upsampling = Literal["normal", "more", "most"]
# Number of times that the width and height double.
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}
SLOPE = 0.2


class Decoder(nn.Module):
    """Label maps, and z where `use_z`, -> images in [-1, 1] (paper, appendix A; paper.md, Generator).

    name: of the generator, for what is said when an option cannot be.
    labels, size: what the label maps hold; (h, w) of the images, multiples of 32 (`normal`), 64
        (`more`) or 128 (`most`).
    ngf: width unit; blocks are 16, 16, 16, 8, 4, 2, 1 units wide.
    use_z: start from a linear layer on z (N, z_dim), as with the encoder, in place of a conv on the
        label map resized to the start size.
    upsampling: `normal` doubles five times, `more` once more between the middle blocks (Cityscapes),
        `most` also adds a block of half the width.
    block: (channels in, channels out) -> a residual block, forward(x, labels: LabelMap) -> Tensor.

    Raises UserError for a size or an option that cannot be.
    """

    def __init__(
        self,
        name: str,
        labels: LabelSpec,
        size: tuple[int, int],
        ngf: int,
        use_z: bool,
        z_dim: int,
        upsampling: Upsampling,
        block: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        if upsampling not in DOUBLINGS:
            raise UserError(
                f"unknown upsampling '{upsampling}'",
                where=f"generator '{name}'",
                mend=did_you_mean(upsampling, DOUBLINGS),
            )
        at_least_one(f"generator '{name}'", {"ngf": ngf, "z_dim": z_dim})
        scale = 2 ** DOUBLINGS[upsampling]
        check_size(size, scale, f"generator '{name}', upsampling '{upsampling}'")
        self.upsampling = upsampling
        self.start = (size[0] // scale, size[1] // scale)
        self.wide = 16 * ngf
        self.z_dim = z_dim if use_z else 0
        self.fc: nn.Module = (
            nn.Linear(z_dim, self.wide * self.start[0] * self.start[1])
            if use_z
            else nn.Conv2d(labels.channels, self.wide, 3, padding=1)
        )
        self.head_0 = block(16 * ngf, 16 * ngf)
        self.G_middle_0 = block(16 * ngf, 16 * ngf)
        self.G_middle_1 = block(16 * ngf, 16 * ngf)
        self.up_0 = block(16 * ngf, 8 * ngf)
        self.up_1 = block(8 * ngf, 4 * ngf)
        self.up_2 = block(4 * ngf, 2 * ngf)
        self.up_3 = block(2 * ngf, ngf)
        last = ngf
        if upsampling == "most":
            last = ngf // 2
            self.up_4 = block(ngf, last)
        self.conv_img = nn.Conv2d(last, 3, 3, padding=1)

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0 (paper.md, Training)."""
        initialise(self, rng, "xavier")

    def forward(self, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        """Label maps of any size, z (N, z_dim) or None -> (N, 3, h, w)."""
        labels = SharedLabels(labels)
        x = self.head_0(self._begin(labels, z), labels)
        x = self.G_middle_0(_doubled(x), labels)
        if self.upsampling != "normal":
            x = _doubled(x)
        x = self.G_middle_1(x, labels)
        for up in (self.up_0, self.up_1, self.up_2, self.up_3):
            x = up(_doubled(x), labels)
        if self.upsampling == "most":
            x = self.up_4(_doubled(x), labels)
        return torch.tanh(self.conv_img(F.leaky_relu(x, SLOPE)))

    def _begin(self, labels: LabelMap, z: Tensor | None) -> Tensor:
        """(N, 16 ngf, start height, start width)."""
        if not self.z_dim:
            return self.fc(labels.resized(*self.start).one_hot(compute_dtype(self.conv_img.weight)))
        if z is None:
            raise ValueError("this generator starts from z")
        return self.fc(z).view(-1, self.wide, *self.start)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
