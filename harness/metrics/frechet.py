"""Fréchet distance between Gaussians fitted to two sets of features, from streaming moments.

    d = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)            (Heusel et al. 2017, eq. 6)

with means m and unbiased covariances S (divided by n-1). If S1 = A1^T A1 and S2 = A2^T A2, the
eigenvalues of S1 S2 are the squared singular values of A1 A2^T, so that

    tr (S1 S2)^(1/2) = ||A1 A2^T||_*    (the sum of singular values)

which is real and non-negative: no imaginary part has to be thrown away, and no square root is taken
of a difference of large numbers. Where there are no more samples than dimensions, A is the centred
features over sqrt(n-1), and the matrix to decompose is n1 x n2 instead of dim x dim. Otherwise A comes
from the eigenvalues of S.

Moments hold the mean and the centred sum of outer products and are merged as by Chan, Golub and
LeVeque (1983). A plain sum of squares would lose, in the subtraction of n m m^T, as many digits as the
mean is larger than the spread; here nothing large is subtracted.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.files import atomic_path

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """count of features, their mean (dim,), and scatter (dim, dim), the centred sum of outer products."""

    count: int
    mean: Floats
    scatter: Floats

    @classmethod
    def empty(cls, dim: int) -> Moments:
        """The moments of no features."""
        return cls(0, np.zeros(dim), np.zeros((dim, dim)))

    def update(self, features: NDArray[np.floating]) -> Moments:
        """These moments with (N, dim) features added."""
        if len(features) == 0:
            return self
        rows = np.asarray(features, dtype=np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        return self.merge(Moments(len(rows), mean, centred.T @ centred))

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets together."""
        if self.count == 0 or other.count == 0:
            return other if self.count == 0 else self
        count = self.count + other.count
        step = other.mean - self.mean
        between = np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Floats:
        """(dim, dim), unbiased: over count-1. Raises UserError for fewer than 2 features."""
        _at_least_two(self.count)
        return self.scatter / (self.count - 1)


