"""How far a segmentation score would move with other images: resampling of the stored per-image confusion.

mIoU is no mean over images, so its spread has no formula. A bootstrap draws the images again, with
replacement, adds up what each image contributes, and takes the score of the sum (Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapters 6 and 14). No network runs.

What an image contributes is small: per class its correct pixels and its union. With these as a sparse matrix
and the draws as counts of each image, a block of draws is one matrix product. All its sums are integers below
2^53, hence exact: results do not depend on the block, the number of threads or the order of the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from harness.errors import UserError, did_you_mean
from harness.metrics.confusion import CLASS_MEANS, ClassMean, Confusion
from harness.metrics.significance import check_level

Floats = NDArray[np.float64]
Void = Literal["ignore", "wrong"]
FIGURES = ("miou", "accuracy")
RESAMPLES = 10_000
_BLOCK = 2**22  # counts of images at a time: 32 MiB
# Scores are fractions of exact sums, so two that differ by less are equal.
ROUNDING = 1e-12


@dataclass(frozen=True)
class PerImage:
    """What each of N images contributes to the scores of K classes, images sorted by name.

    columns: sparse (2K+1, N), or (3K+1, N) for the class mean `present`: correct pixels per class, union per
    class, (labelled pixels per class,) pixels counted by the accuracy. labels: sparse (K+1, N), pixels per
    label, void last. All are integers in float64.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    class_mean: ClassMean
    columns: sparse.csr_array
    labels: sparse.csr_array

    def figures(self, sums: NDArray[np.floating]) -> Floats:
        """Scores of R sums of contributions, (columns, R): (R, 2+K) mIoU, accuracy, IoU per class.

        NaN where a score does not exist: the IoU of an empty union, a mean of no class, no counted pixel.
        """
        k = len(self.classes)
        correct, union, counted = sums[:k], sums[k : 2 * k], sums[-1]
        iou = np.divide(correct, union, out=np.zeros_like(correct), where=union > 0)
        averaged = {"union": union, "present": sums[2 * k : 3 * k], "all": np.ones_like(union)}[self.class_mean] > 0
        with np.errstate(invalid="ignore"):
            miou = np.where(averaged, iou, 0).sum(axis=0) / averaged.sum(axis=0)
            accuracy = correct.sum(axis=0) / counted
        return np.column_stack([miou, accuracy, np.where(union > 0, iou, np.nan).T])


def per_image(confusion: Confusion, class_mean: ClassMean = "union", void: Void = "ignore") -> PerImage:
    """The contributions of a confusion's images, by the rules of `confusion.scores`.

    void: whether the accuracy leaves void pixels out or counts them as wrong (`accuracy_void_wrong`). Raises
    UserError for fewer than 2 images, an image named twice, nothing labelled, or unknown rules.
    """
    for value, known in ((class_mean, CLASS_MEANS), (void, ("ignore", "wrong"))):
        if value not in known:
            raise UserError(f"unknown rule '{value}'", mend=did_you_mean(value, known))
    images, k = len(confusion), len(confusion.classes)
    if images < 2:
        raise UserError(f"resampling needs 2 or more images, here is {images}")
    if len(set(confusion.names)) != images:
        raise UserError("an image is named twice in a confusion", mend="score the images again")
    order = np.array(sorted(range(images), key=confusion.names.__getitem__))
    place = np.empty(images, np.int64)
    place[order] = np.arange(images)
    label, prediction, count, image = confusion.label, confusion.prediction, confusion.count, place[confusion.image]
    labelled = label < k
    right = labelled & (label == prediction)
    other = labelled & (prediction < k) & ~right  # a wrong pixel lies in two unions
    parts = [(label, right), (k + label, labelled), (k + prediction, other)]
    rows = 2 * k
    if class_mean == "present":
        parts.append((rows + label, labelled))
        rows += k
    parts.append((np.full_like(label, rows), labelled if void == "ignore" else np.ones_like(labelled)))
    if not labelled.any():
        raise UserError("no pixel is labelled, so there is nothing to score", mend="check the label maps")
    return PerImage(
        tuple(confusion.names[index] for index in order),
        confusion.classes,
        class_mean,
        _summed([(row[kept], image[kept], count[kept]) for row, kept in parts], (rows + 1, images)),
        _summed([(label, image, count)], (k + 1, images)),
    )


