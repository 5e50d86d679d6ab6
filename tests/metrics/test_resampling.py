"""Resampling of per-image confusion: equal to loops on tiny inputs, and calling differences at the stated rates."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.errors import UserError
from harness.metrics.confusion import CLASS_MEANS, Confusion, scores
from harness.metrics.frechet import FeatureStats, frechet_distance, half_distances
from harness.metrics.paired import compare_methods, compare_networks
from harness.metrics.resampling import bca, drawn_images, intervals, per_image, resample

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def stack(dense, names=None):
    """(N, K+1, K+1) as a Confusion."""
    image, label, prediction = np.nonzero(dense)
    names = [f"photo_{index:03}" for index in range(len(dense))] if names is None else names
    classes = tuple(f"class{index}" for index in range(dense.shape[1] - 1))
    return Confusion(tuple(names), classes, image, label, prediction, dense[image, label, prediction])


def reading(rng, pixels, share):
    """Confusion of images whose labels are `pixels` (N, K); `share` (N, K) of each class is read right."""
    images, classes = pixels.shape
    dense = np.zeros((images, classes + 1, classes + 1), np.int64)
    right = rng.binomial(pixels, np.clip(share, 0, 1))
    for k in range(classes):
        dense[:, k, k] = right[:, k]
        dense[:, k, (k + 1) % classes] += pixels[:, k] - right[:, k]
    return stack(dense)


def random_pair(seed, images, classes):
    """Two dense readings of the same random labels, void among labels and predictions, some classes absent."""
    rng = np.random.default_rng(seed)
    side = classes + 1
    pixels = rng.integers(0, 30, (images, side)) * rng.integers(0, 2, (images, side))
    pixels[:, 0] += 1
    return tuple(
        np.stack([[rng.multinomial(n, rng.dirichlet(np.full(side, 0.3))) for n in row] for row in pixels])
        for _ in range(2)
    )


def figures_of(dense, class_mean, void):
    found = scores(dense, class_mean)
    iou = [np.nan if value is None else value for value in found["iou"]]
    return np.array([found["miou"], found["accuracy" if void == "ignore" else "accuracy_void_wrong"], *iou])


@few
@given(seeds, st.integers(2, 6), st.integers(1, 5), st.sampled_from(CLASS_MEANS), st.sampled_from(["ignore", "wrong"]))
def test_draws_equal_scores_of_stacks_that_repeat_their_images(seed, images, classes, class_mean, void):
    dense, _ = random_pair(seed, images, classes)
    side = per_image(stack(dense), class_mean, void)
    of = resample([(1.0, [side])], 20, seed)
    np.testing.assert_allclose(of.estimate, figures_of(dense.sum(axis=0), class_mean, void), rtol=1e-13)
    (counts,) = drawn_images(images, 20, np.random.default_rng(seed))
    assert np.all(counts.sum(axis=0) == images)
    for draw, times in zip(of.draws, counts.T, strict=True):
        again = np.repeat(dense, times.astype(int), axis=0).sum(axis=0)
        np.testing.assert_allclose(draw, figures_of(again, class_mean, void), rtol=1e-13)
    for index, without in enumerate(of.left_out):
        rest = np.delete(dense, index, axis=0).sum(axis=0)
        np.testing.assert_allclose(without, figures_of(rest, class_mean, void), rtol=1e-13)


@few
@given(seeds, st.integers(1, 8), st.integers(1, 4), st.sampled_from(CLASS_MEANS))
def test_exact_randomisation_equals_a_loop_over_all_swaps(seed, images, classes, class_mean):
    images += 1
    one, other = random_pair(seed, images, classes)
    got = compare_networks(stack(one), stack(other), class_mean=class_mean, resamples=600).figures["miou"]

    def gap(swaps):
        swaps = np.array(swaps, bool)[:, None, None]
        a, b = np.where(swaps, other, one).sum(axis=0), np.where(swaps, one, other).sum(axis=0)
        return scores(a, class_mean)["miou"] - scores(b, class_mean)["miou"]

    here = gap([False] * images)
    gaps = [gap(swaps) for swaps in itertools.product([False, True], repeat=images)]
    assert got.difference == pytest.approx(here, abs=1e-13)
    assert got.p == pytest.approx(np.mean(np.abs(gaps) >= abs(here) - 1e-12))
    assert (got.test, got.unit, got.resamples) == ("exact randomisation", "images", 0)
    assert got.p >= got.smallest_p


@few
@given(seeds, st.sampled_from(["randomisation", "bootstrap"]), st.integers(12, 20))
def test_order_of_images_has_no_say_a_swap_mirrors_and_the_same_seed_gives_the_same_bits(seed, test, images):
    one, other = random_pair(seed, images, 4)
    first = compare_networks(stack(one), stack(other), test, resamples=200, seed=seed)
    assert compare_networks(stack(one), stack(other), test, resamples=200, seed=seed) == first
    order = np.random.default_rng(seed).permutation(images)
    names = [f"photo_{index:03}" for index in order]
    assert compare_networks(stack(one[order], names), stack(other), test, resamples=200, seed=seed) == first
    swapped = compare_networks(stack(other), stack(one), test, resamples=200, seed=seed)
    for key, figure in first.figures.items():
        back = swapped.figures[key]
        assert figure.low <= figure.difference <= figure.high
        assert 0 < figure.smallest_p <= figure.p <= 1
        assert (back.p, back.difference) == pytest.approx((figure.p, -figure.difference), abs=1e-13)
        assert (back.low, back.high) == pytest.approx((-figure.high, -figure.low), abs=1e-10)
    for here, there in zip(first.classes, swapped.classes, strict=True):
        assert here.difference is None or there.difference == pytest.approx(-here.difference, abs=1e-13)
        assert here.p is None or (here.p == pytest.approx(there.p) and here.p <= here.p_holm <= 1)
    json.dumps(first.as_dict(), allow_nan=False)


@few
@given(seeds, st.integers(2, 12), st.integers(1, 3), st.sampled_from(CLASS_MEANS))
def test_an_interval_holds_its_estimate_and_is_the_same_for_the_same_seed(seed, images, trainings, class_mean):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 40, (images, 4))
    stacks = [reading(rng, pixels, rng.random((images, 4))) for _ in range(trainings)]
    found = intervals(stacks, class_mean, resamples=100, seed=seed)
    assert found == intervals(stacks, class_mean, resamples=100, seed=seed)
    means = {key: np.mean([scores(one.total(), class_mean)[key] for one in stacks]) for key in found}
    for key, one in found.items():
        assert one.estimate == pytest.approx(means[key])
        assert one.low <= one.estimate <= one.high
        assert (one.unit, one.from_seeds is None) == (("images", True) if trainings == 1 else ("seeds × images", False))


def test_blocks_of_draws_are_a_matter_of_memory_only(monkeypatch):
    side = per_image(stack(random_pair(3, 7, 4)[0]))
    whole = resample([(1.0, [side])], 50, 1).draws
    monkeypatch.setattr("harness.metrics.resampling._BLOCK", 40)
    np.testing.assert_array_equal(resample([(1.0, [side])], 50, 1).draws, whole)


@few
@given(seeds)
def test_bca_equals_scipys(seed):
    values = np.random.default_rng(seed).gamma(1.0, size=30)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(seed), vectorized=True
    )
    left_out = np.array([np.delete(values, index).mean() for index in range(30)])
    got = bca(float(values.mean()), theirs.bootstrap_distribution, left_out, 0.95)
    assert got == pytest.approx(theirs.confidence_interval, rel=1e-9)


# Simulations: how many calls a test of the stated rate makes at most, and at least, all but once in 1000 times.
def at_most(trials, rate):
    return stats.binom.ppf(0.999, trials, rate)


def at_least(trials, rate):
    return stats.binom.ppf(0.001, trials, rate)


def networks(rng, gain, images=30):
    """Two networks read the same images, one by `gain` better; hard images are hard for both."""
    pixels = rng.integers(20, 400, (images, 5))
    hard = 0.6 + rng.normal(0, 0.12, (images, 1)) + rng.normal(0, 0.05, (images, 5))
    return (reading(rng, pixels, hard + own + rng.normal(0, 0.05, (images, 5))) for own in (gain, 0.0))


@pytest.mark.parametrize("test", ["randomisation", "bootstrap"])
def test_over_images_false_alarms_keep_to_5_percent_and_a_known_gain_is_found(test):
    rng, trials = np.random.default_rng(0), 150
    runs = {
        gain: [compare_networks(*networks(rng, gain), test, resamples=199, seed=run) for run in range(trials)]
        for gain in (0.0, 0.025)
    }
    for key in ("miou", "accuracy"):
        alarms = sum(run.figures[key].p <= 0.05 for run in runs[0.0])
        # The bootstrap of 30 images understates a variance by a thirtieth and knows no heavy tail.
        assert 0 < alarms <= at_most(trials, 0.05 if test == "randomisation" else 0.07)
        found = sum(run.figures[key].p <= 0.05 and run.figures[key].difference > 0 for run in runs[0.025])
        assert found >= at_least(trials, 0.8)
    covered = sum(run.figures["miou"].low <= 0 <= run.figures["miou"].high for run in runs[0.0])
    assert covered >= at_least(trials, 0.92)
    # Five classes, none differing: Holm's p calls one in at most 5% of the families.
    alarms = sum(min(one.p_holm for one in run.classes) <= 0.05 for run in runs[0.0])
    assert alarms <= at_most(trials, 0.07)


def trainings(rng, gain, spread, count, images=15):
    """`count` trainings of two methods: every training has a level of its own, and all read the same images."""
    pixels = rng.integers(50, 400, (images, 4))
    hard = 0.6 + rng.normal(0, 0.1, (images, 1))
    return [
        [
            reading(rng, pixels, hard + own + rng.normal(0, spread) + rng.normal(0, 0.03, (images, 4)))
            for _ in range(count)
        ]
        for own in (gain, 0.0)
    ]


@pytest.mark.parametrize("count", [2, 5])
def test_over_seeds_and_images_false_alarms_keep_to_5_percent_where_images_alone_raise_them(count):
    rng, trials = np.random.default_rng(count), 120
    runs = [trainings(rng, 0.0, 0.04, count) for _ in range(trials)]
    alarms = sum(compare_methods(a, b, resamples=99).figures["miou"].p <= 0.05 for a, b in runs)
    assert alarms <= at_most(trials, 0.05)
    # The same two methods by one training each: the networks do differ, which says nothing of the methods.
    one_each = [compare_methods(a[:1], b[:1], resamples=99).figures["miou"] for a, b in runs]
    assert sum(one.p <= 0.05 for one in one_each) > at_most(trials, 0.05)
    assert {one.unit for one in one_each} == {"images"}
    assert all("nothing about another training" in one.claim for one in one_each)


def test_over_seeds_and_images_a_known_gain_is_found_and_the_seeds_part_of_the_error_is_told():
    rng, trials = np.random.default_rng(9), 80
    runs = [trainings(rng, 0.1, 0.04, 5) for _ in range(trials)]
    got = [compare_methods(a, b, resamples=99).figures["miou"] for a, b in runs]
    assert sum(one.p <= 0.05 and one.low > 0 for one in got) >= at_least(trials, 0.8)
    assert {(one.unit, one.seeds, one.images) for one in got} == {("seeds × images", (5, 5), 15)}
    one = intervals(runs[0][0], resamples=99)["miou"]
    values = [scores(confusion.total())["miou"] for confusion in runs[0][0]]
    assert one.from_seeds == pytest.approx(np.std(values, ddof=1) / np.sqrt(5))
    assert one.error > one.from_seeds


def test_5000_images_of_182_classes_take_a_tenth_of_the_promised_minute_for_a_tenth_of_10000_resamples():
    rng, images, classes, entries = np.random.default_rng(0), 5000, 182, 60
    image = np.repeat(np.arange(images), entries)
    label, prediction = rng.integers(0, classes, (2, images * entries))
    names = tuple(f"{index:04}" for index in range(images))
    count = rng.integers(1, 9999, images * entries)
    confusion = Confusion(names, tuple(f"class{k}" for k in range(classes)), image, label, prediction, count)
    start = time.process_time()
    intervals([confusion], resamples=1000)
    assert time.process_time() - start < 6


def test_copies_of_one_training_are_no_evidence():
    rng = np.random.default_rng(0)
    pixels = np.full((4, 3), 50)
    a, b = reading(rng, pixels, np.full((4, 3), 0.5)), reading(rng, pixels, np.full((4, 3), 0.5))
    assert compare_networks(a, a).figures["miou"].p == 1.0
    assert compare_methods([a, a], [a, a], resamples=50).figures["miou"].p == 1.0
    assert compare_networks(a, b).figures["miou"].smallest_p == 2 / 2**4


def test_a_class_that_no_image_has_has_no_difference():
    dense = np.zeros((5, 4, 4), np.int64)
    dense[:, 0, 0], dense[:, 1, 0], dense[0, 1, 1] = 9, 3, 4
    one, two, gone = compare_networks(stack(dense), stack(dense), resamples=50).classes
    assert (one.images, two.images, gone.images) == (5, 5, 0)
    assert gone.difference is gone.p is gone.p_holm is None
    assert two.difference == 0


def refused(match, a, b):
    with pytest.raises(UserError, match=match):
        compare_networks(a, b, resamples=20)


def test_other_images_classes_or_label_maps_are_refused():
    one, other = random_pair(0, 4, 3)
    a = stack(one)
    refused("of the same images: 'else'", a, stack(other, [*a.names[:3], "else"]))
    refused("different classes", a, Confusion(a.names, ("x", "y", "z"), a.image, a.label, a.prediction, a.count))
    changed = other.copy()
    changed[2, 0, 0] += 1
    refused("label map of image 'photo_002' differs", a, stack(changed))
    refused("named twice", a, stack(other, ["photo_000", "photo_000", "photo_002", "photo_003"]))
    refused("2 or more images", stack(one[:1]), stack(other[:1]))
    refused("no pixel is labelled", stack(one * 0), stack(other * 0))
    with pytest.raises(UserError, match="did you mean randomisation"):
        compare_networks(a, a, "randomization")
    with pytest.raises(UserError, match="did you mean union"):
        intervals([a], "unions")
    with pytest.raises(UserError, match="no confidence level"):
        intervals([a], level=95)
    with pytest.raises(UserError, match="too few"):
        intervals([a], resamples=0)
    with pytest.raises(UserError, match="no confusion to resample"):
        compare_methods([a], [])


def test_the_spread_of_halves_is_that_of_sets_drawn_anew():
    rng, dim, images = np.random.default_rng(0), 4, 200

    def drawn():
        features = FeatureStats(dim, keep=True)
        features.update(rng.normal(0.5, 1.5, (images, dim)))
        return features

    reference = FeatureStats(dim)
    reference.update(rng.normal(0, 1, (2000, dim)))
    anew = np.std([frechet_distance(drawn(), reference) for _ in range(200)], ddof=1)
    halves = [half_distances(drawn(), reference, rng, 20).std(ddof=1) for _ in range(20)]
    assert np.sqrt(np.mean(np.square(halves))) == pytest.approx(anew, rel=0.2)
    with pytest.raises(UserError, match="only their moments"):
        half_distances(reference, reference, rng)
    with pytest.raises(UserError, match="1 halves"):
        half_distances(drawn(), reference, rng, 1)
