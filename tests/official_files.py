"""Files as the official codes write them, made from their lists of names; and as an old torch wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from fillrule import fill_value
from torch import Tensor, nn


def shapes_of(listed: list[list[Any]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape, _ in listed}


def matrix_of(weight: Tensor, u: Tensor) -> Tensor:
    """A weight as spectral norm sees it; that of a transposed conv has its outputs second."""
    return (weight if len(u) == len(weight) else weight.transpose(0, 1)).flatten(1)


def filled(listed: list[list[Any]]) -> dict[str, Tensor]:
    """A released file's content: names from the official list, values by the fill rule, u and v settled."""
    state = {key: torch.from_numpy(np.asarray(fill_value(key, tuple(shape)))) for key, shape, _ in listed}
    for key in [key for key in state if key.endswith("weight_u")]:
        stem = key.removesuffix("_u")
        u = state[key] / state[key].norm()
        matrix = matrix_of(state[f"{stem}_orig"].float().double(), u)
        for _ in range(100):
            v = nn.functional.normalize(matrix.t() @ u, dim=0)
            u = nn.functional.normalize(matrix @ v, dim=0)
        state[key], state[f"{stem}_v"] = u, v
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def of_old_torch(state: dict[str, Tensor], with_weight: bool) -> dict[str, Tensor]:
    """The same file as torch before 1.0.1 wrote it: no v, and the weight as it is used; or without that too."""
    old = {key: value for key, value in state.items() if not key.endswith("weight_v")}
    for key in [key for key in state if key.endswith("weight_orig")] if with_weight else ():
        stem, u = key.removesuffix("_orig"), state[f"{key.removesuffix('_orig')}_u"]
        old[stem] = state[key] / torch.dot(u, matrix_of(state[key], u) @ state[f"{stem}_v"])
    return old


def sigma_of(state: dict[str, Tensor], stem: str) -> float:
    """What spectral norm divides a weight by."""
    weight, u, v = (state[f"{stem}_{part}"].double() for part in ("orig", "u", "v"))
    return float(u @ matrix_of(weight, u) @ v)


def saved(state: dict[str, Any], folder: Path) -> Path:
    path = folder / "latest_net_G.pth"
    torch.save(state, path)
    return path
