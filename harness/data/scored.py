"""The classes that scores are counted over, where they are not those that the networks read.

Cityscapes' networks read 35 classes, its segmenters know 19. Such a data set has `scored_classes`
(Classes) and `to_scored` (one value per class index: the scored class's index, or the scored classes'
void); a data set that has neither, or None there, is scored over `classes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.data.base import Classes, DataSet


def scored_classes(dataset: DataSet) -> Classes:
    """The classes of a data set's confusion matrices; what a segmenter of it must know."""
    found: Classes | None = getattr(dataset, "scored_classes", None)
    return dataset.classes if found is None else found


def scored_label(dataset: DataSet, label: NDArray[np.integer]) -> NDArray[np.integer]:
    """A label map (H, W) of the data set as indices of its scored classes."""
    table: NDArray[np.integer] | None = getattr(dataset, "to_scored", None)
    if table is None:
        return label
    void = dataset.classes.void
    if void is None:
        return table[label]
    scored = np.full_like(label, scored_classes(dataset).void)
    labelled = label != void
    scored[labelled] = table[label[labelled]]
    return scored
