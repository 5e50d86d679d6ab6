"""The networks of a cell, built from its config through the registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric.wrappers import is_wrapped
from mmengine.registry import Registry
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
    rng = torch.Generator().manual_seed(config["seed"])
    # A user's layer may draw from torch's own generator in its constructor.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        networks = construct(config, spec)
        for network in networks.named().values():
            network.initialise(rng)  # type: ignore[operator]  # part of the contract in harness/method.py
    return networks


def construct(config: Mapping[str, Any], spec: LabelSpec) -> Networks:
    """The networks of a resolved cell config, weights as their constructors leave them."""
    size = (config["suite"]["size"][0], config["suite"]["size"][1])
    return Networks(
        build_generator(config, spec, size),
        _optional(DISCRIMINATORS, config["method"]["discriminator"], spec),
        _optional(ENCODERS, config["method"]["encoder"]),
    )


def build_generator(config: Mapping[str, Any], spec: LabelSpec, size: tuple[int, int]) -> nn.Module:
    """The generator of a resolved cell config, weights as its constructor leaves them."""
    return build_part(GENERATORS, config["method"]["generator"], spec, size)


def build_part(registry: Registry, part: Mapping[str, Any], *engine: Any) -> nn.Module:
    """The network that a part of a config names; engine: the arguments that are no options (harness/method.py)."""
    network = lookup(registry, part["name"])(*engine, **part_options(part))
    assert isinstance(network, nn.Module)
    return network


def _optional(registry: Registry, part: Mapping[str, Any] | None, *engine: Any) -> nn.Module | None:
    return None if part is None else build_part(registry, part, *engine)


def part_options(part: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a part of a config: all but its registry name."""
    return {key: value for key, value in part.items() if key != "name"}


def z_dim_of(generator: Any) -> int:
    """Width of a generator's z, 0 for one that takes none: an attribute by its contract (harness/method.py)."""
    return int(bare(generator).z_dim)


def bare(network: Any) -> Any:
    """A network without the wrapper of Fabric, where it has one."""
    return network.module if is_wrapped(network) else network
