"""Tests over seeds by splits and by t, what they can reach, and Holm's correction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.errors import UserError
from harness.metrics.significance import holm, permutation_test, welch_test

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@few
@given(seeds, st.integers(1, 5), st.integers(1, 5))
def test_the_permutation_test_equals_a_loop_over_all_splits_and_knows_what_it_can_reach(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, n), rng.normal(0.5, 1, m)
    got, swapped = permutation_test(a, b, "fid"), permutation_test(b, a, "fid")
    together = np.concatenate([a, b])
    gaps = []
    for chosen in itertools.combinations(range(n + m), n):
        rest = [index for index in range(n + m) if index not in chosen]
        gaps.append(abs(together[list(chosen)].mean() - together[rest].mean()))
    assert got.p == pytest.approx(np.mean(np.array(gaps) >= abs(a.mean() - b.mean()) - 1e-12))
    assert swapped.p == pytest.approx(got.p)
    assert got.smallest_p <= got.p <= 1
    apart = permutation_test(np.arange(n) + 100.0, np.arange(m), "fid")
    assert apart.p == pytest.approx(apart.smallest_p)
    assert ("nothing about another training" in got.claim) == (min(n, m) == 1)


def test_what_few_seeds_can_reach():
    reach = {n: permutation_test(range(n), range(n), "fid").smallest_p for n in (1, 2, 3, 4, 5)}
    assert reach == pytest.approx({1: 1, 2: 1 / 3, 3: 0.1, 4: 2 / 70, 5: 2 / 252})
    many = permutation_test(np.arange(12) + 9, np.arange(12), "fid", resamples=99)
    assert (many.test, many.resamples, many.smallest_p, many.p) == ("permutation", 99, 0.01, 0.01)
    with pytest.raises(UserError, match="one finite score per seed"):
        permutation_test([1.0, np.nan], [2.0], "fid")


@few
@given(seeds, st.integers(2, 6), st.integers(2, 6))
def test_welch_equals_scipys(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, n), rng.normal(0.5, 2, m)
    theirs = stats.ttest_ind(a, b, equal_var=False)
    got = welch_test(a, b, "fid")
    assert got.p == pytest.approx(theirs.pvalue)
    assert (got.low, got.high) == pytest.approx(tuple(theirs.confidence_interval()))


@few
@given(st.lists(st.floats(0, 1), max_size=9))
def test_holm_equals_the_steps_written_out_and_keeps_the_order(p_values):
    got = holm(p_values)
    for p, adjusted in zip(p_values, got, strict=True):
        assert adjusted >= p
        smaller = sorted(p_values)[: sorted(p_values).index(p) + p_values.count(p)]
        assert adjusted == pytest.approx(min(1.0, max(q * (len(p_values) - i) for i, q in enumerate(smaller))))
    for (p, one), (q, other) in itertools.combinations(zip(p_values, got, strict=True), 2):
        assert one == other if p == q else (p < q) == (one < other) or one == other
    with pytest.raises(UserError, match="outside 0 to 1"):
        holm([0.5, float("nan")])


def test_no_spread_and_one_seed_show_nothing():
    assert welch_test([0.5, 0.5], [0.4, 0.4], "miou").p == 1.0
    one = welch_test([0.5], [0.1, 0.2, 0.3], "miou")
    assert (one.low, one.high, one.p, one.smallest_p) == (None, None, 1.0, 1.0)
    assert "nothing about another training" in one.claim


@pytest.mark.parametrize("test", [permutation_test, welch_test])
def test_false_alarms_keep_to_5_percent_and_a_known_gain_is_found(test):
    rng, trials = np.random.default_rng(2), 300
    found = {
        gain: sum(test(rng.normal(gain, 1, 5), rng.normal(0, 1, 5), "fid").p <= 0.05 for _ in range(trials))
        for gain in (0.0, 2.5)
    }
    assert 0 < found[0.0] <= stats.binom.ppf(0.999, trials, 0.05)
    assert found[2.5] >= stats.binom.ppf(0.001, trials, 0.9)


def test_holm_keeps_the_whole_family_to_5_percent():
    rng, trials = np.random.default_rng(3), 2000
    alarms = sum(min(holm(rng.random(6).tolist())) <= 0.05 for _ in range(trials))
    assert alarms <= stats.binom.ppf(0.999, trials, 0.05)
