"""The networks of a cell, built from its config through the registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.labels import LabelSpec
from harness.registry import DISCRIMINATORS, ENCODERS, GENERATORS, lookup


@dataclass
class Networks:
    """generator, and where the method has them discriminator and encoder."""

    generator: nn.Module
    discriminator: nn.Module | None
    encoder: nn.Module | None

    def named(self) -> dict[str, nn.Module]:
        """Those there are, by their name in a checkpoint."""
        every = {"generator": self.generator, "discriminator": self.discriminator, "encoder": self.encoder}
        return {name: network for name, network in every.items() if network is not None}


def build_networks(config: Mapping[str, Any], spec: LabelSpec) -> Networks:
    """The networks of a resolved cell config, their weights a function of the config's seed alone."""
    size = (config["suite"]["size"][0], config["suite"]["size"][1])
    rng = torch.Generator().manual_seed(config["seed"])
    # A user's layer may draw from torch's own generator in its constructor.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        generator = build_generator(config, spec, size)
        discriminator = _build(DISCRIMINATORS, config["method"]["discriminator"], spec)
        encoder = _build(ENCODERS, config["method"]["encoder"])
        networks = Networks(generator, discriminator, encoder)
        for network in networks.named().values():
            network.initialise(rng)  # type: ignore[operator]  # part of the contract in harness/method.py
    return networks


def build_generator(config: Mapping[str, Any], spec: LabelSpec, size: tuple[int, int]) -> nn.Module:
    """The generator of a resolved cell config, weights as its constructor leaves them."""
    generator = _build(GENERATORS, config["method"]["generator"], spec, size)
    assert generator is not None
    return generator


def _build(registry: Any, part: Mapping[str, Any] | None, *engine: Any) -> nn.Module | None:
    if part is None:
        return None
    options = {key: value for key, value in part.items() if key != "name"}
    network = lookup(registry, part["name"])(*engine, **options)
    assert isinstance(network, nn.Module)
    return network
