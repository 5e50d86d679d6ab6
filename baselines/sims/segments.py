"""A label map as segments: the connected components of its classes, and which of them touch.

All label channels count as classes, the unknown channel included: nothing is left out but what is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# The paper's least area of a segment: 1000 pixels at 256x512 (paper.md, SIMS).
MIN_SHARE = 1000 / (256 * 512)


@dataclass(frozen=True)
class Segments:
    """The components of one label map, numbered by class and, within it, from the top left.

    numbers: (h, w) int64, the number of each pixel's component. classes, areas: one entry a component,
    int64, areas in pixels. kept: numbers of those that are large enough, ascending.
    """

    numbers: NDArray[np.int64]
    classes: NDArray[np.int64]
    areas: NDArray[np.int64]
    kept: NDArray[np.int64]

    def masks(self, which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(len(which), h, w): the pixels of each of these components."""
        return self.numbers[None] == which[:, None, None]


@dataclass(frozen=True)
class Contacts:
    """Where components touch.

    pairs: (P, 2) numbers of components that touch, the lower one first, in ascending order. sides:
    (2, B) flat indices of two pixels that lie side by side and belong to two components. pair: (B,) the
    row of `pairs` that they belong to.
    """

    pairs: NDArray[np.int64]
    sides: NDArray[np.int64]
    pair: NDArray[np.int64]


def find_segments(indices: NDArray[np.int64], min_share: float) -> Segments:
    """The components of a label map (h, w) of class indices, of which those over min_share of its area are kept.

    Pixels connect up, down, left and right; not across corners.
    """
    numbers = np.zeros(indices.shape, dtype=np.int64)
    classes: list[int] = []
    for which in np.unique(indices):
        found, count = ndimage.label(indices == which)
        np.add(found, len(classes) - 1, out=numbers, where=found > 0)
        classes += [int(which)] * count
    areas = np.bincount(numbers.ravel(), minlength=len(classes))
    kept = np.flatnonzero(areas > min_share * indices.size)
    return Segments(numbers, np.array(classes, dtype=np.int64), areas, kept)


def find_contacts(numbers: NDArray[np.int64]) -> Contacts:
    """All pairs of components of a map of their numbers (h, w) that touch along a side of a pixel."""
    flat = np.arange(numbers.size).reshape(numbers.shape)
    sides = []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differs = numbers[one] != numbers[other]
        sides.append(np.stack([flat[one][differs], flat[other][differs]]))
    both = np.concatenate(sides, axis=1)
    ends = np.sort(numbers.ravel()[both], axis=0)
    count = int(numbers.max()) + 1
    keys, pair = np.unique(ends[0] * count + ends[1], return_inverse=True)
    return Contacts(np.stack(np.divmod(keys, count), axis=1), both, pair)
