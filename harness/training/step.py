"""What the objectives and the discriminator's step share (paper.md, Training).

The discriminator sees fake and real in one batch, so its spectral norms iterate once per pass.
Networks may be wrapped by Fabric. The generator's step goes through the discriminator's bare module:
its parameters are frozen there, which a DDP wrapper would wait for in vain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from harness.labels import LabelMap, cat
from harness.training import losses
from harness.training.losses import Outputs


def make_fake(
    generator: nn.Module, encoder: nn.Module | None, labels: LabelMap, photos: Tensor, noise: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(images, mu, logvar); z is drawn from the encoder's posterior where there is one, else it is the noise."""
    if encoder is None or noise is None:
        return generator(labels, noise), None, None
    mu, logvar = encoder(photos)
    return generator(labels, noise * torch.exp(0.5 * logvar) + mu), mu, logvar


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
