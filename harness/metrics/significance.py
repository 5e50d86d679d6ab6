"""Tests on one number per training, and the correction for several tests at once.

The unit here is the seed: a training with its score, whatever the score is (a Fréchet distance too). What so
few numbers can show is limited by counting, and every result says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.errors import UserError

Floats = NDArray[np.float64]
ROUNDING = 1e-12  # relative to the largest value: differences of means that differ by less are equal
ENUMERATED = 20_000  # splits of the seeds that are gone through one by one, as of 9 against 8


@dataclass(frozen=True)
class Comparison:
    """One figure of two methods or networks, a minus b, with a two-sided test.

    test: its name. unit: what is taken as drawn at random: `images`, `seeds` or `seeds × images`. low, high:
    confidence interval of the difference, None where the test gives none. p: two-sided. smallest_p: the least
    p that this test can reach with these numbers of images, seeds and resamples; at or above 0.05 it can show
    nothing at that level whatever the scores. claim: what a small p allows to be said. resamples: 0 for an
    exact test.
    """

    figure: str
    test: str
    unit: str
    difference: float
    low: float | None
    high: float | None
    level: float
    p: float
    smallest_p: float
    seeds: tuple[int, int]
    images: int | None
    resamples: int
    claim: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "seeds": list(self.seeds)}


def permutation_test(
    a: Sequence[float], b: Sequence[float], figure: str, resamples: int = 10_000, level: float = 0.95, seed: int = 0
) -> Comparison:
    """Difference of the mean scores of two methods over seeds, by exchanging seeds between them.

    a, b: one score per training. Assumes nothing of how scores are spread. p: the share of all splits of these
    trainings whose means differ as much, counted exactly up to 20,000 splits, else over `resamples` random ones
    plus the one at hand. So 5 against 5 seeds cannot get below 2/252 = 0.008, 3 against 3 not below 0.1, and 1
    against 1 always gives 1. The interval is Welch's (None with one seed on a side). Raises UserError for an
    empty side or a score that is not finite.
    """
    first, second = _scores(a, figure), _scores(b, figure)
    together = np.concatenate([first, second])
    n, m = len(first), len(second)
    difference = float(first.mean() - second.mean())
    splits = comb(n + m, n)
    # Both sides of a split count where they can trade places.
    smallest = (2 if n == m else 1) / splits
    exact = splits <= ENUMERATED
    if exact:
        chosen = np.array(list(combinations(range(n + m), n)))
    else:
        if resamples < 1:
            raise UserError(f"{resamples} resamples are too few", mend="take 1000 or more")
        rng = np.random.default_rng(seed)
        chosen = np.argsort(rng.random((resamples, n + m)), axis=1)[:, :n]
        smallest = max(smallest, 1 / (resamples + 1))
    # The sum of one side decides the difference of the means.
    sums = together[chosen].sum(axis=1)
    differences = sums / n - (together.sum() - sums) / m
    far = np.abs(differences) >= abs(difference) - ROUNDING * max(1.0, float(np.abs(together).max()))
    p = float(far.mean()) if exact else float((1 + far.sum()) / (resamples + 1))
    low, high, _, _ = _welch(first, second, level)
    return Comparison(
        figure,
        "exact permutation" if exact else "permutation",
        "seeds",
        difference,
        low,
        high,
        level,
        p,
        smallest,
        (n, m),
        None,
        0 if exact else resamples,
        seeds_claim(n, m, "on these images"),
    )


def welch_test(a: Sequence[float], b: Sequence[float], figure: str, level: float = 0.95) -> Comparison:
    """Difference of the mean scores of two methods over seeds, by Welch's t (no equal variances assumed).

    Rests on scores that are roughly normal over seeds, in return for which no count of splits bounds p:
    smallest_p is 0 (1 with one seed on a side, whose spread is unknown, or with no spread at all). Raises
    UserError as `permutation_test`.
    """
    first, second = _scores(a, figure), _scores(b, figure)
    low, high, p, smallest = _welch(first, second, level)
    n, m = len(first), len(second)
    difference = float(first.mean() - second.mean())
    claim = seeds_claim(n, m, "on these images")
    return Comparison(figure, "Welch's t", "seeds", difference, low, high, level, p, smallest, (n, m), None, 0, claim)


def _welch(a: Floats, b: Floats, level: float) -> tuple[float | None, float | None, float, float]:
    """Interval, p and smallest p."""
    check_level(level)
    if min(len(a), len(b)) < 2:
        return None, None, 1.0, 1.0
    parts = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error, difference = float(np.sqrt(sum(parts))), float(a.mean() - b.mean())
    if error <= ROUNDING * max(float(np.abs(a).max()), float(np.abs(b).max())):
        return difference, difference, 1.0, 1.0
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    reach = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    return difference - reach, difference + reach, float(two_sided(difference / error, freedom)), 0.0


def two_sided(t: float | Floats, freedom: float | Floats) -> Any:
    """Two-sided p of Student's t."""
    return 2 * special.stdtr(freedom, -np.abs(t))


def seeds_claim(n: int, m: int, where: str) -> str:
    """What a small p of n against m trainings allows to be said."""
    if min(n, m) < 2:
        return "nothing about another training: one seed on a side shows no spread over trainings"
    return f"holds for other trainings of these methods, {where}"


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of a family of tests, in the order given (Holm 1979).

    Calling a difference where its adjusted p is at most alpha keeps the chance of any false call in the family
    at alpha or below, however the tests depend on each other. Raises UserError for a p outside 0 .. 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise UserError("a p-value lies outside 0 to 1, or is none")
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def check_level(level: float) -> None:
    """Raises UserError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UserError(f"{level} is no confidence level", mend="0.95 for 95%")


def _scores(values: Sequence[float], figure: str) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise UserError(f"a test of '{figure}' needs one finite score per seed on either side")
    return scores
