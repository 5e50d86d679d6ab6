"""Opening a feature net by its name, with its own weights or, where that is asked for, with random ones.

Random weights are for trying every path of the harness with a network of its real size where no weight
file is at hand. What they give is no score: the net calls its weights `random` and is never `fid`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.features.base import FeatureNet
from harness.registry import FEATURES, UNTRAINED, lookup, names

if TYPE_CHECKING:
    import torch


def open_feature_net(
    name: str, weights_root: Path | None, device: torch.device | str, random_weights: bool = False
) -> FeatureNet:
    """The feature net under `name` (registry FEATURES) on `device`.

    weights_root: where its file is looked for first (weights.py). random_weights: take the net's entry in
    UNTRAINED instead, whose `weights` are "random" and whose key is `fd_<name>`. Raises UserError for an
    unknown name, for a missing or wrong weight file, and where there is no such net with random weights.
    """
    entry = lookup(FEATURES, name)
    if not random_weights:
        net: FeatureNet = entry(weights_root, device)
        return net
    untrained = sorted(set(names(UNTRAINED)) & set(names(FEATURES)))
    if name not in untrained:
        raise UserError(
            f"the feature net '{name}' does not come with random weights",
            mend=f"open it with its own, or take one of {', '.join(untrained)}",
        )
    drawn: FeatureNet = lookup(UNTRAINED, name)(device)
    return drawn
