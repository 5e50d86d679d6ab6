"""Fréchet distances: what is known by formula, scipy as oracle, and what may not change them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.linalg
from fillrule import sym
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import UserError
from harness.metrics.frechet import FeatureStats, Moments, frechet_distance, moments_distance

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def stats(features: NDArray[np.floating], batch: int = 7) -> FeatureStats:
    made = FeatureStats(features.shape[1])
    for start in range(0, len(features), batch):
        made.update(features[start : start + batch])
    return made


def moments(features: NDArray[np.floating], batch: int = 7) -> Moments:
    made = Moments.empty(features.shape[1])
    for start in range(0, len(features), batch):
        made = made.update(features[start : start + batch])
    return made


def by_scipy(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The formula as it stands, with scipy's matrix square root."""
    one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(one @ other)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one) + np.trace(other) - 2 * np.trace(root).real)


def photos(rng: np.random.Generator, count: int, dim: int, shift: float = 0.0) -> NDArray[np.float64]:
    """Correlated features of a falling spectrum, like those of a net."""
    mixing = rng.normal(size=(dim, dim)) * 0.7 ** np.arange(dim)[:, None]
    return rng.normal(size=(count, dim)) @ mixing + shift


@pytest.mark.parametrize(("one", "other"), [(40, 50), (8, 50), (8, 5), (12, 13)])
def test_scipy_agrees_on_every_path(one, other):
    rng = np.random.default_rng(one)
    a, b = photos(rng, one, 12), photos(rng, other, 12, shift=0.3)
    expected = by_scipy(a, b)
    # sqrtm of a singular matrix is itself only good to the square root of the rounding error.
    assert frechet_distance(stats(a), stats(b)) == pytest.approx(expected, rel=1e-5)
    assert moments_distance(moments(a), moments(b)) == pytest.approx(expected, rel=1e-5)


def test_two_images_on_either_side_have_a_closed_form():
    a, b = sym("fidA", (2, 16)), sym("fidB", (2, 16))
    (one, other), step = (a[0] - a[1], b[0] - b[1]), a.mean(0) - b.mean(0)
    # Each covariance is the outer product of one difference with itself, halved.
    expected = step @ step + (one @ one + other @ other) / 2 - abs(one @ other)
    assert frechet_distance(stats(a), stats(b)) == pytest.approx(expected, rel=1e-12)
    assert moments_distance(moments(a), moments(b)) == pytest.approx(expected, rel=1e-9)


