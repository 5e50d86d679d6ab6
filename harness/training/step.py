"""One adversarial step: the generator's losses, then the discriminator's (paper.md, Training).

The discriminator sees fake and real in one batch, so its spectral norms iterate once per pass.
Networks may be wrapped by Fabric. The generator's step goes through the discriminator's bare module:
its parameters are frozen there, which a DDP wrapper would wait for in vain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.features.base import PerceptualNet
from harness.labels import LabelMap, cat
from harness.training import losses
from harness.training.losses import Outputs


@dataclass
class Made:
    """What the generator's step made: its losses by name, already weighted, and the fake images."""

    losses: dict[str, Tensor]
    fake: Tensor


def make_fake(
    generator: nn.Module, encoder: nn.Module | None, labels: LabelMap, photos: Tensor, noise: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(images, mu, logvar); z is drawn from the encoder's posterior where there is one, else it is the noise."""
    if encoder is None or noise is None:
        return generator(labels, noise), None, None
    mu, logvar = encoder(photos)
    return generator(labels, noise * torch.exp(0.5 * logvar) + mu), mu, logvar


def generator_losses(
    generator: nn.Module,
    discriminator: nn.Module | None,
    encoder: nn.Module | None,
    labels: LabelMap,
    photos: Tensor,
    noise: Tensor | None,
    weights: Mapping[str, Any],
    perceptual_net: PerceptualNet | None = None,
) -> Made:
    """Losses of the generator (and encoder) on a batch.

    photos: (N, 3, H, W) in [-1, 1]. noise: (N, z_dim) standard normal, or None for a generator without
    z. weights: the fields of harness.method.Losses.
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


def discriminator_losses(
    discriminator: nn.Module, labels: LabelMap, fake: Tensor, photos: Tensor, weights: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Losses of the discriminator on a batch of fake images (detached here) and photos."""
    on_fake, on_real = discriminate(discriminator, labels, fake.detach(), photos)
    kind, scales, factor = weights["gan"], weights["gan_over_scales"], weights["discriminator"]
    return {
        "d_fake": factor * losses.gan_discriminator(on_fake, False, kind, scales),
        "d_real": factor * losses.gan_discriminator(on_real, True, kind, scales),
    }


def discriminate(discriminator: nn.Module, labels: LabelMap, fake: Tensor, real: Tensor) -> tuple[Outputs, Outputs]:
    """The discriminator's outputs on fake and on real images, from one pass over both."""
    outputs = discriminator(cat([labels, labels]), torch.cat([fake, real]))
    half = len(fake)
    return [[f[:half] for f in scale] for scale in outputs], [[f[half:] for f in scale] for scale in outputs]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through the network but are not gathered for its parameters."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
