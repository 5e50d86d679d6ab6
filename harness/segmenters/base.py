"""What a segmenter is.

A segmenter entry is a function or class: entry(weights_root: Path | None, device) -> Segmenter. It
finds its own weight file, checks it and says where it was expected when it is missing.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Segmenter(Protocol):
    """A trained net with its own preprocessing.

    name: registry name. weights: what identifies the weights in a protocol's signature, the first 8
    hex digits of the sha256 of the file. classes: number of classes it scores; a prediction equal to
    or above `classes` is void (some nets have an output for it).
    """

    name: str
    weights: str
    classes: int

    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 predictions at the same size."""
        ...
