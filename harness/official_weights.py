"""State dicts of an older torch: what they hold beyond, and what they lack of, the names of today."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

Shapes = Mapping[str, tuple[int, ...]]
_COUNTER = ".num_batches_tracked"


def superfluous(key: str, shapes: Shapes) -> bool:
    """Whether a generator that lacks this entry can do without: a count of batches, or an old torch's W / sigma."""
    return key.endswith(_COUNTER) or (key.endswith(".weight") and f"{key}_orig" in shapes and f"{key}_u" in shapes)


def restorable(key: str, shapes: Shapes) -> bool:
    """Whether a missing entry can be told from others."""
    stem = key.removesuffix("_v")
    return key.endswith(_COUNTER) or (key.endswith(".weight_v") and f"{stem}_orig" in shapes and f"{stem}_u" in shapes)


def restore(generator: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """The state dict that a generator (on any device) wants, from one of an older torch; and how many v it lacked.

    Counts of batches that are missing are 0. A spectral norm's v that is missing is made so that sigma =
    u^T W v is what it was: where the file holds W / sigma (torch before 1.0.1) that tells sigma, and v lies
    along the shortest solution of W v = u, as in torch's own loading; else v is the unit vector along W^T u.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    hooks = {
        f"{name}.{hook.name}_v": hook
        for name, module in generator.named_modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, SpectralNorm)
    }
    wanted = generator.state_dict()
    made = {key: value for key, value in state.items() if key in wanted or not superfluous(key, shapes)}
    restored = 0
    for key in wanted:
        if key in state or not restorable(key, shapes):
            continue
        if key.endswith(_COUNTER):
            made[key] = torch.zeros((), dtype=torch.int64)
        else:
            made[key] = _right_vector(hooks[key], state, key.removesuffix("_v"))
            restored += 1
    return made, restored


def _right_vector(hook: SpectralNorm, state: Mapping[str, Tensor], stem: str) -> Tensor:
    """v of a spectral norm from its W, its u and, where it is there, W / sigma. In float64."""
    weight, u = state[f"{stem}_orig"], state[f"{stem}_u"].double()
    matrix = hook.reshape_weight_to_matrix(weight.double())
    normed = state.get(stem)
    if normed is None:
        return nn.functional.normalize(matrix.t() @ u, dim=0).to(weight.dtype)
    sigma = (weight.double() * normed.double()).sum() / normed.double().square().sum()
    # W^T (W W^T)^+ is W's pseudo-inverse, and W W^T has the width of one layer.
    v = matrix.t() @ (torch.linalg.pinv(matrix @ matrix.t(), hermitian=True) @ u)
    return (v * (sigma / torch.dot(u, matrix @ v))).to(weight.dtype)
