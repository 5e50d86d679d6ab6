"""One update of all networks: what is drawn for it, the two losses, the two optimisers."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from harness.features.base import PerceptualNet
from harness.labels import LabelMap
from harness.registry import OBJECTIVES, lookup
from harness.seeding import mixed_seed
from harness.training.networks import Networks, bare, part_options, z_dim_of
from harness.training.step import discriminator_losses, make_fake


def update(
    networks: Networks,
    fabric: Fabric,
    g_optimiser: Any,
    d_optimiser: Any,
    labels: LabelMap,
    photos: Tensor,
    config: dict[str, Any],
    iteration: int,
    perceptual_net: PerceptualNet | None,
) -> dict[str, Tensor]:
    """One step: generator (and encoder), then discriminator. Returns the losses by name."""
    weights, part = config["method"]["losses"], config["method"]["objective"]
    objective = lookup(OBJECTIVES, part["name"])
    torch.manual_seed(mixed_seed(config["seed"], iteration, fabric.global_rank))
    noises = _noises(networks.generator, config, iteration, fabric, len(photos))
    with fabric.autocast():
        made = objective(
            networks.generator,
            bare(networks.discriminator),
            networks.encoder,
            labels,
            photos,
            noises[0],
            weights,
            perceptual_net,
            **part_options(part),
        )
    g_optimiser.zero_grad(set_to_none=True)
    fabric.backward(torch.stack([loss.float() for loss in made.losses.values()]).sum())
    g_optimiser.step()
    values = {name: loss.detach() for name, loss in made.losses.items()}
    if networks.discriminator is None:
        return values
    fake = made.fake.detach()
    with fabric.autocast():
        if config["method"]["fresh_fake"]:
            with torch.no_grad():
                fake = make_fake(networks.generator, networks.encoder, labels, photos, noises[1])[0]
        d_losses = discriminator_losses(networks.discriminator, labels, fake, photos, weights)
    d_optimiser.zero_grad(set_to_none=True)
    fabric.backward(torch.stack([loss.float() for loss in d_losses.values()]).sum())
    d_optimiser.step()
    return {**values, **{name: loss.detach() for name, loss in d_losses.items()}}


def _noises(
    generator: nn.Module, config: dict[str, Any], iteration: int, fabric: Fabric, local: int
) -> tuple[Tensor | None, Tensor | None]:
    """Noise for the two passes: drawn for the whole batch, of which each process takes its share."""
    z_dim = z_dim_of(generator)
    if not z_dim:
        return None, None
    rng = torch.Generator().manual_seed(mixed_seed(config["seed"], iteration, -1))
    mine = slice(fabric.global_rank * local, (fabric.global_rank + 1) * local)
    draws = torch.randn(2, config["schedule"]["batch"], z_dim, generator=rng)[:, mine].to(fabric.device)
    return draws[0], draws[1]


def build_optimisers(networks: Networks, options: dict[str, float]) -> tuple[torch.optim.Adam, torch.optim.Adam | None]:
    betas = (float(options["beta1"]), float(options["beta2"]))
    of_generator = list(networks.generator.parameters())
    if networks.encoder is not None:
        of_generator += list(networks.encoder.parameters())
    g_optimiser = torch.optim.Adam(of_generator, lr=options["lr_generator"], betas=betas)
    if networks.discriminator is None:
        return g_optimiser, None
    return g_optimiser, torch.optim.Adam(
        networks.discriminator.parameters(), lr=options["lr_discriminator"], betas=betas
    )
