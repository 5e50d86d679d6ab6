"""Starting weights, drawn from a given random generator so that a build is a pure function of its seed."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import spectral_hook

Kind = Literal["xavier", "normal"]
GAIN = 0.02


def initialise(network: nn.Module, rng: torch.Generator, kind: Kind) -> None:
    """Set all weights of `network` in place, in the order of its layers.

    xavier: as the official SPADE code: convs and linear layers xavier normal of gain 0.02, biases 0.
    normal: as the official pix2pixHD code: convs normal of standard deviation 0.02, biases torch's
        default, uniform within 1 / sqrt(fan in).
    Learned scales of norms are normal(1, 0.02), their shifts 0. Under spectral norm the rule holds for
    `weight_orig`; u is a random unit vector, v the unit vector along W^T u, which is what the first
    training forward makes of any v.

    A layer that has a method `initialise(rng)` sets itself. Parameters of any other kind keep the
    values of their constructor, which must therefore be constants.

    Values are drawn on the device of `rng`, so they do not depend on the device of the network.
    """
    for layer in network.children():
        own = getattr(layer, "initialise", None)
        if own is not None:
            own(rng)
            continue
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            _set_weight(layer, rng, kind)
        elif isinstance(layer, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm):
            _set_norm(layer, rng)
        initialise(layer, rng, kind)


@torch.no_grad()
def _set_weight(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, rng: torch.Generator, kind: Kind) -> None:
    hook = spectral_hook(layer)
    weight: Tensor = layer.weight if hook is None else layer.get_parameter("weight_orig")
    field = math.prod(weight.shape[2:])
    fan_in, fan_out = weight.shape[1] * field, weight.shape[0] * field
    _normal(weight, rng, GAIN * math.sqrt(2.0 / (fan_in + fan_out)) if kind == "xavier" else GAIN)
    if layer.bias is not None and kind == "xavier":
        layer.bias.zero_()
    elif layer.bias is not None:
        uniform = 2 * torch.rand(layer.bias.shape, generator=rng, device=rng.device) - 1
        layer.bias.copy_(uniform / math.sqrt(fan_in))
    if hook is not None:
        u, v = layer.get_buffer("weight_u"), layer.get_buffer("weight_v")
        _normal(u, rng, 1.0)
        u.copy_(F.normalize(u, dim=0))
        v.copy_(F.normalize(hook.reshape_weight_to_matrix(weight).t() @ u, dim=0))


@torch.no_grad()
def _set_norm(layer: nn.Module, rng: torch.Generator) -> None:
    if isinstance(layer.weight, Tensor):
        _normal(layer.weight, rng, GAIN, mean=1.0)
    if isinstance(layer.bias, Tensor):
        layer.bias.zero_()


def _normal(target: Tensor, rng: torch.Generator, std: float, mean: float = 0.0) -> None:
    target.copy_(torch.randn(target.shape, generator=rng, device=rng.device) * std + mean)
