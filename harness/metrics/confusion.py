"""Confusion per image, and the segmentation scores of a total.

Per-image matrices are kept (sparse), so that every averaging and void convention, every per-class
figure and every paired test can be computed later without running a network again.

A matrix is (K+1, K+1): rows are labels, columns are predictions, index K is void.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError, did_you_mean
from harness.files import atomic_path

ClassMean = Literal["union", "present", "all"]
CLASS_MEANS: tuple[ClassMean, ...] = ("union", "present", "all")
_ENTRIES = ("image", "label", "prediction", "count")


def image_confusion(
    label: NDArray[np.integer], prediction: NDArray[np.integer], classes: int, void: int | None
) -> NDArray[np.int64]:
    """Count the pixels of one image by (label, prediction).

    label, prediction: (H, W) integers. A label equal to `void` is void; any other must be in
    0 .. classes-1. A prediction that is negative or at least `classes` is void. Returns
    (classes+1, classes+1) int64 whose sum is H*W. Raises UserError for sizes that differ and for an
    illegal label.
    """
    if label.shape != prediction.shape:
        raise UserError(
            f"label has shape {label.shape} but prediction has {prediction.shape}",
            mend="a prediction must have the size of its label map",
        )
    rows = label.astype(np.int64).ravel()
    columns = prediction.astype(np.int64).ravel()
    legal = (rows >= 0) & (rows < classes)
    unlabelled = np.zeros_like(legal) if void is None else rows == void
    if not np.all(legal | unlabelled):
        wrong = int(rows[~(legal | unlabelled)][0])
        also = "" if void is None else f" or {void} (void)"
        raise UserError(f"label value {wrong} is out of range", mend=f"legal: 0 to {classes - 1}{also}")
    rows[unlabelled] = classes
    columns[(columns < 0) | (columns >= classes)] = classes
    side = classes + 1
    return np.bincount(rows * side + columns, minlength=side * side).reshape(side, side).astype(np.int64, copy=False)


@dataclass(frozen=True)
class Confusion:
    """The confusion of N images, as a sparse stack.

    names: of the images, N. classes: names of the K classes. image, label, prediction, count: int64
    arrays of equal length, one element per non-zero entry, sorted by (image, label, prediction);
    `label` and `prediction` are in 0 .. K, where K is void.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    prediction: NDArray[np.int64]
    count: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_dense(
        cls, matrices: Sequence[NDArray[np.integer]], names: Sequence[str], classes: Sequence[str]
    ) -> Confusion:
        """The stack of (K+1, K+1) matrices, one for each of `names`. Raises ValueError for a wrong shape."""
        side = len(classes) + 1
        if len(matrices) != len(names):
            raise ValueError(f"{len(matrices)} matrices for {len(names)} names")
        if any(matrix.shape != (side, side) for matrix in matrices):
            raise ValueError(f"every matrix must be {side} x {side}: {len(classes)} classes and void")
        found = [np.nonzero(matrix) for matrix in matrices]
        parts = {
            "image": [np.full(len(rows), index) for index, (rows, _) in enumerate(found)],
            "label": [rows for rows, _ in found],
            "prediction": [columns for _, columns in found],
            "count": [matrix[where] for matrix, where in zip(matrices, found, strict=True)],
        }
        arrays = {key: np.concatenate([np.zeros(0, np.int64), *values]) for key, values in parts.items()}
        return cls(tuple(names), tuple(classes), **{key: arrays[key].astype(np.int64) for key in _ENTRIES})

    def dense(self, index: int) -> NDArray[np.int64]:
        """The (K+1, K+1) matrix of one image. Raises IndexError where there is no such image."""
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        # The entries are sorted by image, so one image is one slice.
        first, last = np.searchsorted(self.image, [index, index + 1])
        return self._sum(slice(int(first), int(last)))

    def total(self) -> NDArray[np.int64]:
        """The (K+1, K+1) matrix summed over all images."""
        return self._sum(slice(None))

    def _sum(self, entries: slice) -> NDArray[np.int64]:
        side = len(self.classes) + 1
        matrix = np.zeros((side, side), np.int64)
        np.add.at(matrix, (self.label[entries], self.prediction[entries]), self.count[entries])
        return matrix

    def save(self, path: Path) -> None:
        """Write an npz by rename; equal stacks give equal bytes. Raises UserError where it cannot be written."""
        arrays: dict[str, Any] = {
            "names": np.asarray(self.names, dtype=np.str_),
            "classes": np.asarray(self.classes, dtype=np.str_),
            "image": self.image.astype(np.int32),
            "label": self.label.astype(np.int16),
            "prediction": self.prediction.astype(np.int16),
            "count": self.count.astype(np.int64),
        }
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Confusion:
        """Read what `save` wrote. Raises UserError where the file is missing, broken or something else."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                names, classes = (tuple(str(name) for name in file[key]) for key in ("names", "classes"))
                entries = {key: file[key].astype(np.int64) for key in _ENTRIES}
        except FileNotFoundError as error:
            raise UserError("no such confusion file", where=str(path)) from error
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise UserError(
                "cannot read this confusion file, it is broken or something else",
                where=str(path),
                mend="score the images again",
            ) from error
        stack = cls(names, classes, **entries)
        if not stack._consistent():
            raise UserError("this confusion file contradicts itself", where=str(path), mend="score the images again")
        return stack

    def _consistent(self) -> bool:
        arrays = [self.image, self.label, self.prediction, self.count]
        if any(array.ndim != 1 or len(array) != len(self.count) for array in arrays):
            return False
        side = len(self.classes) + 1
        limits = zip(arrays, (len(self.names), side, side, np.iinfo(np.int64).max), strict=True)
        if any(len(array) and (array.min() < 0 or array.max() >= limit) for array, limit in limits):
            return False
        # Read back sorted and without repetition, as `dense` relies on it.
        return bool(np.all(np.diff((self.image * side + self.label) * side + self.prediction) > 0))


def merge(shards: Sequence[Confusion]) -> Confusion:
    """The stacks of several workers as one, images in the order of their names.

    The result does not depend on how the images were shared out. Raises UserError where the shards
    have different classes or an image occurs twice, ValueError where there is no shard.
    """
    if not shards:
        raise ValueError("no shard to merge")
    classes = shards[0].classes
    if any(shard.classes != classes for shard in shards):
        raise UserError("the shards have different classes", mend="merge only what was scored with one suite")
    names = [name for shard in shards for name in shard.names]
    order = sorted(range(len(names)), key=names.__getitem__)
    ordered = tuple(names[index] for index in order)
    for one, next_one in pairwise(ordered):
        if one == next_one:
            raise UserError(f"image '{one}' was scored twice", mend="give every worker images of its own")
    new_index = np.empty(len(names), np.int64)
    new_index[order] = np.arange(len(names))
    starts = np.cumsum([0, *(len(shard) for shard in shards)])
    image = np.concatenate([new_index[shard.image + start] for shard, start in zip(shards, starts, strict=False)])
    label = np.concatenate([shard.label for shard in shards])
    prediction = np.concatenate([shard.prediction for shard in shards])
    count = np.concatenate([shard.count for shard in shards])
    sorting = np.lexsort((prediction, label, image))
    return Confusion(ordered, classes, image[sorting], label[sorting], prediction[sorting], count[sorting])


def scores(total: NDArray[np.integer], class_mean: ClassMean = "union") -> dict[str, Any]:
    """Segmentation scores of a (K+1, K+1) matrix, as fractions.

    Pixels whose label is void are left out of intersections and unions; a void prediction on a
    labelled pixel is wrong and lies in the union of the label's class.

    miou: mean of the class IoUs over the classes with a non-empty union (`union`), over the classes
    in the labels (`present`), or over all classes, an absent one counting 0 (`all`).
    accuracy: correct pixels over labelled pixels. accuracy_void_wrong: correct pixels over all pixels,
    the void ones counted wrong (probably the paper's own figure on Cityscapes).
    iou: one per class, None where the union is empty.

    Raises UserError where no pixel is labelled, or for an unknown `class_mean`.
    """
    if class_mean not in CLASS_MEANS:
        raise UserError(f"unknown class mean '{class_mean}'", mend=did_you_mean(class_mean, CLASS_MEANS))
    matrix = np.asarray(total, dtype=np.float64)
    labelled = matrix[:-1]
    correct = np.diagonal(labelled).copy()
    in_label = labelled.sum(axis=1)
    union = in_label + labelled[:, :-1].sum(axis=0) - correct
    if in_label.sum() == 0:
        raise UserError(
            "no pixel is labelled, so there is nothing to score", mend="check the label maps and the void value"
        )
    iou = np.divide(correct, union, out=np.zeros_like(union), where=union > 0)
    averaged = {"union": union > 0, "present": in_label > 0, "all": np.ones_like(union, dtype=bool)}[class_mean]
    return {
        "miou": float(iou[averaged].mean()),
        "accuracy": float(correct.sum() / in_label.sum()),
        "accuracy_void_wrong": float(correct.sum() / matrix.sum()),
        "iou": [float(value) if whole > 0 else None for value, whole in zip(iou, union, strict=True)],
    }
