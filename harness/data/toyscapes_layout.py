"""Where things are in a toyscapes scene: all that the label map shows, and nothing of its colours.

Lengths are in image heights: y runs 0 .. 1 downwards, x runs 0 .. aspect. A scene knows nothing of
pixels, so that it is the same scene at every size. `near` is 0 at the horizon and 1 at the lower
edge; the size of a thing follows it, as perspective has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.data.toyscapes_textures import Array, between, wave, zigzag

Kind = Literal["sea", "lake", "river", "land"]
_KINDS: tuple[Kind, ...] = ("sea",) * 6 + ("lake",) * 6 + ("river",) * 4 + ("land",) * 4
_CANDIDATES = 40


@dataclass(frozen=True)
class Thing:
    """A tree, house or boat: x and y of its base, its size (height; of a house, width), its sort and a seed."""

    what: Literal["tree", "house", "boat"]
    x: float
    y: float
    near: float
    size: float
    sort: str
    seed: int


@dataclass(frozen=True)
class Ridge:
    """A mountain range: peaks (x, height over the horizon, slope) and the phases of its jags."""

    peaks: tuple[tuple[float, float, float], ...]
    jag: tuple[float, float]

    def profile(self, x: Array) -> tuple[Array, Array]:
        """Height over the horizon at x (any shape), and the x of the peak that rules there."""
        place = np.array([p[0] for p in self.peaks], dtype=np.float32)
        heights = np.stack([h - slope * np.abs(x - p) for p, h, slope in self.peaks])
        rough = 0.022 * zigzag(x * 5.3 + self.jag[0]) + 0.012 * zigzag(x * 13.7 + self.jag[1])
        return heights.max(axis=0) + rough, place[heights.argmax(axis=0)]


@dataclass(frozen=True)
class Layout:
    """One scene. The methods give signed distances in image heights, positive inside, for x and y that broadcast."""

    aspect: float
    horizon: float
    kind: Kind
    ridges: tuple[Ridge, ...]
    hills: float
    phases: tuple[float, ...]
    shore: tuple[float, ...]
    beach: float
    road_line: tuple[float, float, float, float] | None

    def near(self, y: Array) -> Array:
        """0 at the horizon (and above), 1 at the lower edge."""
        return np.clip((y - self.horizon) / (1 - self.horizon), 0, 1)

    def wiggle(self, t: Array, first: int) -> Array:
        """A smooth line without order, -1 .. 1."""
        p = self.phases
        return (
            0.55 * wave(t * 0.9 + p[first]) + 0.3 * wave(t * 2.1 + p[first + 1]) + 0.15 * wave(t * 4.7 + p[first + 2])
        )

    def ground(self, x: Array, y: Array) -> Array:
        """The ground with its hills; what is not ground is mountain or sky."""
        return y - (self.horizon - self.hills * (0.55 + 0.45 * self.wiggle(x, 0)))

    def water(self, x: Array, y: Array) -> Array:
        below = y - self.horizon
        if self.kind == "sea":
            return np.minimum(self._coast(x) - y, below)
        if self.kind == "lake":
            return np.minimum(self._pond(x, y) * self.shore[3], below)
        if self.kind == "river":
            near = self.near(y)
            return np.minimum(self.shore[2] * (near + 0.04) - np.abs(x - self._bed(near)), below)
        return np.full(np.broadcast_shapes(np.shape(x), np.shape(y)), -1.0, dtype=np.float32)

    def sand(self, x: Array, y: Array) -> Array:
        """Beach, bank or bare patch; where there is water, sand runs on below it."""
        below = y - self.horizon
        if self.kind == "sea":
            coast = self._coast(x)
            return np.minimum(coast + self.beach * (0.15 + self.near(coast)) * (1 + 0.4 * self.wiggle(x, 3)) - y, below)
        if self.kind == "river":
            near = self.near(y)
            bank = self.beach * near * (1 + 0.6 * self.wiggle(y * 2, 3))
            return np.minimum(self.shore[2] * (near + 0.04) + bank - np.abs(x - self._bed(near)), below)
        return np.minimum((self._pond(x, y) + self.beach) * self.shore[3], below)

    def road(self, x: Array, y: Array) -> Array:
        if self.road_line is None:
            return np.full(np.broadcast_shapes(np.shape(x), np.shape(y)), -1.0, dtype=np.float32)
        line = np.minimum(self.road_line[3] * self.near(y) + 0.003 - np.abs(self.road_side(x, y)), y - self.horizon)
        # A road ends where the sea begins; it crosses a river, and runs along a lake on a dam.
        return np.minimum(line, -self.water(x, y)) if self.kind == "sea" else line

    def road_side(self, x: Array, y: Array) -> Array:
        """Distance from the middle of the road, negative on its left."""
        assert self.road_line is not None
        far, here, bend, _ = self.road_line
        near = self.near(y)
        return x - (far + (here - far) * near + bend * near * (1 - near))

    def _coast(self, x: Array) -> Array:
        start, slope, rough = self.shore[:3]
        line = start + slope * (x / self.aspect - 0.5) + rough * self.wiggle(x, 6)
        return self.horizon + (1 - self.horizon) * line

    def _pond(self, x: Array, y: Array) -> Array:
        cx, cy, rx, ry = self.shore
        dx, dy = (x - cx) / rx, (y - cy) / ry
        return 1 - np.sqrt(dx * dx + dy * dy) + 0.14 * (self.wiggle(x * 1.6, 6) + self.wiggle(y * 3, 3))

    def _bed(self, near: Array) -> Array:
        far, here = self.shore[:2]
        return far + (here - far) * near + self.shore[3] * near * wave(1.1 / (near + 0.45) + self.phases[6])


def draw_layout(rng: np.random.Generator, aspect: float) -> Layout:
    """A scene at random. The draws are the same in number and order whatever their outcome is used for."""
    horizon, kind = between(rng, 0.34, 0.55), _KINDS[int(rng.integers(len(_KINDS)))]
    ground = 1 - horizon
    ridges = []
    for tall, count in ((0.75, int(rng.integers(2, 5))), (1.0, int(rng.integers(2, 5)))):
        peaks = tuple(
            (
                aspect * (k + between(rng, 0, 1)) / count,
                tall * between(rng, 0.25, 0.8) * horizon,
                between(rng, 0.45, 1.1),
            )
            for k in range(count)
        )
        ridges.append(Ridge(peaks, (rng.random(), rng.random())))
    mountains = (ridges, ridges[:1], ridges[1:], [])[int(np.searchsorted((0.4, 0.65, 0.85), rng.random()))]
    hills = between(rng, 0.02, 0.10) * float(rng.random() < 0.5 and kind != "sea")
    u = [rng.random() for _ in range(5)]
    shore: tuple[float, ...]
    if kind == "sea":
        shore = (0.3 + 0.4 * u[0], 1.1 * (u[1] - 0.5), 0.05 + 0.1 * u[2], 0.0)
        beach = 0.06 + 0.22 * u[4]
    elif kind == "river":
        shore = (aspect * (0.2 + 0.6 * u[0]), aspect * (0.1 + 0.8 * u[1]), 0.10 + 0.14 * u[2], 0.1 + 0.3 * u[3])
        beach = 0.02 + 0.14 * u[4]
    else:
        across = 0.22 + 0.22 * u[2]
        tall = min(across * (0.3 + 0.25 * u[3]), 0.36 * ground)
        shore = (aspect * (0.15 + 0.7 * u[0]), horizon + 0.03 + 1.2 * tall + u[1] * 0.4 * ground, across, tall)
        beach = 0.05 + 0.3 * u[4] if kind == "lake" else -0.1 - 2.0 * float(u[4] < 0.4)
    line = (
        aspect * between(rng, 0.2, 0.8),
        aspect * between(rng, 0.1, 0.9),
        between(rng, -0.5, 0.5),
        between(rng, 0.06, 0.15),
    )
    has_road = rng.random() < (0.5 if kind == "sea" else 0.75)
    phases = tuple(between(rng, 0, 1) for _ in range(9))
    return Layout(aspect, horizon, kind, tuple(mountains), hills, phases, shore, beach, line if has_road else None)


def place_things(rng: np.random.Generator, layout: Layout) -> list[Thing]:
    """Trees, houses and boats, far ones first. They stand where the ground lets them."""
    many = max(1.0, layout.aspect)
    trees = int(rng.integers(2, 12) * many)
    houses = int((0, 0, 1, 1, 2, 2, 3, 4)[int(rng.integers(8))] * many)
    boats = int((0, 1, 1, 1, 2, 2, 3)[int(rng.integers(7))] * many)
    conifers, grove = rng.random(), layout.aspect * rng.random()
    tries = int(_CANDIDATES * many)
    u, v, size, which, close = rng.random((5, tries), dtype=np.float32)
    seeds = rng.integers(2**32, size=tries)
    near = 0.10 + 0.82 * v * v
    # Half of the trees draw together into a grove, where the ground lets them.
    x, y = layout.aspect * u, layout.horizon + (1 - layout.horizon) * near
    moved = np.where(close < 0.5, grove + (x - grove) * np.float32(0.3), x)
    places = np.stack([x, moved]), y
    water, road, sand = layout.water(*places), layout.road(*places), layout.sand(*places)
    moved = np.where(np.maximum(np.maximum(water, road), sand)[1] < -0.02, moved, x)
    tree_sand = np.where(moved == x, sand[0], -1.0)
    placed: list[Thing] = []
    for k in range(tries):
        depth, scale = float(near[k]), 0.75 + 0.5 * float(size[k])
        left, base, wet, paved, dry = (float(t) for t in (x[k], y[k], water[0, k], road[0, k], sand[0, k]))
        if boats and wet > 0.02 + 0.05 * depth and paved < -0.05 - 0.1 * depth:
            tall = min((0.11 + 0.36 * depth) * scale, 0.08 + 2.5 * wet)
            placed.append(Thing("boat", left, base, depth, tall, "sail", int(seeds[k])))
            boats -= 1
        elif houses and depth < 0.75 and max(wet, paved, dry) < -0.01 - 0.15 * depth:
            wide = (0.10 + 0.34 * depth) * scale
            if all(abs(left - o.x) > 0.6 * (wide + o.size) for o in placed if o.what == "house"):
                placed.append(Thing("house", left, base, depth, wide, "house", int(seeds[k])))
                houses -= 1
        elif trees and max(wet, paved) < -0.015 - 0.04 * depth:
            sort = "palm" if tree_sand[k] > 0 else "conifer" if which[k] < conifers else "broadleaf"
            tall = (0.10 + (0.42 if sort != "broadleaf" else 0.36) * depth) * scale
            placed.append(Thing("tree", float(moved[k]), base, depth, tall, sort, int(seeds[k])))
            trees -= 1
    return sorted(placed, key=lambda t: (t.near, t.x))
