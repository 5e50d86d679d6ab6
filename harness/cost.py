"""What a generator costs: parameters, and multiply-adds for one image, counted without running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from harness.labels import LabelMap, LabelSpec
from harness.training.networks import build_generator


def generator_cost(config: Mapping[str, Any], spec: LabelSpec) -> dict[str, int]:
    """`parameters` and `multiply_adds` (convolutions and matrix products) of a cell's generator at its size."""
    size = (config["suite"]["size"][0], config["suite"]["size"][1])
    # Fake tensors have shapes and a device but no memory: full sizes are counted in seconds.
    with FakeTensorMode():
        generator = build_generator(config, spec, size).eval()
        labels = torch.zeros(1, *size, dtype=torch.int64)
        edges = torch.zeros(1, *size, dtype=torch.bool) if spec.edges else None
        z_dim = int(generator.z_dim)  # type: ignore[arg-type]  # part of the generator's contract
        z = torch.zeros(1, z_dim) if z_dim else None
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            generator(LabelMap(labels, spec, edges), z)
    return {
        "parameters": sum(p.numel() for p in generator.parameters()),
        # The counter has two operations to a multiply-add.
        "multiply_adds": counted.get_total_flops() // 2,
    }
