"""The SPADE generator (paper, section 3 and appendix A): label maps enter at every resolution."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from baselines.decoder import SLOPE, Decoder, Upsampling
from baselines.layers import spectral as put_spectral
from baselines.norms.build import NormValue, build_norm
from harness.labels import LabelMap, LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "spade", "kernel": 3, "hidden": 128, "base": "sync_batch"}


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
class SPADEGenerator(Decoder):
    """Label maps, and z where `use_z`, -> images in [-1, 1].

    norm: norm of the residual blocks. spectral: spectral norm on their convs. See Decoder for the rest.

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
        upsampling: Upsampling = "normal",
        norm: NormValue = NORM,
        spectral: bool = True,
    ) -> None:
        def block(wide_in: int, wide_out: int) -> SPADEBlock:
            return SPADEBlock(wide_in, wide_out, labels, norm, spectral)

        super().__init__("spade", labels, size, ngf, use_z, z_dim, upsampling, block)


def _unchanged(layer: nn.Conv2d) -> nn.Conv2d:
    return layer
