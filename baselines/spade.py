"""The SPADE generator (paper, section 3 and appendix A): label maps enter at every resolution."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.init import initialise
from baselines.layers import check_size
from baselines.layers import spectral as put_spectral
from baselines.norms.build import NormValue, build_norm
from baselines.one_hot import SharedLabels, compute_dtype
from harness.errors import UserError, did_you_mean
from harness.labels import LabelMap, LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "spade", "kernel": 3, "hidden": 128, "base": "sync_batch"}
# Number of times that the width and height double.
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}
SLOPE = 0.2


class SPADEBlock(nn.Module):
    """Residual block: norm, LeakyReLU, conv 3x3, twice; where widths differ the shortcut is a norm and a conv 1x1.

    The width between the convs is min(wide_in, wide_out).
    """

    def __init__(self, wide_in: int, wide_out: int, labels: LabelSpec, norm: NormValue, with_spectral: bool) -> None:
        super().__init__()
        middle = min(wide_in, wide_out)
        self.learned_shortcut = wide_in != wide_out
        wrap = put_spectral if with_spectral else _unchanged
        self.conv_0 = wrap(nn.Conv2d(wide_in, middle, 3, padding=1))
        self.conv_1 = wrap(nn.Conv2d(middle, wide_out, 3, padding=1))
        if self.learned_shortcut:
            self.conv_s = wrap(nn.Conv2d(wide_in, wide_out, 1, bias=False))
        self.norm_0 = build_norm(norm, wide_in, labels)
        self.norm_1 = build_norm(norm, middle, labels)
        if self.learned_shortcut:
            self.norm_s = build_norm(norm, wide_in, labels)

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        """(N, wide_in, h, w) -> (N, wide_out, h, w)."""
        out = self.conv_0(F.leaky_relu(self.norm_0(x, labels), SLOPE))
        out = self.conv_1(F.leaky_relu(self.norm_1(out, labels), SLOPE))
        return out + (self.conv_s(self.norm_s(x, labels)) if self.learned_shortcut else x)


@GENERATORS.register_module(name="spade")
class SPADEGenerator(nn.Module):
    """Label maps, and z where `use_z`, -> images in [-1, 1].

    labels, size: what the label maps hold; (h, w) of the images, multiples of 32 (`normal`), 64
        (`more`) or 128 (`most`).
    ngf: width unit; blocks are 16, 16, 16, 8, 4, 2, 1 units wide.
    use_z: start from a linear layer on z (N, z_dim), as with the encoder, in place of a conv on the
        label map resized to the start size.
    upsampling: `normal` doubles five times, `more` once more between the middle blocks (Cityscapes),
        `most` also adds a block of half the width.
    norm: norm of the residual blocks. spectral: spectral norm on their convs.

    State-dict names and shapes are those of the official `latest_net_G.pth`. Raises UserError for a
    size or an option that cannot be.
    """

    def __init__(
        self,
        labels: LabelSpec,
        size: tuple[int, int],
        ngf: int = 64,
        use_z: bool = False,
        z_dim: int = 256,
        upsampling: Literal["normal", "more", "most"] = "normal",
        norm: NormValue = NORM,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        if upsampling not in DOUBLINGS:
            raise UserError(
                f"unknown upsampling '{upsampling}'",
                where="generator 'spade'",
                mend=did_you_mean(upsampling, DOUBLINGS),
            )
        scale = 2 ** DOUBLINGS[upsampling]
        check_size(size, scale, f"generator 'spade', upsampling '{upsampling}'")
        self.upsampling = upsampling
        self.start = (size[0] // scale, size[1] // scale)
        self.wide = 16 * ngf
        self.z_dim = z_dim if use_z else 0
        self.fc: nn.Module = (
            nn.Linear(z_dim, self.wide * self.start[0] * self.start[1])
            if use_z
            else nn.Conv2d(labels.channels, self.wide, 3, padding=1)
        )

        def block(units_in: int, units_out: int) -> SPADEBlock:
            return SPADEBlock(units_in * ngf, units_out * ngf, labels, norm, spectral)

        self.head_0 = block(16, 16)
        self.G_middle_0 = block(16, 16)
        self.G_middle_1 = block(16, 16)
        self.up_0 = block(16, 8)
        self.up_1 = block(8, 4)
        self.up_2 = block(4, 2)
        self.up_3 = block(2, 1)
        last = ngf
        if upsampling == "most":
            last = ngf // 2
            self.up_4 = SPADEBlock(ngf, last, labels, norm, spectral)
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


def _unchanged(layer: nn.Conv2d) -> nn.Conv2d:
    return layer
