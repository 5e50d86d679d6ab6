"""Noise, waves and colours that toyscapes is drawn with.

Only additions, multiplications, divisions, square roots and floors are used: IEEE 754 fixes their
results, so that the same bytes come out on every machine. `numpy.sin` and `exp` give no such promise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
TABLE = 64


def wave(turns: Array) -> Array:
    """A smooth wave like the sine, out of two parabolas; period 1, values -1 .. 1."""
    half = 2 * (turns - np.floor(turns)) - 1
    return 4 * half * (np.abs(half) - 1)


def zigzag(turns: Array) -> Array:
    """A triangle wave, period 1, values -1 .. 1."""
    return 4 * np.abs(turns - np.floor(turns) - 0.5) - 1


def ramp(value: Array, low: Array | float, high: Array | float) -> Array:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the larger of the two."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def cover(distance: Array, pixel: Array | float) -> Array:
    """Share of a pixel that a shape covers, from the signed distance to its edge (positive inside)."""
    return np.clip(distance / pixel + 0.5, 0, 1)


def rgb(*values: float) -> Array:
    """A colour as (3, 1, 1), components nominally 0 .. 1."""
    return np.array(values, dtype=np.float32).reshape(3, 1, 1)


def mix(a: Array, b: Array, share: Array | float) -> Array:
    """From `a` (share 0) to `b` (share 1)."""
    return a + (b - a) * share


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number at random; unlike rng.uniform, its rounding is Python's and so the same everywhere."""
    return low + (high - low) * rng.random()


def noise_table(rng: np.random.Generator) -> Array:
    """(64, 64) values -1 .. 1, the lattice of all noise in one sample."""
    return (rng.random((TABLE, TABLE), dtype=np.float32) * 2 - 1).astype(np.float32)


def _split(t: Array) -> tuple[NDArray[np.intp], Array]:
    whole = np.floor(t)
    part = t - whole
    return whole.astype(np.intp), part * part * (3 - 2 * part)


def grid_noise(table: Array, u: Array, v: Array) -> Array:
    """Value noise on a grid: u (W,) along a row, v (H,) down a column, in lattice steps -> (H, W), -1 .. 1."""
    i, f = _split(v)
    j, g = _split(u)
    rows = mix(table[i % TABLE], table[(i + 1) % TABLE], f[:, None])
    return mix(rows[:, j % TABLE], rows[:, (j + 1) % TABLE], g[None])


def point_noise(table: Array, u: Array, v: Array) -> Array:
    """Value noise at free places: u, v broadcast to (H, W), in lattice steps -> (H, W), -1 .. 1."""
    i, f = _split(v)
    j, g = _split(u)
    flat = table.ravel()
    above, below = i % TABLE * TABLE, (i + 1) % TABLE * TABLE
    left, right = j % TABLE, (j + 1) % TABLE
    top = mix(flat.take(above + left), flat.take(above + right), g)
    bottom = mix(flat.take(below + left), flat.take(below + right), g)
    return mix(top, bottom, f)
