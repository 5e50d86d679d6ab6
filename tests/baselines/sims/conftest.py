"""Label maps with segments in them, and generators with a memory of such maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.sims.generator import SIMSGenerator
from harness.labels import LabelMap, LabelSpec
from harness.method import MemorySample

CLASSES = 5


def drawn_map(seed: int, height: int = 64, width: int = 64) -> torch.Tensor:
    """(height, width) class indices: two halves, and six boxes over them."""
    rng = np.random.default_rng(seed)
    indices = np.zeros((height, width), dtype=np.int64)
    indices[height // 2 :] = 1
    for _ in range(6):
        top, left = rng.integers(0, 3 * height // 4), rng.integers(0, 3 * width // 4)
        down, across = rng.integers(height // 8, height // 2), rng.integers(width // 8, width // 2)
        indices[top : top + down, left : left + across] = rng.integers(CLASSES)
    return torch.from_numpy(indices)


def drawn_samples(count: int, height: int = 64, width: int = 64) -> list[MemorySample]:
    rng = torch.Generator().manual_seed(0)
    return [
        MemorySample(
            str(i),
            drawn_map(i, height, width),
            torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=rng),
        )
        for i in range(count)
    ]


@pytest.fixture
def map_of() -> Callable[..., torch.Tensor]:
    return drawn_map


@pytest.fixture
def samples_of() -> Callable[..., list[MemorySample]]:
    return drawn_samples


@pytest.fixture
def batch_of() -> Callable[..., tuple[LabelMap, torch.Tensor]]:
    """(spec, size, count) -> label maps that the memory does not hold, and photos."""

    def make(spec: LabelSpec, size: tuple[int, int] = (64, 64), count: int = 2) -> tuple[LabelMap, torch.Tensor]:
        indices = torch.stack([drawn_map(1000 + i, *size) for i in range(count)])
        rng = torch.Generator().manual_seed(1)
        edges = torch.rand(indices.shape, generator=rng) < 0.1 if spec.edges else None
        return LabelMap(indices, spec, edges), torch.rand(count, 3, *size, generator=rng) * 2 - 1

    return make


@pytest.fixture
def generator_of(tmp_path: Path) -> Callable[..., SIMSGenerator]:
    """(spec, size, **options) -> a small generator with a memory of ten maps, in training mode."""

    def make(spec: LabelSpec, size: tuple[int, int] = (64, 64), seed: int = 0, **options: Any) -> SIMSGenerator:
        net = SIMSGenerator(spec, size, **{"ngf": 2, **options})
        net.initialise(torch.Generator().manual_seed(seed))
        folder = tmp_path / f"memory-{size[0]}x{size[1]}"
        if not folder.exists():
            folder.mkdir()
            net.build_memory(drawn_samples(10, *size), folder)
        net.open_memory(folder)
        return net

    return make
