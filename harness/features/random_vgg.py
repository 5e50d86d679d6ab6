"""A perceptual net of fixed random weights, for suites that must need no download.

Liu, Chen, Chen, Yin, Shen, "A generic perceptual loss for modeling structured output dependencies"
(CVPR 2021) find that what a perceptual loss needs is the layered structure of the net and not its
training. This one is a narrow VGG: five levels of two convs 3x3 with ReLU, a 2x2 max pool between them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.registry import PERCEPTUAL

SEED = 0
WIDTHS = (16, 32, 64, 128, 128)
# A twentieth of those of `vgg19`, for this net knows nothing of photos. The maps need no scaling among each
# other: on photos each level's differences are as large as the next one's.
LAYER_WEIGHTS = (1 / 640, 1 / 320, 1 / 160, 1 / 80, 1 / 20)


def draw_weights() -> list[Tensor]:
    """The convs' weights (wide out, wide in, 3, 3) in order, two a level but for the last, of which one is read.

    They are uniform with the variance of He et al. 2015, which keeps activations on the scale of the
    input, and come without biases. They are drawn in float32 on the CPU by torch's uniform generator:
    its values are the same multiples of 2^-24 on every machine, while those of the normal one depend
    on the processor's vector instructions.
    """
    rng = torch.Generator().manual_seed(SEED)
    widths = [3, WIDTHS[0]]
    for before, width in pairwise(WIDTHS):
        widths += [before, width]
    drawn = []
    for wide_in, wide_out in pairwise(widths):
        bound = math.sqrt(6 / (9 * wide_in))
        drawn.append((2 * torch.rand(wide_out, wide_in, 3, 3, generator=rng) - 1) * bound)
    return drawn


def digest(weights: Sequence[Tensor]) -> str:
    """First 8 hex digits of the sha256 of the weights' little-endian float32 bytes."""
    content = hashlib.sha256()
    for weight in weights:
        content.update(weight.numpy().astype("<f4").tobytes())
    return content.hexdigest()[:8]


class RandomVGG:
    """Feature maps after the ReLU of the first conv of each level, as relu1_1 to relu5_1 of `vgg19`."""

    name = "random_vgg"
    layer_weights = LAYER_WEIGHTS

    def __init__(self, convs: Sequence[Tensor], device: torch.device | str) -> None:
        self.weights = digest(convs)
        self.convs = [weight.to(device) for weight in convs]

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1], H and W at least 16 -> 5 feature maps; differentiable."""
        maps, x = [], images
        for index, weight in enumerate(self.convs):
            first_of_level = index % 2 == 0
            if first_of_level and index > 0:
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, weight, padding=1))
            if first_of_level:
                maps.append(x)
        return maps


class RandomVGG255:
    """The same net as CRN and SIMS read their VGG19: images in 0 .. 255, themselves among the layers of weight 1.

    The scale decides how much the loss weighs beside another, as beside SIMS' label loss.
    """

    name = "random_vgg_255"
    layer_weights = (1.0,) * (1 + len(WIDTHS))

    def __init__(self, net: RandomVGG) -> None:
        self.net, self.weights = net, net.weights

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1], H and W at least 16 -> the images and 5 feature maps; differentiable."""
        scaled = (images + 1) * 127.5
        return [scaled, *self.net.layers(scaled)]


@PERCEPTUAL.register_module(name="random_vgg")
def random_vgg(weights_root: Path | None, device: torch.device | str) -> RandomVGG:
    """The net; it needs no file, and weights_root is not used."""
    return RandomVGG(draw_weights(), device)


@PERCEPTUAL.register_module(name="random_vgg_255")
def random_vgg_255(weights_root: Path | None, device: torch.device | str) -> RandomVGG255:
    """The variant for CRN and SIMS; it needs no file either."""
    return RandomVGG255(random_vgg(weights_root, device))
