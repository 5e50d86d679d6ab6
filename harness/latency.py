"""How long generators take for one image on this machine, measured side by side.

A time says little alone: all are run in turns in one go, and compared by their medians.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from harness.hardware import clock
from harness.labels import LabelSpec
from harness.norm_check.layers import random_maps
from harness.training.networks import build_generator, z_dim_of

WARM_UPS = 2


def rounds(repeats: int) -> int:
    """How often `latencies` runs each generator, warm-ups with them."""
    return WARM_UPS + repeats


def latencies(
    configs: Sequence[Mapping[str, Any]],
    spec: LabelSpec,
    device: torch.device,
    repeats: int = 10,
    tick: Callable[[], None] = lambda: None,
) -> list[tuple[float, ...]]:
    """Seconds that each generator takes for one label map of its suite's size, `repeats` times, in turns.

    configs: resolved cell configs of one suite. spec: of its label maps. Weights are fresh, since no time
    depends on them; eval mode, batch 1. A generator whose forward needs more than label maps and z runs
    its `cost_forward`. tick is called after each of `rounds(repeats)` rounds, of which the first warm up.
    Raises UserError for a config whose network cannot be built.
    """
    forwards = [_forward(config, spec, device) for config in configs]
    times: list[list[float]] = [[] for _ in forwards]
    with torch.inference_mode():
        for done in range(rounds(repeats)):
            for taken, forward in zip(times, forwards, strict=True):
                began = clock(device)
                forward()
                taken.append(clock(device) - began)
            if done < WARM_UPS:
                times = [[] for _ in forwards]
            tick()
    return [tuple(each) for each in times]


def _forward(config: Mapping[str, Any], spec: LabelSpec, device: torch.device) -> Callable[[], object]:
    height, width = config["suite"]["size"]
    with torch.random.fork_rng(devices=[]):  # constructors draw their weights from torch's own generator
        torch.manual_seed(0)
        generator: nn.Module = build_generator(config, spec, (height, width))
    generator = generator.to(device).eval()
    maps = random_maps(1, height, width, spec, seed=0, square=max(1, height // 8), device=device)
    z_dim = z_dim_of(generator)
    z = torch.zeros(1, z_dim, device=device) if z_dim else None
    run: Callable[..., object] = getattr(generator, "cost_forward", generator)
    # A fresh copy of the label map, which keeps its resized forms.
    return lambda: run(maps[:], z)
