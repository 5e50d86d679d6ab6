"""Is one method better than another: paired tests on the per-image confusion of the same images.

Both methods see the same label maps, so what is hard about an image is hard for both and drops out of their
difference. Two networks are compared over images; several trainings of two methods over seeds × images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError, did_you_mean
from harness.metrics.confusion import ClassMean, Confusion
from harness.metrics.resampling import (
    FIGURES,
    RESAMPLES,
    ROUNDING,
    PerImage,
    Resampled,
    Void,
    bca,
    resample,
    same_images,
    t_interval,
)
from harness.metrics.significance import Comparison, check_level, holm, seeds_claim, two_sided

Floats = NDArray[np.float64]
PairedTest = Literal["randomisation", "bootstrap"]
PAIRED_TESTS: tuple[PairedTest, ...] = ("randomisation", "bootstrap")
_BLOCK = 2**22
_HERE = "on other images like these"


@dataclass(frozen=True)
class ClassDifference:
    """IoU of one class, a minus b, with its interval; None where the class has no union in either.

    p: of this class alone; p_holm: adjusted for all classes of the comparison. images: how many have the class
    in their label map; an interval from a handful is no more than a hint.
    """

    name: str
    images: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Differences:
    """figures: `miou` and `accuracy` as fractions. classes: in the order of the suite."""

    figures: dict[str, Comparison]
    classes: tuple[ClassDifference, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "figures": {name: figure.as_dict() for name, figure in self.figures.items()},
            "classes": [one.as_dict() for one in self.classes],
        }


def compare_networks(
    a: Confusion,
    b: Confusion,
    test: PairedTest = "randomisation",
    class_mean: ClassMean = "union",
    void: Void = "ignore",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Differences:
    """Two trained networks on the same images, a minus b. The unit is the image.

    test: where p of the figures comes from. `randomisation` swaps the two outputs of each image at random and
    counts differences as large (Noreen 1989; Yeh 2000 on scores that are no means); `bootstrap` draws images and
    counts draws as far from their own mean (Koehn 2004). Either count is (1 + hits) / (1 + resamples), but the
    swaps of few images are gone through one by one. Intervals, and p of the classes, are the bootstrap's. Raises
    UserError for confusions of different images, classes or label maps.
    """
    if test not in PAIRED_TESTS:
        raise UserError(f"unknown paired test '{test}'", mend=did_you_mean(test, PAIRED_TESTS))
    (side_a,), (side_b,) = same_images([[a], [b]], class_mean, void)
    check_level(level)
    of = resample([(1.0, [side_a]), (-1.0, [side_b])], resamples, seed)
    found = over_images(of, [side_a], [side_b], level)
    return found if test == "bootstrap" else with_randomised(found, randomised([side_a, side_b], resamples, seed)[0, 1])


def with_randomised(found: Differences, by: Randomised) -> Differences:
    """The same with p of the figures by randomisation."""
    name, drawn = ("approximate randomisation", by.resamples) if by.resamples else ("exact randomisation", 0)
    figures = {
        key: replace(one, test=name, p=by.p[key], smallest_p=by.smallest_p, resamples=drawn)
        for key, one in found.figures.items()
    }
    return Differences(figures, found.classes)


def compare_methods(
    a: Sequence[Confusion],
    b: Sequence[Confusion],
    class_mean: ClassMean = "union",
    void: Void = "ignore",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Differences:
    """Two methods by several trainings each, means over seeds, a minus b, on the same images.

    a, b: one confusion per training seed. With 2 or more on either side the unit is seeds × images: t from the
    standard error of `resampling.t_interval`, which rests on scores that are roughly normal over seeds. With one
    seed on a side nothing can be known of another training: the unit is the image, by the paired bootstrap, and
    `claim` says so. For a test on seeds that assumes no distribution see `significance.permutation_test`. Raises
    UserError as `compare_networks`, and for a side without confusions.
    """
    first, second = same_images([list(a), list(b)], class_mean, void)
    check_level(level)
    of = resample([(1.0, first), (-1.0, second)], resamples, seed)
    return (over_images if min(len(first), len(second)) < 2 else over_seeds)(of, first, second, level)


def over_seeds(of: Resampled, first: Sequence[PerImage], second: Sequence[PerImage], level: float) -> Differences:
    """The seeds × images bootstrap of a resampled difference, by trainings that were drawn."""
    resamples = len(of.draws)
    low, high, error, freedom = t_interval(of, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = two_sided(of.estimate / error, freedom)
    # No spread at all is no evidence of a difference but of a copied record.
    p = np.where(error > ROUNDING, np.maximum(p, 1 / (resamples + 1)), 1.0)
    p[~np.isfinite(of.estimate) | ~np.isfinite(error)] = np.nan
    return _told(of, low, high, p, first, second, "seeds × images bootstrap", "seeds × images", level)


def over_images(of: Resampled, first: Sequence[PerImage], second: Sequence[PerImage], level: float) -> Differences:
    """The paired bootstrap over images of a resampled difference, networks as they are."""
    columns = range(len(of.estimate))
    ends = [bca(float(of.estimate[i]), of.draws[:, i], of.left_out[:, i], level) for i in columns]
    low, high = (np.array(end) for end in zip(*ends, strict=True))
    p = np.array([_bootstrap_p(float(of.estimate[i]), of.draws[:, i]) for i in columns])
    return _told(of, low, high, p, first, second, "paired bootstrap", "images", level)


def _bootstrap_p(estimate: float, draws: Floats) -> float:
    """Share of draws at least as far from their mean as the estimate is from 0, the estimate counted."""
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(estimate) or len(draws) == 0:
        return np.nan
    far = np.abs(draws - draws.mean()) >= abs(estimate) - ROUNDING
    return float((1 + far.sum()) / (1 + len(draws)))


def _told(
    of: Resampled,
    low: Floats,
    high: Floats,
    p: Floats,
    first: Sequence[PerImage],
    second: Sequence[PerImage],
    test: str,
    unit: str,
    level: float,
) -> Differences:
    side, resamples = first[0], len(of.draws)
    seeds = (len(first), len(second))
    if unit == "images":
        claim = f"holds for these trained networks {_HERE}; {seeds_claim(1, 1, _HERE)}"
    else:
        claim = f"{seeds_claim(*seeds, _HERE)}, if scores are roughly normal over seeds"
    figures = {
        name: Comparison(
            name,
            test,
            unit,
            float(of.estimate[i]),
            float(low[i]),
            float(high[i]),
            level,
            float(p[i]),
            1 / (resamples + 1),
            seeds,
            len(side.names),
            resamples,
            claim,
        )
        for i, name in enumerate(FIGURES)
    }
    start = len(FIGURES)
    there = np.flatnonzero(np.isfinite(p[start:]))
    adjusted = dict(zip(there.tolist(), holm(p[start:][there].tolist()), strict=True))
    images = np.diff(side.labels.indptr)
    classes = []
    for k, name in enumerate(side.classes):
        if k in adjusted:
            difference, least, most, own = (float(value[start + k]) for value in (of.estimate, low, high, p))
            classes.append(ClassDifference(name, int(images[k]), difference, least, most, own, adjusted[k]))
        else:
            classes.append(ClassDifference(name, int(images[k]), None, None, None, None, None))
    return Differences(figures, tuple(classes))


@dataclass(frozen=True)
class Randomised:
    """p of each figure by randomisation. smallest_p: the least there can be. resamples: 0 if no swap was left out."""

    p: dict[str, float]
    smallest_p: float
    resamples: int


def randomised(sides: Sequence[PerImage], resamples: int, seed: int) -> dict[tuple[int, int], Randomised]:
    """Every pair (i, j), i < j, of networks on the same images, all under the same random swaps.

    What a swap moves is summed once for a network, and of a pair only the difference of two such sums is taken.
    """
    columns = [side.columns.tocsc() for side in sides]
    pairs = list(combinations(range(len(sides)), 2))
    unlike = {(i, j): np.flatnonzero(abs(columns[j] - columns[i]).sum(axis=0)) for i, j in pairs}
    differ = np.unique(np.concatenate(list(unlike.values())))
    images = len(differ)
    exact = 2**images <= resamples
    steps = [side[:, differ].tocsr() for side in columns]
    sums = [side.sum(axis=1)[:, None] for side in columns]
    observed = {(i, j): np.abs(_gap(sides[i], sums[i], sums[j])) for i, j in pairs}
    hits = {pair: np.zeros(len(FIGURES)) for pair in pairs}
    rng = np.random.default_rng(seed)
    total = 2**images if exact else resamples
    block = max(1, _BLOCK // max(1, images))
    for start in range(0, total, block):
        number = min(block, total - start)
        if exact:
            swaps = (np.arange(start, start + number) >> np.arange(images)[:, None]) & 1
        else:
            swaps = rng.integers(0, 2, (number, images), dtype=np.int8).T
        swaps = np.ascontiguousarray(swaps, dtype=np.float64)
        swapped = [side @ swaps for side in steps]
        for i, j in pairs:
            moved = swapped[j] - swapped[i]
            gap = np.abs(_gap(sides[i], sums[i] + moved, sums[j] - moved))
            hits[i, j] += (gap >= observed[i, j] - ROUNDING).sum(axis=0)
    found = {}
    for pair in pairs:
        p = hits[pair] / total if exact else (1 + hits[pair]) / (1 + total)
        smallest = min(1.0, 2.0 ** (1 - len(unlike[pair])))
        smallest = smallest if exact else max(smallest, 1 / (total + 1))
        found[pair] = Randomised(dict(zip(FIGURES, p.tolist(), strict=True)), smallest, 0 if exact else total)
    return found


def _gap(side: PerImage, a: Floats, b: Floats) -> Floats:
    """(R, 2): figures of sums a minus those of sums b; the images' labels, hence the rules, are the same."""
    start = len(FIGURES)
    return side.figures(a)[:, :start] - side.figures(b)[:, :start]
