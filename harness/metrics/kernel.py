"""Kernel distance between two sets of features: KID where the features are FID's (Bińkowski et al. 2018).

The squared maximum mean discrepancy under the kernel k(x, y) = (x . y / dim + 1)^3, by its unbiased estimator

    mean of k(x, x') over pairs of different x  +  the same of y  -  2 * mean of k(x, y) over all pairs.

Unlike a Fréchet distance its expectation does not depend on the number of images. It may come out below 0.
Papers often print it multiplied by 100 or 1000; here it is plain.

Usual implementations average the estimator over random subsets (100 of 1000 images), so that the figure
depends on a seed. Here each set is used whole, once. That is what those averages tend to: the mean over
all possible subsets is exactly this figure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.metrics.frechet import FeatureStats

Floats = NDArray[np.floating]
BLOCK = 1024  # rows at a time: kernel values of a block take 8 MiB


def kernel_distance(a: FeatureStats, b: FeatureStats) -> float:
    """KID of two sets of kept features, in float64; deterministic, and equal in another order up to rounding.

    Takes about (n_a + n_b)^2 * dim multiplications: seconds for 5000 images a side at a width of 2048, minutes against
    100,000. Raises UserError for fewer than 2 images, for features that were not kept or of different widths.
    """
    x, y = _kept(a), _kept(b)
    if a.dim != b.dim:
        raise UserError(
            f"features of width {a.dim} and of width {b.dim} have no distance", mend="use one feature net for both"
        )
    return unbiased_mmd(x, y)


def subset_distances(
    a: FeatureStats, b: FeatureStats, rng: np.random.Generator, subsets: int = 100, size: int = 1000
) -> NDArray[np.float64]:
    """KID of `subsets` random subsets of `size` images of either side, as other implementations draw them.

    Their mean estimates kernel_distance; their standard deviation is what papers print after ±. It says how much KID
    varies at `size` images, not how well that of the whole sets is known. A smaller side shortens the subsets to its
    count. Returns (subsets,) float64. Raises UserError as kernel_distance, and where subsets < 1 or size < 2.
    """
    x, y = _kept(a), _kept(b)
    if subsets < 1 or size < 2:
        raise UserError(f"{subsets} subsets of {size} images are too few", mend="take 1 or more of 2 or more")
    size = min(size, len(x), len(y))
    return np.array(
        [unbiased_mmd(x[rng.permutation(len(x))[:size]], y[rng.permutation(len(y))[:size]]) for _ in range(subsets)]
    )


def unbiased_mmd(x: Floats, y: Floats) -> float:
    """The estimator above, of (n, dim) and (m, dim) features with n and m at least 2."""
    between = sum(_kernel(rows, columns).sum() for rows in _blocks(x) for columns in _blocks(y))
    return float(_within(x) + _within(y) - 2 * between / (len(x) * len(y)))


def _within(x: Floats) -> float:
    """Mean of the kernel over the ordered pairs of different rows."""
    total = 0.0
    blocks = _blocks(x)
    for index, rows in enumerate(blocks):
        own = _kernel(rows, rows)
        total += own.sum() - np.trace(own)
        # The kernel is symmetric: what lies left of the diagonal counts by what lies right of it.
        total += 2 * sum(_kernel(rows, columns).sum() for columns in blocks[index + 1 :])
    return float(total / (len(x) * (len(x) - 1)))


def _blocks(x: Floats) -> list[Floats]:
    return [x[start : start + BLOCK] for start in range(0, len(x), BLOCK)]


def _kernel(x: Floats, y: Floats) -> NDArray[np.float64]:
    values: NDArray[np.float64] = x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1
    return values**3


def _kept(stats: FeatureStats) -> Floats:
    kept = stats.kept
    if kept is None:
        raise UserError(
            f"a kernel distance needs the features of all {stats.count} images, here are only their moments",
            mend="compute the statistics again, with all features kept",
        )
    if len(kept) < 2:
        raise UserError(f"a kernel distance needs at least 2 images on either side, here is {len(kept)}")
    return kept