@few
@given(seeds, st.integers(2, 30), st.integers(2, 30))
def test_kept_features_and_moments_give_the_same(seed, one, other):
    rng = np.random.default_rng(seed)
    a, b = photos(rng, one, 16), photos(rng, other, 16, shift=0.1)
    expected = moments_distance(moments(a), moments(b))
    assert frechet_distance(stats(a), stats(b)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_golden_figure(golden):
    figures = json.loads((golden / "fid" / "frechet.json").read_text())
    a, b = sym("fidA", (200, 16)), 1.3 * sym("fidB", (150, 16)) + 0.2
    assert frechet_distance(stats(a), stats(b)) == pytest.approx(
        figures["frechet_fidA200x16_vs_1.3*fidB150x16+0.2"], rel=1e-10
    )


@few
@given(seeds, st.integers(2, 40))
def test_a_set_is_no_distance_from_itself_in_any_order(seed, count):
    rng = np.random.default_rng(seed)
    a = photos(rng, count, 16, shift=5.0)
    again = a[rng.permutation(count)]
    spread = np.trace(np.cov(a, rowvar=False))
    assert frechet_distance(stats(a), stats(a)) <= 1e-9 * spread
    assert frechet_distance(stats(a), stats(again)) <= 1e-6 * spread


@few
@given(seeds, st.integers(2, 40), st.floats(-50, 50))
def test_equal_covariance_leaves_the_squared_difference_of_the_means(seed, count, step):
    a = photos(np.random.default_rng(seed), count, 16)
    expected = 16 * step**2
    assert frechet_distance(stats(a), stats(a + step)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@few
@given(seeds, st.integers(17, 40))
def test_independent_dimensions_have_a_closed_form(seed, count):
    rng = np.random.default_rng(seed)
    # Orthogonal columns of zero mean: the covariance is exactly diagonal.
    base = rng.normal(size=(count, 16))
    columns = np.linalg.qr(base - base.mean(0))[0]
    one, other = rng.uniform(0.1, 3, 16), rng.uniform(0.1, 3, 16)
    expected = ((one - other) ** 2).sum() / (count - 1)
    assert frechet_distance(stats(columns * one), stats(columns * other)) == pytest.approx(expected, rel=1e-8)


@few
@given(seeds, st.integers(2, 40), st.integers(2, 40))
def test_distance_is_symmetric_and_never_negative(seed, one, other):
    rng = np.random.default_rng(seed)
    a, b = stats(photos(rng, one, 16)), stats(photos(rng, other, 16))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9, abs=1e-12)
    assert frechet_distance(a, b) >= 0


@few
@given(seeds, st.integers(2, 60), st.integers(1, 60))
def test_batch_size_changes_no_bit(seed, count, batch):
    rng = np.random.default_rng(seed)
    a, b = photos(rng, count, 16), stats(photos(rng, 30, 16))
    assert frechet_distance(stats(a, batch), b) == frechet_distance(stats(a, 1), b)


@few
@given(seeds, st.integers(2, 60))
def test_order_changes_no_more_than_rounding(seed, count):
    rng = np.random.default_rng(seed)
    a, b = photos(rng, count, 16), stats(photos(rng, 30, 16, shift=0.2))
    shuffled = a[rng.permutation(count)]
    assert frechet_distance(stats(shuffled), b) == pytest.approx(frechet_distance(stats(a), b), rel=1e-9)


@few
@given(seeds, st.integers(1, 40), st.integers(1, 40))
def test_merged_halves_are_the_whole(seed, one, other):
    rng = np.random.default_rng(seed)
    a, b = photos(rng, one, 16, shift=3.0), photos(rng, other, 16)
    whole, merged = stats(np.concatenate([a, b])), stats(a).merge(stats(b))
    assert merged.count == whole.count
    assert (merged.features is None) == (whole.features is None)
    np.testing.assert_allclose(merged.moments.covariance, whole.moments.covariance, rtol=1e-10, atol=1e-12)
    reference = stats(photos(rng, 30, 16))
    assert frechet_distance(merged, reference) == pytest.approx(frechet_distance(whole, reference), rel=1e-9)


def test_features_are_kept_while_they_are_no_more_than_their_width():
    rng = np.random.default_rng(0)
    made = stats(rng.normal(size=(16, 16)))
    assert made.features is not None
    assert made.features.shape == (16, 16)
    made.update(rng.normal(size=(1, 16)))
    assert made.features is None
    assert made.moments.count == made.count == 17


def test_moments_equal_numpy_far_from_the_origin():
    a = np.random.default_rng(0).normal(size=(500, 8)) + 1e6
    got = moments(a)
    np.testing.assert_allclose(got.mean, a.mean(0), rtol=1e-14)
    # A plain sum of squares would have an error of about 1e-4 here.
    np.testing.assert_allclose(got.covariance, np.cov(a, rowvar=False), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("count", [5, 40])
def test_save_and_load_keep_every_bit(tmp_path, count):
    rng = np.random.default_rng(1)
    a, b = stats(photos(rng, count, 16)), stats(photos(rng, 30, 16))
    a.save(tmp_path / "a.npz")
    a.save(tmp_path / "again.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    loaded = FeatureStats.load(tmp_path / "a.npz")
    assert loaded.count == count
    assert frechet_distance(loaded, b) == frechet_distance(a, b)


def test_features_of_float32_are_reduced_in_float64():
    a = (np.random.default_rng(2).normal(size=(40, 16)) + 100).astype(np.float32)
    assert frechet_distance(stats(a), stats(a.astype(np.float64))) == 0.0
    assert stats(a).moments.scatter.dtype == np.float64


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_refused_with_its_image(value):
    made = FeatureStats(4)
    made.update(np.ones((3, 4)))
    bad = np.ones((2, 4))
    bad[1, 2] = value
    with pytest.raises(UserError, match="image 4: a feature is not a finite number"):
        made.update(bad)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("dim", [1, 4])
def test_fewer_than_two_images_have_no_distance(count, dim):
    enough = stats(np.random.default_rng(0).normal(size=(5, dim)))
    few_images = FeatureStats(dim)
    few_images.update(np.ones((count, dim)))
    for pair in [(few_images, enough), (enough, few_images)]:
        with pytest.raises(UserError, match=f"at least 2 images on either side, here is {count}"):
            frechet_distance(*pair)


def test_other_widths_are_refused():
    with pytest.raises(UserError, match=r"expected \(N, 4\)"):
        FeatureStats(4).update(np.ones((2, 5)))
    with pytest.raises(UserError, match="width 4 and of width 5"):
        frechet_distance(stats(np.eye(4)), stats(np.eye(5)))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:200])


def _other_shape(path):
    np.savez(path, dim=np.int64(4), count=np.int64(9), mean=np.zeros(3), scatter=np.zeros((4, 4)))


def _infinite(path):
    np.savez(path, dim=np.int64(2), features=np.array([[1, 2], [np.inf, 3]]))


def _moments_of_few(path):
    np.savez(path, dim=np.int64(4), count=np.int64(3), mean=np.zeros(4), scatter=np.eye(4))


def _no_archive(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    "damage", [_truncate, _other_shape, _infinite, _moments_of_few, _no_archive, lambda path: path.unlink()]
)
def test_a_bad_file_is_named(tmp_path, damage):
    path = tmp_path / "reference.npz"
    stats(np.random.default_rng(0).normal(size=(9, 4))).save(path)
    damage(path)
    with pytest.raises(UserError, match=r"reference\.npz"):
        FeatureStats.load(path)
