"""The objective of SPADE and of pix2pixHD (paper.md, Training)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from harness.features.base import PerceptualNet
from harness.labels import LabelMap
from harness.method import Made
from harness.registry import OBJECTIVES
from harness.training import losses
from harness.training.step import discriminate, frozen, make_fake


@OBJECTIVES.register_module(name="adversarial")
def adversarial(
    generator: nn.Module,
    discriminator: nn.Module | None,
    encoder: nn.Module | None,
    labels: LabelMap,
    photos: Tensor,
    noise: Tensor | None,
    weights: Mapping[str, Any],
    perceptual_net: PerceptualNet | None,
) -> Made:
    """GAN loss, feature matching, perceptual loss and the encoder's KLD, each where its weight is not 0.

    Arguments as the contract in harness/method.py has them.
    """
    fake, mu, logvar = make_fake(generator, encoder, labels, photos, noise)
    made: dict[str, Tensor] = {}
    if discriminator is not None:
        with frozen(discriminator):
            on_fake, on_real = discriminate(discriminator, labels, fake, photos)
        made["gan"] = losses.gan_generator(on_fake, weights["gan"], weights["gan_over_scales"])
        if weights["feature_matching"]:
            made["feature_matching"] = weights["feature_matching"] * losses.feature_matching(on_fake, on_real)
    if perceptual_net is not None and weights["perceptual"]:
        made["perceptual"] = weights["perceptual"] * losses.perceptual(fake, photos, perceptual_net)
    if mu is not None and logvar is not None:
        made["kld"] = weights["kld"] * losses.kld(mu, logvar)
    return Made(made, fake)
