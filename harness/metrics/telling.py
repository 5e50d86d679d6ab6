"""Which images to show: rules that pick them by the scores of single images, so that nobody picks by eye.

The scores come from the stored confusion, by the same rules as those of the whole set; no network runs. What is
picked by its scores is no fair sample of them, and a figure made of it has to say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.metrics.confusion import Confusion, scores
from harness.metrics.resampling import ROUNDING, PerImage, per_image

Floats = NDArray[np.float64]
By = Literal["miou", "accuracy"]
BY: tuple[By, ...] = ("miou", "accuracy")
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class ImageScores:
    """Scores of N single images over K classes, as fractions, images sorted by name.

    miou, accuracy: (N,). iou: (N, K). share: (N, K), pixels of a class over the labelled pixels of the image.
    NaN where a score does not exist: nothing is labelled, or a class is in neither label nor prediction.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    miou: Floats
    accuracy: Floats
    iou: Floats
    share: Floats


@dataclass(frozen=True)
class Telling:
    """A picked image. spread: largest minus smallest score over the methods, a fraction."""

    name: str
    spread: float


def image_scores(side: PerImage) -> ImageScores:
    """The scores of each image out of what it contributes."""
    found = side.figures(side.columns.toarray())
    pixels = side.labels.toarray()[:-1]
    labelled = pixels.sum(axis=0)
    share = np.divide(pixels, labelled, out=np.full_like(pixels, np.nan), where=labelled > 0)
    # An image without labels has no accuracy either, whatever the rule for void.
    accuracy = np.where(labelled > 0, found[:, 1], np.nan)
    return ImageScores(side.names, side.classes, found[:, 0], accuracy, found[:, 2:], share.T)


def scores_by_image(confusion: Confusion) -> ImageScores:
    """The scores of each image of one confusion, void left out. Raises UserError as `per_image` does."""
    return image_scores(per_image(confusion))


def most_telling(methods: Sequence[ImageScores], count: int, by: By = "miou") -> list[Telling]:
    """The `count` images on which the methods differ most: by the spread of an image's score over the methods,
    the largest first, equal ones by name.

    methods: scores of the same images. Raises UserError for fewer than two methods or scored images than `count`.
    """
    if len(methods) < 2:
        raise UserError("images are telling by how methods differ, here is one", mend="name two methods or more")
    found = np.stack([getattr(one, by) for one in methods])
    spread = found.max(axis=0) - found.min(axis=0)
    names = methods[0].names
    scored = [index for index in range(len(names)) if np.isfinite(spread[index])]
    if not 1 <= count <= len(scored):
        raise UserError(f"{count} images of {len(scored)}", mend=f"choose 1 to {len(scored)}")
    picked = sorted(scored, key=lambda index: (-_rounded(spread[index]), names[index]))[:count]
    return [Telling(names[index], float(spread[index])) for index in picked]


def lowest_classes(confusion: Confusion, count: int, share: float = LEAST_SHARE) -> list[int]:
    """Indices of the `count` classes with the lowest IoU over all images, the lowest first, equal ones by index:
    of those classes that have at least `share` in some image."""
    shown = np.nanmax(scores_by_image(confusion).share, axis=0) >= _above_zero(share)
    iou = scores(confusion.total())["iou"]
    known = [(value, index) for index, value in enumerate(iou) if value is not None and shown[index]]
    return [index for _, index in sorted(known)[:count]]


def worst_images(of: ImageScores, index: int, count: int, share: float = LEAST_SHARE) -> list[int]:
    """Indices of the `count` images in which class `index` is read worst, as few as there are.

    Of the images with at least `share` of the class: the lowest IoU of the class first; of equal ones that with
    more of the class, then by name. share 0: any image with a pixel of it.
    """
    there = np.nonzero(of.share[:, index] >= _above_zero(share))[0].tolist()
    key = [(_rounded(of.iou[image, index]), -_rounded(of.share[image, index]), of.names[image]) for image in there]
    return [image for _, image in sorted(zip(key, there, strict=True))[:count]]


def _rounded(value: float) -> float:
    """So that scores which are equal but for rounding are equal."""
    return round(float(value) / ROUNDING) * ROUNDING


def _above_zero(share: float) -> float:
    return max(share, float(np.finfo(np.float64).tiny))
