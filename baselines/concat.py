"""The plain way to give a conv the label map: as more channels of its input (the rows "w/ Concat" of Table 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.one_hot import compute_dtype
from harness.labels import LabelMap


def with_labels(x: Tensor, labels: LabelMap, weight: Tensor) -> Tensor:
    """(N, C, h, w) and label maps of any size -> (N, C + label channels, h, w), the label map last.

    The label map is nearest-resized to x. weight: of the conv that reads the result, for the type in
    which it computes.
    """
    dtype = compute_dtype(weight)
    return torch.cat([x.to(dtype), labels.resized(x.shape[2], x.shape[3]).one_hot(dtype)], dim=1)