def _summed(parts: Sequence[tuple[NDArray[np.int64], ...]], shape: tuple[int, int]) -> sparse.csr_array:
    rows, columns, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    matrix = sparse.coo_array((counts.astype(np.float64), (rows, columns)), shape=shape).tocsr()
    matrix.sum_duplicates()
    return matrix


@dataclass(frozen=True)
class Interval:
    """A score with its confidence interval. unit: what was drawn again, `images` or `seeds × images`.

    error: the standard error. from_seeds: its part that more seeds would shrink, None for one seed.
    """

    estimate: float
    low: float
    high: float
    error: float
    from_seeds: float | None
    level: float
    unit: str
    seeds: int
    images: int
    resamples: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Resampled:
    """A weighted sum of the networks' figures (F of them) under R draws of the images.

    estimate (F,): of the images as they are. draws (R, F): of each draw. left_out (N, F): without one image
    each. seed_parts: for each group of seeds (variance of the group's mean (F,), number of seeds).
    """

    estimate: Floats
    draws: Floats
    left_out: Floats
    seed_parts: tuple[tuple[Floats, int], ...]


def resample(groups: Sequence[tuple[float, Sequence[PerImage]]], resamples: int, seed: int) -> Resampled:
    """Draw the images `resamples` times, the same for all networks: sum of weight * (mean over a group's seeds).

    groups: (weight, networks of one method). The networks are of the same images (`same_images`).
    """
    if resamples < 1:
        raise UserError(f"{resamples} resamples are too few", mend="take 1000 or more")
    sides = [(weight / len(group), side) for weight, group in groups for side in group]
    own = [[side.figures(side.columns.sum(axis=1)[:, None])[0] for side in group] for _, group in groups]
    estimate = sum(weight * np.mean(each, axis=0) for (weight, _), each in zip(groups, own, strict=True))
    left_out = sum(
        share * side.figures(side.columns.sum(axis=1)[:, None] - side.columns.toarray()) for share, side in sides
    )
    rng = np.random.default_rng(seed)
    blocks = [
        sum(share * side.figures(side.columns @ counts) for share, side in sides)
        for counts in drawn_images(len(sides[0][1].names), resamples, rng)
    ]
    parts = tuple(
        (weight**2 * np.var(each, axis=0, ddof=1) / len(each), len(each))
        for (weight, _), each in zip(groups, own, strict=True)
        if len(each) > 1
    )
    return Resampled(np.asarray(estimate), np.concatenate(blocks), np.asarray(left_out), parts)


