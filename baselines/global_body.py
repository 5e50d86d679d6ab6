"""The body that pix2pixHD and pix2pixHD++ share: downsample, residual blocks, upsample.

Its norms are given the label maps, so that a conditional norm can take the place of a plain one.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from baselines.checks import at_least_one
from baselines.concat import with_labels
from baselines.layers import Conditioned, check_size, normed
from baselines.norms.build import NormValue, build_norm
from baselines.one_hot import SharedLabels, compute_dtype
from harness.labels import LabelMap, LabelSpec


class ResidualBlock(nn.Module):
    """x + (reflection pad, conv 3x3, norm, ReLU, reflection pad, conv 3x3, norm).

    concat: whether the label map is concatenated to what the first conv reads, ahead of its pad.
    """

    def __init__(self, first: list[nn.Module], second: list[nn.Module], concat: bool = False) -> None:
        super().__init__()
        self.concat = concat
        pad = nn.ReflectionPad2d(1)
        self.conv_block = Conditioned(pad, *first, nn.ReLU(), nn.ReflectionPad2d(1), *second)

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        read = with_labels(x, labels, next(self.parameters())) if self.concat else x
        return x + self.conv_block(read, labels)


class GlobalBody(nn.Module):
    """One-hot label maps -> images in [-1, 1] (Wang et al. 2018, section 3.2; paper.md, Generator).

    size: (h, w) of the images, multiples of 2 ** downsamplings and large enough for the reflection
        pads. ngf: width after the first conv, doubled by each downsampling.
    nested: pix2pixHD++ keeps a conv (without bias) and its norm as one layer of the list, which shows
        in the names; pix2pixHD has them one after the other, the conv with its bias.
    concat: whether the first conv of each residual block also reads the label map, resized.
    Raises UserError for a size that cannot be.
    """

    z_dim = 0

    def __init__(
        self,
        labels: LabelSpec,
        size: tuple[int, int],
        ngf: int,
        downsamplings: int,
        blocks: int,
        norm: NormValue,
        spectral: bool,
        nested: bool,
        concat: bool = False,
    ) -> None:
        super().__init__()
        where = "generator with the pix2pixHD body"
        at_least_one(where, {"ngf": ngf, "downsamplings": downsamplings, "blocks": blocks})
        # The blocks' reflection pad needs two pixels at the smallest size, the one of the 7x7 convs four at full size.
        check_size(size, 2**downsamplings, where, least=2 if downsamplings > 1 else 4)
        self.size = size

        def step(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
            if nested:
                return [normed(conv, norm, labels, spectral)]
            return [conv, build_norm(norm, conv.out_channels, labels)]

        layers = [nn.ReflectionPad2d(3), *step(nn.Conv2d(labels.channels, ngf, 7)), nn.ReLU()]
        widths = [ngf * 2**i for i in range(downsamplings + 1)]
        for narrow, wide in pairwise(widths):
            layers += [*step(nn.Conv2d(narrow, wide, 3, stride=2, padding=1)), nn.ReLU()]
        read = widths[-1] + (labels.channels if concat else 0)
        for _ in range(blocks):
            first, second = (step(nn.Conv2d(width, widths[-1], 3)) for width in (read, widths[-1]))
            layers.append(ResidualBlock(first, second, concat))
        for wide, narrow in pairwise(reversed(widths)):
            up = nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1)
            layers += [*step(up), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        self.model = Conditioned(*layers)

    def forward(self, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        """Label maps of any size -> (N, 3, h, w). There is no z."""
        labels = SharedLabels(labels).resized(*self.size)
        return self.model(labels.one_hot(compute_dtype(next(self.parameters()))), labels)
