"""The perceptual net of suites that need no download: random_vgg's maps, and the images themselves among the layers.

Random weights know nothing of photos; the difference of the pixels themselves keeps short trainings from
drifting off in colour.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from harness.features.random_vgg import WIDTHS, RandomVGG, random_vgg
from harness.registry import PERCEPTUAL


class RandomVGGImage:
    """The images and the five maps of `random_vgg`, all of one weight: with SPADE's weight of 10 the loss is about
    as large as the one on VGG19 that the paper has beside its other losses."""

    name = "random_vgg_image"
    layer_weights = (0.6,) * (1 + len(WIDTHS))

    def __init__(self, net: RandomVGG) -> None:
        self.net, self.weights = net, net.weights

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1], H and W at least 16 -> the images and 5 feature maps; differentiable."""
        return [images, *self.net.layers(images)]


@PERCEPTUAL.register_module(name="random_vgg_image")
def random_vgg_image(weights_root: Path | None, device: torch.device | str) -> RandomVGGImage:
    """The net; it needs no file, and weights_root is not used."""
    return RandomVGGImage(random_vgg(weights_root, device))
