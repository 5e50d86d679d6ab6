"""Nets of the real size without a weight file: what a run of the whole pipeline needs where no file is at hand.

Their predictions mean nothing, and nothing may be made of their scores: a net of this kind says `random`
in place of its weights' digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)

RANDOM = "random"
SEED = 0


def untrained(build: Callable[[], Net]) -> Net:
    """The net with weights drawn from a fixed seed: the same on every call, frozen, in eval mode, on the CPU.

    Convolutions and linear layers keep the variance of their input and see none of its mean, since what is
    the same everywhere would be one class everywhere; batch norms pass on what they get. Nobody's random
    state is moved. `build` runs on the meta device: a layer with fixed weights has to be put in afterwards.
    """
    rng = torch.Generator().manual_seed(SEED)
    with torch.device("meta"):
        net = build()
    net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            # A transposed convolution's weights come as (in, out, ...).
            _draw(module.weight, 0 if isinstance(module, nn.ConvTranspose2d) else 1, rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.PReLU):
            nn.init.constant_(module.weight, module.init)
    return net.eval().requires_grad_(False)


@torch.no_grad()
def _draw(weight: Tensor, into: int, rng: torch.Generator) -> None:
    """Fill with uniform values of variance 1 / fan-in, taken off their mean over the input channels (dimension
    `into`) and the kernel."""
    fan_in = weight.numel() // weight.shape[1 - into]
    bound = (3 / fan_in) ** 0.5
    weight.uniform_(-bound, bound, generator=rng)
    if fan_in > 1:
        rest = [d for d in range(weight.dim()) if d != 1 - into]
        weight.sub_(weight.mean(dim=rest, keepdim=True))
