"""Release files of the paper's segmenters, made of names and shapes: what a test needs where the files are not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Container
from pathlib import Path

import numpy as np
import torch
from fillrule import fill_value
from torch import Tensor, nn

Keys = list[tuple[str, tuple[int, ...]]]


def release_keys(golden: Path, name: str) -> Keys:
    """Names and shapes of a release, in the file's order."""
    listed = json.loads(gzip.decompress((golden / "segmenter_keys.json.gz").read_bytes()))[name]
    return [(key, tuple(shape)) for key, shape, _ in listed]


def meta_keys(net: nn.Module) -> Keys:
    return [(key, tuple(value.shape)) for key, value in net.state_dict().items()]


def filled_state(keys: Keys, skip: Container[str] = ()) -> dict[str, Tensor]:
    """Weights by the rule of the golden figures."""
    filled = {key: torch.from_numpy(np.asarray(fill_value(key, shape))) for key, shape in keys if key not in skip}
    return {key: value if value.dtype == torch.int64 else value.float() for key, value in filled.items()}


def light_state(keys: Keys) -> dict[str, Tensor]:
    """Weights of 0 and variances of 1 that take a few bytes each, in memory and in a file."""
    state = {}
    for key, shape in keys:
        kind = torch.int64 if key.endswith("num_batches_tracked") else torch.float32
        state[key] = torch.full((), float(key.endswith("running_var")), dtype=kind).expand(shape)
    return state


def one_class(bias: Tensor, index: int) -> Tensor:
    """A bias that makes every pixel this class."""
    return torch.zeros_like(bias.contiguous()).index_fill_(0, torch.tensor([index]), 1.0)


class Recorder(nn.Module):
    """A net that keeps what it is shown and answers with logits of 0, `stride` times smaller."""

    def __init__(self, classes: int, stride: int = 1) -> None:
        super().__init__()
        self.classes, self.stride = classes, stride
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x)
        height, width = x.shape[-2:]
        return torch.zeros(len(x), self.classes, height // self.stride, width // self.stride)
