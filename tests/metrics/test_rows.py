"""All pairs of a table's rows: what the tests of two rows alone give, drawn once."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from harness.errors import UserError
from harness.metrics.confusion import Confusion
from harness.metrics.paired import compare_methods, compare_networks
from harness.metrics.resampling import intervals
from harness.metrics.rows import compare_rows


def readings(rng: np.random.Generator, images: int, counts: list[int], classes: int = 4) -> list[list[Confusion]]:
    """Rows of `counts` trainings each, which read the same labels, void among them."""
    pixels = rng.integers(10, 200, (images, classes + 1))
    rows = []
    for count in counts:
        skill = rng.uniform(0.5, 0.8)
        stacks = []
        for _ in range(count):
            dense = np.zeros((images, classes + 1, classes + 1), np.int64)
            for k in range(classes + 1):
                right = rng.binomial(pixels[:, k], skill)
                dense[:, k, k] += right
                dense[:, k, (k + 1) % (classes + 1)] += pixels[:, k] - right
            stacks.append(
                Confusion.from_dense(list(dense), [f"i{n}" for n in range(images)], [f"c{k}" for k in range(classes)])
            )
        rows.append(stacks)
    return rows


@pytest.mark.parametrize("void", ["ignore", "wrong"])
def test_the_intervals_and_tests_of_many_rows_are_those_of_two_rows_alone(void) -> None:
    rows = readings(np.random.default_rng(1), 20, [1, 3, 1, 2, 1])
    found = compare_rows(rows, "union", void, resamples=300)
    assert set(found.pairs) == set(combinations(range(5), 2))
    for row, own in zip(rows, found.intervals, strict=True):
        assert own == intervals(row, "union", void, resamples=300)
    for (i, j), pair in found.pairs.items():
        if len(rows[i]) == len(rows[j]) == 1:
            alone = compare_networks(rows[i][0], rows[j][0], "randomisation", "union", void, resamples=300)
        else:
            alone = compare_methods(rows[i], rows[j], "union", void, resamples=300)
        for key, one in pair.items():
            other = alone.figures[key]
            assert (one.test, one.unit, one.seeds, one.claim) == (other.test, other.unit, other.seeds, other.claim)
            got = (one.difference, one.low, one.high, one.p, one.smallest_p)
            assert got == pytest.approx((other.difference, other.low, other.high, other.p, other.smallest_p), rel=1e-9)


def test_few_images_are_gone_through_swap_by_swap_and_bound_each_pair_by_the_images_it_differs_in() -> None:
    a, b, _ = (row[0] for row in readings(np.random.default_rng(2), 6, [1, 1, 1]))
    # A copy of a, but for the two images that it has of b.
    dense = [b.dense(n) if n < 2 else a.dense(n) for n in range(6)]
    mixed = Confusion.from_dense(dense, a.names, a.classes)
    found = compare_rows([[a], [b], [mixed]], resamples=100).pairs
    assert {pair: one["miou"].smallest_p for pair, one in found.items()} == {
        (0, 1): 2 / 2**6,
        (0, 2): 2 / 2**2,
        (1, 2): 2 / 2**4,
    }
    assert {one["miou"].test for one in found.values()} == {"exact randomisation"}
    for (i, j), one in found.items():
        alone = compare_networks([a, b, mixed][i], [a, b, mixed][j], resamples=100).figures
        assert one["miou"].p == alone["miou"].p
        assert one["accuracy"].p == alone["accuracy"].p


def test_one_row_has_an_interval_and_no_pair_and_rows_of_other_images_are_refused() -> None:
    ((one,),) = readings(np.random.default_rng(3), 5, [1])
    told: list[int] = []
    found = compare_rows([[one]], resamples=50, drawn=told.append)
    assert (len(found.intervals), found.pairs, told) == (1, {}, [1])
    other = Confusion(("x", *one.names[1:]), one.classes, one.image, one.label, one.prediction, one.count)
    with pytest.raises(UserError, match="not of the same images"):
        compare_rows([[one], [other]], resamples=50)