def drawn_images(images: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Blocks (images, block) of how often each image was drawn, a column for each of `resamples` draws."""
    step = max(1, _BLOCK // images)
    for start in range(0, resamples, step):
        block = min(step, resamples - start)
        drawn = rng.integers(0, images, (block, images))
        flat = (drawn * block + np.arange(block)[:, None]).ravel()
        yield np.bincount(flat, minlength=images * block).reshape(images, block).astype(np.float64)


def bca(estimate: float, draws: Floats, left_out: Floats, level: float) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987), widened to hold the estimate where it would not.

    NaN among draws or left_out (a class that these images lack) is passed over. Why not the plain percentiles:
    a draw misses classes that few images have, which shifts the mean over classes; percentiles would double
    that shift, this takes it back (docs/statistics.md has both at work).
    """
    draws, left_out = draws[np.isfinite(draws)], left_out[np.isfinite(left_out)]
    if not np.isfinite(estimate) or len(draws) == 0:
        return np.nan, np.nan
    below = np.mean(draws < estimate - ROUNDING) + np.mean(np.abs(draws - estimate) <= ROUNDING) / 2
    bias = special.ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    steps = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    square = (steps**2).sum()
    acceleration = (steps**3).sum() / (6 * square**1.5) if square > ROUNDING**2 else 0.0
    tails = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    shares = special.ndtr(bias + tails / np.maximum(1 - acceleration * tails, 0.05))
    low, high = np.quantile(draws, shares)
    return float(min(low, estimate)), float(max(high, estimate))


def t_interval(of: Resampled, level: float) -> tuple[Floats, Floats, Floats, Floats]:
    """low, high, standard error and degrees of freedom (each (F,)) over seeds × images.

    The variance of a mean over seeds is the variance over draws of images, with the seeds as they are, plus
    that of drawing seeds, which needs no drawing: sample variance over the number of seeds. Drawing 5 seeds
    with replacement instead would understate it by a fifth and miss the heavy tails of so few; hence also
    Student's t, its degrees of freedom by Welch and Satterthwaite. What is peculiar to a seed on an image is
    counted in both parts, so the interval errs on the wide side (Owen 2007 on resampling two crossed factors).
    """
    spread, freedom = _images_variance(of), of.left_out.shape[0] - 1
    total, below = spread.copy(), spread**2 / freedom
    for variance, seeds in of.seed_parts:
        total = total + variance
        below = below + variance**2 / (seeds - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedoms = np.where(below > 0, total**2 / below, freedom)
    error = np.sqrt(total)
    reach = special.stdtrit(freedoms, (1 + level) / 2) * error
    return of.estimate - reach, of.estimate + reach, error, freedoms


def _images_variance(of: Resampled) -> Floats:
    """(F,) variance over the draws that have the figure; NaN where fewer than two have it."""
    there = np.isfinite(of.draws)
    count = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, of.draws, 0).sum(axis=0) / count
        square = np.where(there, of.draws - mean, 0) ** 2
        return np.asarray(square.sum(axis=0) / np.where(count > 1, count - 1, np.nan))


def intervals(
    confusions: Sequence[Confusion],
    class_mean: ClassMean = "union",
    void: Void = "ignore",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Confidence intervals of `miou` and `accuracy` (fractions) of one method, by name.

    confusions: one for each training seed, of the same images. With one, images alone are drawn (BCa), and the
    interval is that of this trained network. With several it is that of the method's mean over trainings, over
    seeds × images. Raises UserError where `per_image` does, for other images among them, or a wrong level.
    """
    check_level(level)
    sides = same_images([list(confusions)], class_mean, void)[0]
    return interval_of(resample([(1.0, sides)], resamples, seed), sides, level)


def interval_of(of: Resampled, sides: Sequence[PerImage], level: float) -> dict[str, Interval]:
    """The intervals of one method out of its draws."""
    several = len(sides) > 1
    low, high, error, _ = t_interval(of, level)
    found = {}
    for index, name in enumerate(FIGURES):
        ends = (float(low[index]), float(high[index]))
        if not several:
            ends = bca(float(of.estimate[index]), of.draws[:, index], of.left_out[:, index], level)
        found[name] = Interval(
            float(of.estimate[index]),
            *ends,
            error=float(error[index]),
            from_seeds=float(np.sqrt(of.seed_parts[0][0][index])) if several else None,
            level=level,
            unit="seeds × images" if several else "images",
            seeds=len(sides),
            images=len(sides[0].names),
            resamples=len(of.draws),
        )
    return found


def same_images(groups: Sequence[Sequence[Confusion]], class_mean: ClassMean, void: Void) -> list[list[PerImage]]:
    """The contributions of every confusion. Raises UserError unless all have the same images, classes and labels."""
    if not groups or not all(groups):
        raise UserError("a method has no confusion to resample", mend="score it first")
    sides = [[per_image(confusion, class_mean, void) for confusion in group] for group in groups]
    first = sides[0][0]
    for side in (side for group in sides for side in group):
        mend = "compare only what was scored by one protocol on the same images"
        if side.classes != first.classes:
            raise UserError("confusions of different classes cannot be compared image by image", mend=mend)
        if side.names != first.names:
            odd = sorted(set(side.names) ^ set(first.names))[0]
            raise UserError(f"the confusions are not of the same images: '{odd}' is in one of them", mend=mend)
        if (side.labels != first.labels).nnz:
            image = int((side.labels != first.labels).nonzero()[1].min())
            raise UserError(f"the label map of image '{first.names[image]}' differs between confusions", mend=mend)
    return sides
