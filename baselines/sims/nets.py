"""The three networks of SIMS (paper.md, SIMS): transform, ordering and synthesis.

Inferred from the published parameter counts, which they meet to the digit with 20 labels (14,734,086,
15,266,452 and 55,671,319 at 256x512): convs before a norm have no bias, norms have a scale and a shift, the
ordering net has one hidden layer of 1024 and the transform net none, both on the mean over the last feature
map, the synthesis net's first decoder level has no level before it, and its last no encoder output.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.discriminators import halved
from baselines.init import initialise
from baselines.layers import Conditioned, normed
from baselines.norms.build import NormValue
from harness.labels import LabelMap, LabelSpec

SLOPE = 0.2
# Widths in units of ngf and numbers of convs of the stack's groups, those of VGG16.
GROUPS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
# The least side that the stack can halve five times.
LEAST = 32
# Spread of the transform head's weights at the start: as good as the identity, yet the layers below learn at once.
HEAD = 1e-4


def _group(wide_in: int, wide: int, convs: int, norm: NormValue, labels: LabelSpec) -> Conditioned:
    """Convs 3x3, each with a norm and LeakyReLU 0.2."""
    layers: list[nn.Module] = []
    for i in range(convs):
        conv = nn.Conv2d(wide_in if i == 0 else wide, wide, 3, padding=1)
        layers += [normed(conv, norm, labels, with_spectral=False), nn.LeakyReLU(SLOPE)]
    return Conditioned(*layers)


class Stack(nn.Module):
    """What the transform and the ordering net share: (N, channels, h, w) -> (N, 8 ngf).

    Five groups of convs, pooled by 2 after each: by the mean after the first, by the maximum after the
    others; then the mean over what is left. Sides are 32 or more.
    """

    def __init__(self, channels: int, ngf: int, norm: NormValue, labels: LabelSpec) -> None:
        super().__init__()
        self.groups = nn.ModuleList()
        for units, convs in GROUPS:
            self.groups.append(_group(channels, units * ngf, convs, norm, labels))
            channels = units * ngf

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        for i, group in enumerate(self.groups):
            x = group(x, labels)
            x = F.max_pool2d(x, 2) if i else F.avg_pool2d(x, 2)
        return x.mean(dim=(2, 3))


class TransformNet(nn.Module):
    """The affine warp that lays a segment of the memory onto its place: (N, 2, 3), close to the identity at first.

    Reads the segment's photo (RGB, 0 outside of the segment) and mask, and the mask of its place in the
    channel of its class: 4 + classes channels. The instance edges of label maps are not read.
    """

    def __init__(self, labels: LabelSpec, ngf: int, norm: NormValue) -> None:
        super().__init__()
        self.stack = Stack(4 + labels.classes, ngf, norm, labels)
        self.head = nn.Linear(8 * ngf, 6)

    def initialise(self, rng: torch.Generator) -> None:
        """Xavier, and a head that gives the identity but for normal weights of standard deviation 1e-4."""
        initialise(self, rng, "xavier")
        with torch.no_grad():
            weight = self.head.weight
            weight.copy_(torch.randn(weight.shape, generator=rng, device=rng.device) * HEAD)
            self.head.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        pooled = self.stack(x, labels)
        # In bf16 the steps of an entry near 1 would be a pixel wide.
        with torch.autocast(x.device.type, enabled=False):
            return self.head(pooled.float()).view(-1, 2, 3)


class OrderingNet(nn.Module):
    """Which of two neighbours lies in front: the photo pixels of both (N, 6, h, w) -> logits (N, classes).

    The logit of a class is that its segment is the one in front.
    """

    def __init__(self, labels: LabelSpec, ngf: int, norm: NormValue) -> None:
        super().__init__()
        self.stack = Stack(6, ngf, norm, labels)
        self.hidden = nn.Linear(8 * ngf, 16 * ngf)
        self.head = nn.Linear(16 * ngf, labels.classes)

    def initialise(self, rng: torch.Generator) -> None:
        """Xavier, as the rest."""
        initialise(self, rng, "xavier")

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        return self.head(F.leaky_relu(self.hidden(self.stack(x, labels)), SLOPE))


class SynthesisNet(nn.Module):
    """(N, label channels + 4, h, w): label map, canvas, its mask -> RGB (N, 3, h, w), label logits (N, classes, h, w).

    A U-Net. The encoder halves (mean of 3x3) as long as the smaller side stays 3 or more: six times at
    the paper's 256. Each decoder level is given the level before it, doubled, the whole input at its
    size, and the encoder's halved output of that size; the last level is at full size. Resizing is
    bilinear with aligned corners. Decoder widths are 8 ngf, and 4 ngf at the last two levels.
    """

    def __init__(self, labels: LabelSpec, size: tuple[int, int], ngf: int, norm: NormValue) -> None:
        super().__init__()
        halvings = next(n for n in range(64) if min(size) < 3 * 2 ** (n + 1))
        channels = labels.channels + 4
        self.encoder = nn.ModuleList()
        widths = [channels]
        for i in range(halvings):
            units, convs = GROUPS[min(i, len(GROUPS) - 1)]
            self.encoder.append(_group(widths[-1], units * ngf, convs, norm, labels))
            widths.append(units * ngf)
        self.decoder = nn.ModuleList()
        before = 0
        for i in range(halvings, -1, -1):
            wide = (8 if i > 1 else 4) * ngf
            pooled = widths[i] if i else 0
            self.decoder.append(_group(before + channels + pooled, wide, 2, norm, labels))
            before = wide
        self.to_rgb = nn.Conv2d(before, 3, 1)
        self.to_labels = nn.Conv2d(before, labels.classes, 1)

    def initialise(self, rng: torch.Generator) -> None:
        """Xavier, as the rest."""
        initialise(self, rng, "xavier")

    def forward(self, x: Tensor, labels: LabelMap) -> tuple[Tensor, Tensor]:
        pools: list[Tensor] = []
        out = x
        for group in self.encoder:
            out = halved(group(out, labels))
            pools.append(out)
        sizes = [tuple(pool.shape[2:]) for pool in reversed(pools)] + [tuple(x.shape[2:])]
        above: Tensor | None = None
        for level, size in zip(self.decoder, sizes, strict=True):
            parts = [] if above is None else [_resized(above, size)]
            parts.append(_resized(x, size))
            parts += [pools.pop()] if pools else []
            above = level(torch.cat(parts, dim=1), labels)
        return self.to_rgb(above), self.to_labels(above)


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)
