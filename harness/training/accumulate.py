"""An update in micro-batches, for a batch that does not fit into memory at once.

What a norm reads off its batch, and how often a spectral norm iterates, is that of a micro-batch: such a
training is another cell than one by whole batches (harness/launch/cells/out_of_memory.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from harness.errors import UserError
from harness.features.base import PerceptualNet
from harness.labels import LabelMap
from harness.registry import OBJECTIVES, lookup
from harness.seeding import mixed_seed
from harness.training.networks import Networks, bare, part_options
from harness.training.step import discriminator_losses, make_fake

# `_noises` keeps its name: the tokens of update.py are part of every cell's id.
from harness.training.update import _noises, update

# The losses that are sums over the batch (harness/training/losses.py); all others are means.
_SUMMED = ("kld",)


# One step of all networks, called as harness.training.update.update.
Update = Callable[..., dict[str, Tensor]]


def update_of(config: dict[str, Any]) -> Update:
    """How a cell's config has a batch taken: at once, or in the micro-batches that its key `accumulate` counts."""
    parts = config.get("accumulate", 1)
    return update if parts == 1 else partial(update_in_parts, parts=parts)


def update_in_parts(
    networks: Networks,
    fabric: Fabric,
    g_optimiser: Any,
    d_optimiser: Any,
    labels: LabelMap,
    photos: Tensor,
    config: dict[str, Any],
    iteration: int,
    perceptual_net: PerceptualNet | None,
    parts: int,
) -> dict[str, Tensor]:
    """One step by gradients gathered over `parts` equal micro-batches. Returns the losses of the batch by name.

    Without batch statistics, spectral norms and dropout the gradients are those of `update`; each image has
    the noise that it has there. photos (N, 3, h, w): N of this process, of which each micro-batch has N / parts.
    Raises UserError where `parts` does not divide N.
    """
    if len(photos) % parts:
        raise UserError(
            f"{len(photos)} images cannot be taken in {parts} equal micro-batches",
            mend="train with as many processes as before",
        )
    weights, part = config["method"]["losses"], config["method"]["objective"]
    objective = lookup(OBJECTIVES, part["name"])
    torch.manual_seed(mixed_seed(config["seed"], iteration, fabric.global_rank))
    noises = _noises(networks.generator, config, iteration, fabric, len(photos))
    size = len(photos) // parts
    slices = [slice(first, first + size) for first in range(0, len(photos), size)]
    total: dict[str, Tensor] = {}
    fakes: list[Tensor] = []
    # Over several processes DDP averages what is gathered so far after each backward, which comes to the same.
    g_optimiser.zero_grad(set_to_none=True)
    for each in slices:
        with fabric.autocast():
            made = objective(
                networks.generator,
                bare(networks.discriminator),
                networks.encoder,
                labels[each],
                photos[each],
                None if noises[0] is None else noises[0][each],
                weights,
                perceptual_net,
                **part_options(part),
            )
        _backward(fabric, made.losses, parts, total)
        if networks.discriminator is not None and not config["method"]["fresh_fake"]:
            fakes.append(made.fake.detach())
        del made  # else its activations stay until the next micro-batch has its own
    g_optimiser.step()
    if networks.discriminator is None:
        return total
    d_optimiser.zero_grad(set_to_none=True)
    for number, each in enumerate(slices):
        with fabric.autocast():
            if config["method"]["fresh_fake"]:
                noise = None if noises[1] is None else noises[1][each]
                with torch.no_grad():
                    fake = make_fake(networks.generator, networks.encoder, labels[each], photos[each], noise)[0]
            else:
                fake = fakes[number]
            d_losses = discriminator_losses(networks.discriminator, labels[each], fake, photos[each], weights)
        _backward(fabric, d_losses, parts, total)
        del d_losses
    d_optimiser.step()
    return total


def _backward(fabric: Fabric, losses: dict[str, Tensor], parts: int, total: dict[str, Tensor]) -> None:
    """Add the gradients of a micro-batch's share of the batch's losses, and the shares to `total`."""
    shares = {name: loss.float() / (1 if name in _SUMMED else parts) for name, loss in losses.items()}
    fabric.backward(torch.stack(list(shares.values())).sum())
    for name, share in shares.items():
        total[name] = total[name] + share.detach() if name in total else share.detach()