class FeatureStats:
    """What is kept of a stream of features: all of them while they are at most `dim`, then moments.

    Rows are folded into the moments in blocks of `dim`, whatever the batches they came in, so the
    result does not depend on the batch size, not even in its last bit.

    keep: whether all features stay beside the moments, which kernel distances need (kernel.py). They stay
    in the precision they come in; a net's are float32: 8 KiB an image at a width of 2048. The moments do
    not depend on it.
    """

    def __init__(self, dim: int, keep: bool = False) -> None:
        self.dim = dim
        self.keep = keep
        self.count = 0
        self._folded = Moments.empty(dim)
        self._pending = np.zeros((0, dim))
        self._kept: list[NDArray[np.floating]] = []

    def update(self, features: NDArray[np.floating]) -> None:
        """Add (N, dim) features. Raises UserError where one is not finite or the width is wrong."""
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise UserError(f"features have shape {rows.shape}, expected (N, {self.dim})")
        if not np.isfinite(rows).all():
            raise UserError(
                "a feature is not a finite number",
                where=f"image {self.count + int(np.argmin(np.isfinite(rows).all(axis=1)))}",
                mend="the images or the weights of the feature net are broken",
            )
        self.count += len(rows)
        if self.keep:
            # A copy: what came in is the caller's to overwrite.
            self._kept.append(np.array(features, dtype=np.result_type(features, np.float32)))
        self._pending = np.concatenate([self._pending, rows])
        if self.count > self.dim:
            while len(self._pending) >= self.dim:
                self._folded = self._folded.update(self._pending[: self.dim])
                self._pending = self._pending[self.dim :]

    @property
    def features(self) -> Floats | None:
        """All features (count, dim) while there are at most `dim` of them, else None."""
        return self._pending if self.count <= self.dim else None

    @property
    def kept(self) -> NDArray[np.floating] | None:
        """All features (count, dim) in the order they came; None where `keep` is off and they are more than `dim`."""
        if not self.keep:
            return self.features
        if len(self._kept) != 1:
            self._kept = [np.concatenate([np.zeros((0, self.dim), np.float32), *self._kept])]
        return self._kept[0]

    @property
    def moments(self) -> Moments:
        """The moments of all features so far."""
        return self._folded.update(self._pending)

    def merge(self, other: FeatureStats) -> FeatureStats:
        """The stats of both sets together, `self`'s features first. Raises UserError for another width.

        All features are kept where either keeps them and both have them.
        """
        _same_width(self, other)
        mine, others = self.kept, other.kept
        keep = (self.keep or other.keep) and mine is not None and others is not None
        merged = FeatureStats(self.dim, keep)
        if self.features is not None and other.features is not None:
            merged.update(self.features)
            merged.update(other.features)
        else:
            merged.count = self.count + other.count
            merged._folded = self.moments.merge(other.moments)
            if keep:
                merged._kept = [rows for rows in (mine, others) if rows is not None]
        return merged

    def save(self, path: Path) -> None:
        """Write an npz by rename: the features while they are at most `dim`, else the moments, with `keep` both."""
        arrays: dict[str, Any] = {"dim": np.int64(self.dim)}
        if self.keep:
            arrays["kept"] = self.kept
        if self.features is not None:
            arrays["features"] = self.features
        else:
            moments = self.moments
            arrays |= {"count": np.int64(moments.count), "mean": moments.mean, "scatter": moments.scatter}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> FeatureStats:
        """Read what `save` wrote. Raises UserError where the file is missing, broken or something else."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                stats = cls(int(file["dim"]), keep="kept" in file)
                if "features" in file:
                    stats.update(file["features"])
                else:
                    stats.count = int(file["count"])
                    mean, scatter = (file[key].astype(np.float64) for key in ("mean", "scatter"))
                    stats._folded = Moments(stats.count, mean, scatter)
                if stats.keep:
                    stats._kept = [file["kept"]]
                    if stats._kept[0].dtype.kind != "f":
                        raise TypeError("kept features are of another kind")
        except FileNotFoundError as error:
            raise UserError("no such file of feature statistics", where=str(path)) from error
        except UserError as error:
            raise UserError(error.what, where=str(path), mend="compute the reference again") from error
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise UserError(
                "cannot read these feature statistics, the file is broken or something else",
                where=str(path),
                mend="compute the reference again",
            ) from error
        folded, dim = stats._folded, stats.dim
        whole = folded.mean.shape == (dim,) and folded.scatter.shape == (dim, dim)
        whole = whole and (folded.count == 0 or folded.count > dim)
        if stats.keep:
            kept = stats._kept[0]
            whole = whole and kept.shape == (stats.count, dim) and bool(np.isfinite(kept).all())
        if not whole or not np.isfinite(folded.mean).all() or not np.isfinite(folded.scatter).all():
            raise UserError(
                "these feature statistics contradict themselves", where=str(path), mend="compute them again"
            )
        return stats


def frechet_distance(a: FeatureStats, b: FeatureStats) -> float:
    """Fréchet distance of two sets of features, at least 0; exact for any counts of 2 or more.

    A set with kept features takes the short path, one with moments only the eigenvalue path; they may
    be mixed. Raises UserError for fewer than 2 images or features of different widths.
    """
    _same_width(a, b)
    return _distance(*_fit(a), *_fit(b))


def moments_distance(a: Moments, b: Moments) -> float:
    """Fréchet distance from moments alone, by the eigenvalue path."""
    return _distance(a.mean, _factor(a), b.mean, _factor(b))


def half_distances(
    a: FeatureStats,
    b: FeatureStats,
    rng: np.random.Generator,
    halves: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Fréchet distances of random halves of `a` (no image twice) from the whole of `b`, (halves,).

    Their standard deviation (ddof=1) estimates that of the whole's distance over other sets of as many images,
    `b` held: a half varies twice as much in variance as the whole, and half of that is seen, since the halves
    share images. It is the spread by subsampling and no interval: fewer images bias the distance upwards, so
    the halves lie above the whole. progress: told of each half (done, total). Raises UserError for fewer than 4
    images in `a`, for features that were not kept or of different widths, and for fewer than 2 halves.
    """
    _same_width(a, b)
    features = a.kept
    if features is None:
        raise UserError(
            f"subsampling needs the features of all {a.count} images, here are only their moments",
            mend="compute the statistics again, with all features kept",
        )
    if len(features) < 4 or halves < 2:
        raise UserError(f"{halves} halves of {len(features)} images are too few", mend="take 2 or more of 4 or more")
    fitted = _fit(b)
    distances = []
    for number in range(halves):
        half = FeatureStats(a.dim)
        half.update(features[rng.permutation(len(features))[: len(features) // 2]])
        distances.append(_distance(*_fit(half), *fitted))
        if progress is not None:
            progress(number + 1, halves)
    return np.array(distances)


def _fit(stats: FeatureStats) -> tuple[Floats, Floats]:
    """Mean (dim,) and a factor of the covariance, by the shortest exact way."""
    features = stats.features
    if features is None:
        moments = stats.moments
        return moments.mean, _factor(moments)
    _at_least_two(len(features))
    mean = features.mean(axis=0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


def _distance(mean_a: Floats, factor_a: Floats, mean_b: Floats, factor_b: Floats) -> float:
    """Fréchet distance from means (dim,) and factors (rank, dim) with factor^T factor = covariance."""
    step = mean_a - mean_b
    singular = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False)
    distance = step @ step + (factor_a**2).sum() + (factor_b**2).sum() - 2 * singular.sum()
    # Equal sets give a rounding error of either sign.
    return max(float(distance), 0.0)


def _factor(moments: Moments) -> Floats:
    """(rank, dim) with factor^T factor = the covariance, by its eigenvalues."""
    values, vectors = np.linalg.eigh(moments.covariance)
    # Eigenvalues below the rounding error of the largest are noise, some of them negative. Their
    # square roots would be large enough to count, so they are zeros.
    real = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return np.sqrt(values[real])[:, None] * vectors[:, real].T


def _at_least_two(count: int) -> None:
    if count < 2:
        raise UserError(f"a Fréchet distance needs at least 2 images on either side, here is {count}")


def _same_width(a: FeatureStats, b: FeatureStats) -> None:
    if a.dim != b.dim:
        raise UserError(
            f"features of width {a.dim} and of width {b.dim} have no distance", mend="use one feature net for both"
        )
