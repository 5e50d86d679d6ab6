"""All pairs of a table's rows at once: the draws of the images are made once for a row, not once for a pair.

A draw is the same for all rows of the same images, so the difference of two rows' draws is a draw of their
difference: what `paired` gives for two rows alone. n rows cost n resamplings, not n (n - 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from harness.metrics.confusion import ClassMean, Confusion
from harness.metrics.paired import Differences, over_images, over_seeds, randomised, with_randomised
from harness.metrics.resampling import (
    FIGURES,
    RESAMPLES,
    Interval,
    PerImage,
    Resampled,
    Void,
    interval_of,
    resample,
    same_images,
)
from harness.metrics.significance import Comparison, check_level


@dataclass(frozen=True)
class Compared:
    """Of R rows. intervals: of each row, by figure. pairs: (i, j), i < j, row i minus row j, by figure."""

    intervals: tuple[dict[str, Interval], ...]
    pairs: dict[tuple[int, int], dict[str, Comparison]]


def compare_rows(
    rows: Sequence[Sequence[Confusion]],
    class_mean: ClassMean = "union",
    void: Void = "ignore",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    drawn: Callable[[int], None] = lambda rows: None,
) -> Compared:
    """Every row's interval and every pair's test, in mIoU and accuracy.

    rows: of each its confusions, one per training seed, all of the same images. Two rows of one seed each are
    tested as by `compare_networks`, others as by `compare_methods`. drawn: told how many rows are done. Raises
    UserError as they do.
    """
    check_level(level)
    sides = same_images(rows, class_mean, void)
    intervals, draws = [], []
    for number, group in enumerate(sides, start=1):
        of = resample([(1.0, group)], resamples, seed)
        intervals.append(interval_of(of, group, level))
        draws.append(_figures_of(of))
        drawn(number)
    single = [index for index, group in enumerate(sides) if len(group) == 1]
    swaps = randomised([sides[index][0] for index in single], resamples, seed) if len(single) > 1 else {}
    by_swaps = {(single[i], single[j]): found for (i, j), found in swaps.items()}
    pairs = {}
    for i, j in combinations(range(len(sides)), 2):
        found = _of_pair(_minus(draws[i], draws[j]), sides[i], sides[j], level)
        if (i, j) in by_swaps:
            found = with_randomised(found, by_swaps[i, j])
        pairs[i, j] = found.figures
    return Compared(tuple(intervals), pairs)


def _figures_of(of: Resampled) -> Resampled:
    """mIoU and accuracy alone: a table says nothing of classes, and 182 of them fill the memory."""
    end = len(FIGURES)
    parts = tuple((variance[:end], seeds) for variance, seeds in of.seed_parts)
    return Resampled(of.estimate[:end], of.draws[:, :end].copy(), of.left_out[:, :end].copy(), parts)


def _minus(a: Resampled, b: Resampled) -> Resampled:
    parts = a.seed_parts + b.seed_parts
    return Resampled(a.estimate - b.estimate, a.draws - b.draws, a.left_out - b.left_out, parts)


def _of_pair(of: Resampled, first: Sequence[PerImage], second: Sequence[PerImage], level: float) -> Differences:
    several = min(len(first), len(second)) > 1
    return (over_seeds if several else over_images)(of, first, second, level)
