"""Kernel distances: the double loop that they stand for, what may not change them, and the features they need."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import UserError
from harness.metrics import kernel
from harness.metrics.frechet import FeatureStats, frechet_distance
from harness.metrics.kernel import kernel_distance, subset_distances
from harness.metrics.notes import small_sample_note

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
DIM = 6


def draw(seed: int, count: int, shift: float = 0.0) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = (np.random.default_rng(seed).normal(size=(count, DIM)) + shift).astype(np.float32)
    return rows


def stats(features: NDArray[np.floating], keep: bool = True, batch: int = 7) -> FeatureStats:
    made = FeatureStats(features.shape[1], keep)
    for start in range(0, len(features), batch):
        made.update(features[start : start + batch])
    return made


def by_loop(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    def value(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
        return (sum(float(p) * float(q) for p, q in zip(one, other, strict=True)) / DIM + 1) ** 3

    def within(rows: NDArray[np.floating]) -> float:
        pairs = [(i, j) for i, j in product(range(len(rows)), repeat=2) if i != j]
        return sum(value(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    return within(x) + within(y) - 2 * sum(value(p, q) for p, q in product(x, y)) / (len(x) * len(y))


@few
@given(seeds, st.integers(2, 9), st.integers(2, 9), st.integers(1, 5))
def test_blocks_of_any_size_give_the_double_loop(seed, one, other, block):
    x, y = draw(seed, one), draw(seed + 1, other, shift=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "BLOCK", block)
        assert kernel_distance(stats(x), stats(y)) == pytest.approx(by_loop(x, y), rel=1e-10, abs=1e-10)


@few
@given(seeds, st.integers(2, 30), st.integers(2, 30))
def test_it_is_symmetric_and_knows_no_order(seed, one, other):
    x, y = draw(seed, one), draw(seed + 1, other, shift=0.5)
    expected = kernel_distance(stats(x), stats(y))
    assert kernel_distance(stats(y), stats(x)) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    shuffled = np.random.default_rng(seed).permutation(x)
    assert kernel_distance(stats(shuffled), stats(y)) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert kernel_distance(stats(x, batch=1), stats(y)) == expected


def test_a_set_is_a_little_below_zero_from_itself_and_two_of_one_kind_are_near_zero():
    x = draw(0, 400)
    # Against itself only the pairs of equal rows are counted twice over, by 1/n.
    assert -0.2 < kernel_distance(stats(x), stats(x)) < 0
    assert abs(kernel_distance(stats(x), stats(draw(1, 400)))) < 0.05
    assert kernel_distance(stats(x), stats(draw(1, 400, shift=1.0))) > 1


def test_it_is_unbiased_at_small_counts():
    one, other = np.split(draw(0, 40), 2)
    other = other + 0.4
    whole = kernel_distance(stats(one), stats(other))
    # The mean over all subsets is the whole; over 4000 of them it is within a few standard errors.
    drawn = subset_distances(stats(one), stats(other), np.random.default_rng(1), subsets=4000, size=3)
    assert drawn.mean() == pytest.approx(whole, abs=4 * drawn.std() / np.sqrt(len(drawn)))


def test_subsets_follow_the_seed_and_shorten_to_the_smaller_side():
    a, b = stats(draw(0, 30)), stats(draw(1, 12))
    first, again, other = (subset_distances(a, b, np.random.default_rng(seed), subsets=5) for seed in (1, 1, 2))
    assert first.shape == (5,)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(UserError, match="0 subsets of 1000 images are too few"):
        subset_distances(a, b, np.random.default_rng(0), subsets=0)


def test_features_that_were_not_kept_have_no_kernel_distance():
    few_images, many = stats(draw(0, DIM), keep=False), stats(draw(0, DIM + 1), keep=False)
    assert np.isfinite(kernel_distance(few_images, few_images))  # so few are kept anyway
    with pytest.raises(UserError, match=r"needs the features of all 7 images.*all features kept"):
        kernel_distance(few_images, many)
    with pytest.raises(UserError, match="at least 2 images on either side, here is 1"):
        kernel_distance(stats(draw(0, 1)), few_images)
    with pytest.raises(UserError, match="width 6 and of width 2"):
        kernel_distance(few_images, stats(np.ones((3, 2))))


@few
@given(seeds, st.integers(2, 40), st.integers(1, 9))
def test_keeping_changes_no_bit_of_the_moments_and_batches_none_of_what_is_kept(seed, count, batch):
    x = draw(seed, count)
    kept, plain = stats(x, batch=batch), stats(x, keep=False, batch=1)
    np.testing.assert_array_equal(kept.moments.scatter, plain.moments.scatter)
    assert frechet_distance(kept, stats(draw(1, 9))) == frechet_distance(plain, stats(draw(1, 9)))
    assert kept.kept is not None
    assert kept.kept.dtype == np.float32
    np.testing.assert_array_equal(kept.kept, x)


def test_what_is_kept_is_a_copy():
    batch = draw(0, 3)
    made = stats(batch)
    batch[:] = 0
    assert made.kept is not None
    assert made.kept.all()


@pytest.mark.parametrize("count", [0, 4, 40])
def test_save_and_load_keep_all_features(tmp_path, count):
    x, y = draw(0, count), stats(draw(1, 12))
    stats(x).save(tmp_path / "a.npz")
    loaded = FeatureStats.load(tmp_path / "a.npz")
    assert loaded.keep
    assert loaded.count == count
    np.testing.assert_array_equal(loaded.kept, x)
    if count:
        assert kernel_distance(loaded, y) == kernel_distance(stats(x), y)
        assert frechet_distance(loaded, y) == frechet_distance(stats(x), y)
    loaded.update(x[:2])
    np.testing.assert_array_equal(loaded.kept, np.concatenate([x, x[:2]]))


def test_a_file_without_all_features_loads_as_before(tmp_path):
    np.savez(tmp_path / "old.npz", dim=np.int64(4), count=np.int64(9), mean=np.zeros(4), scatter=np.eye(4))
    loaded = FeatureStats.load(tmp_path / "old.npz")
    assert not loaded.keep
    assert loaded.kept is None


@pytest.mark.parametrize("rows", [np.zeros((8, 4)), np.zeros((9, 3)), np.full((9, 4), np.nan)])
def test_kept_features_that_contradict_their_moments_are_refused(tmp_path, rows):
    path = tmp_path / "bad.npz"
    np.savez(path, dim=np.int64(4), count=np.int64(9), mean=np.zeros(4), scatter=np.eye(4), kept=rows)
    with pytest.raises(UserError, match=r"bad\.npz: these feature statistics contradict themselves"):
        FeatureStats.load(path)
    np.savez(path, dim=np.int64(4), count=np.int64(9), mean=np.zeros(4), scatter=np.eye(4), kept=np.full((9, 4), "a"))
    with pytest.raises(UserError, match=r"bad\.npz: cannot read these feature statistics"):
        FeatureStats.load(path)


@pytest.mark.parametrize(("one", "other"), [(0, 3), (3, 2), (3, 20), (20, 30)])
def test_merged_shards_keep_all_features_in_their_order(one, other):
    x, y = draw(0, one), draw(1, other)
    merged = stats(x).merge(stats(y))
    assert merged.keep
    np.testing.assert_array_equal(merged.kept, np.concatenate([x, y]))
    assert merged.count == one + other
    # A shard of so few images has them all, whether told to or not.
    assert stats(x, keep=False).merge(stats(y)).keep == (one <= DIM)
    assert not stats(x, keep=False).merge(stats(y, keep=False)).keep


def test_fewer_than_2048_images_have_a_note_in_one_line():
    note = small_sample_note(500, 2048, "fid")
    assert note is not None
    assert "\n" not in note
    for part in ("fid of 500 images", "2048", "upwards", "rank 499", "same count"):
        assert part in note
    assert "rank" not in (small_sample_note(500, 64, "fd_toyscapes") or "rank")
    assert small_sample_note(2047, 2048, "fid") is not None
    assert small_sample_note(2048, 2048, "fid") is None
