"""The SPADE decoder without SPADE: the label map is concatenated to what the convs read (paper, Table 3)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from baselines.concat import with_labels
from baselines.decoder import SLOPE, Decoder, Upsampling
from baselines.layers import spectral as put_spectral
from baselines.norms.build import NormValue, build_norm
from harness.labels import LabelMap, LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "sync_batch"}


class ConcatBlock(nn.Module):
    """Residual block: norm, LeakyReLU, label map concatenated, conv 3x3, twice.

    The width between the convs is min(wide_in, wide_out). Where widths differ the shortcut is a norm
    and a conv 1x1, which reads no label map.
    """

    def __init__(self, wide_in: int, wide_out: int, labels: LabelSpec, norm: NormValue, with_spectral: bool) -> None:
        super().__init__()
        middle = min(wide_in, wide_out)
        self.learned_shortcut = wide_in != wide_out
        self.conv_0 = nn.Conv2d(wide_in + labels.channels, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle + labels.channels, wide_out, 3, padding=1)
        convs = [self.conv_0, self.conv_1]
        if self.learned_shortcut:
            self.conv_s = nn.Conv2d(wide_in, wide_out, 1, bias=False)
            convs.append(self.conv_s)
        if with_spectral:
            for conv in convs:
                put_spectral(conv)
        self.norm_0 = build_norm(norm, wide_in, labels)
        self.norm_1 = build_norm(norm, middle, labels)
        if self.learned_shortcut:
            self.norm_s = build_norm(norm, wide_in, labels)

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        """(N, wide_in, h, w) -> (N, wide_out, h, w)."""
        out = F.leaky_relu(self.norm_0(x, labels), SLOPE)
        out = self.conv_0(with_labels(out, labels, self.conv_0.weight))
        out = F.leaky_relu(self.norm_1(out, labels), SLOPE)
        out = self.conv_1(with_labels(out, labels, self.conv_1.weight))
        return out + (self.conv_s(self.norm_s(x, labels)) if self.learned_shortcut else x)


@GENERATORS.register_module(name="spade_concat")
class SPADEConcatGenerator(Decoder):
    """Label maps, and z where `use_z`, -> images in [-1, 1]: "decoder w/ Concat" (paper, Table 3).

    The paper gives no layout and no code of it exists. The one here is inferred from the printed
    count of 79M (79,081,155 for ADE20K): the resized label map is concatenated to the input of every
    3x3 conv of the residual blocks and not to the 1x1 shortcuts, those convs keep their biases, and
    the norm has no parameters.

    norm: norm of the residual blocks. spectral: spectral norm on their convs. See Decoder for the rest.
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
        def block(wide_in: int, wide_out: int) -> ConcatBlock:
            return ConcatBlock(wide_in, wide_out, labels, norm, spectral)

        super().__init__("spade_concat", labels, size, ngf, use_z, z_dim, upsampling, block)
