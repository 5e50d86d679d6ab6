"""The objective of CRN: a perceptual loss under which several images may share the work (paper.md, CRN).

For each class only the best of the k images pays (Chen & Koltun 2017, section 4): the images become
different guesses at what the label map leaves open. A small share of the mean keeps all of them in training.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import UserError
from harness.features.base import PerceptualNet
from harness.labels import LabelMap
from harness.method import Made
from harness.registry import OBJECTIVES
from harness.training.networks import bare

WHERE = "objective 'diversity'"


@OBJECTIVES.register_module(name="diversity")
def diversity(
    generator: nn.Module,
    discriminator: nn.Module | None,
    encoder: nn.Module | None,
    labels: LabelMap,
    photos: Tensor,
    noise: Tensor | None,
    weights: Mapping[str, Any],
    perceptual_net: PerceptualNet | None,
    share_of_mean: float = 0.001,
) -> Made:
    """`diverse_perceptual` of all images that the generator makes for a label map, times weights["perceptual"].

    generator: its forward takes every=True and then gives (N, k, 3, h, w); k = 1 is the plain masked
        loss. discriminator, encoder: not used. share_of_mean: 0 to 1, the share of the mean over the k images.
    The other arguments as the contract in harness/method.py has them; `fake` is the first of the k.

    Raises UserError for another generator, where there is no perceptual net, and for another share.
    """
    if perceptual_net is None:
        raise UserError(
            "there is no perceptual net, and this objective is made of nothing else",
            where=WHERE,
            mend="--set perceptual=random_vgg needs no file",
        )
    if not 0 <= share_of_mean <= 1:
        raise UserError(f"share_of_mean must be in 0 .. 1, not {share_of_mean}", where=WHERE)
    if "every" not in inspect.signature(bare(generator).forward).parameters:
        raise UserError("this generator makes one image for a label map", where=WHERE, mend="use the generator 'crn'")
    fakes = generator(labels, noise, every=True)
    masks = labels.resized(photos.shape[2], photos.shape[3]).one_hot()[:, : labels.spec.classes]
    loss = diverse_perceptual(fakes, photos, masks, perceptual_net, share_of_mean)
    return Made({"perceptual": weights["perceptual"] * loss}, fakes[:, 0])


def diverse_perceptual(fakes: Tensor, real: Tensor, masks: Tensor, net: PerceptualNet, share_of_mean: float) -> Tensor:
    """The loss of k images for each photo: for every class its least error over the k, and a share of the mean.

    fakes: (N, k, 3, h, w), real: (N, 3, h, w), both on the scale of -1 to 1. masks: (N, C, h, w) float32,
    the one-hot classes. The error of an image and class is the absolute difference of the net's feature
    maps, averaged over channels, masked by the class (area-resized to the map) and averaged over all
    positions; the maps' errors are added up with the net's weights before the minimum is taken.
    Classes are summed, the batch is averaged.
    """
    n, k = fakes.shape[:2]
    with torch.no_grad():
        targets = net.layers(real)
    errors = torch.zeros(n, k, masks.shape[1], device=fakes.device)
    for weight, made, target in zip(net.layer_weights, net.layers(fakes.flatten(0, 1)), targets, strict=True):
        off = (made.unflatten(0, (n, k)) - target.unsqueeze(1)).abs().float().mean(dim=2)
        errors = errors + weight * _masked_mean(off, masks)
    best, mean = errors.amin(dim=1).sum(dim=1), errors.mean(dim=1).sum(dim=1)
    return ((1 - share_of_mean) * best + share_of_mean * mean).mean()


def _masked_mean(off: Tensor, masks: Tensor) -> Tensor:
    """off (N, k, h, w), masks (N, C, H, W) -> (N, k, C): the mean over h and w of off times each resized mask."""
    resized = F.adaptive_avg_pool2d(masks, (off.shape[2], off.shape[3]))  # what "area" means
    with torch.autocast(off.device.type, enabled=False):  # sums over a whole map need float32
        return torch.bmm(off.flatten(2), resized.flatten(2).transpose(1, 2)) / (off.shape[2] * off.shape[3])
