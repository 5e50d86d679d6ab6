"""The things of toyscapes: trees, houses and boats, each with an instance id of its own."""

from __future__ import annotations

from functools import reduce

import numpy as np

from harness.data.toyscapes_canvas import BOAT, HOUSE, TREE, Canvas
from harness.data.toyscapes_layout import Thing
from harness.data.toyscapes_textures import Array, between, cover, grid_noise, mix, ramp, rgb

INSTANCES = 1000  # the ids of a class's things begin at class * 1000 + 1
_CLASS = {"tree": TREE, "house": HOUSE, "boat": BOAT}
_WALLS = ((0.93, 0.91, 0.86), (0.90, 0.80, 0.58), (0.70, 0.24, 0.19), (0.88, 0.72, 0.36), (0.60, 0.70, 0.78))
_ROOFS = ((0.68, 0.30, 0.20), (0.33, 0.34, 0.40), (0.45, 0.31, 0.24), (0.55, 0.20, 0.18))
_SAILS = ((0.97, 0.96, 0.92), (0.97, 0.96, 0.92), (0.88, 0.28, 0.22), (0.95, 0.72, 0.25))
_HULLS = ((0.92, 0.92, 0.92), (0.55, 0.20, 0.16), (0.16, 0.26, 0.42), (0.48, 0.32, 0.20))


def paint_things(canvas: Canvas, things: list[Thing]) -> None:
    """Shadows on the ground first, then the things, far ones first."""
    for thing in things:
        _shadow(canvas, thing)
    count = {"tree": 0, "house": 0, "boat": 0}
    painters = {"tree": _tree, "house": _house, "boat": _boat}
    for thing in things:
        count[thing.what] += 1
        reach = thing.size * (0.62 if thing.what != "house" else 0.75)
        part = canvas.window(thing.x - reach, thing.x + reach, thing.y - 1.05 * thing.size, thing.y + 0.12 * thing.size)
        if part is not None:
            instance = _CLASS[thing.what] * INSTANCES + count[thing.what]
            # p runs right and q up from the thing's base, in its own size.
            p, q = (part.x - thing.x) / thing.size, (thing.y - part.y) / thing.size
            painters[thing.what](part, thing, np.random.default_rng(thing.seed), p, q, instance)


def _shadow(canvas: Canvas, thing: Thing) -> None:
    if thing.what == "boat":
        return
    style, wide = canvas.style, thing.size * (0.34 if thing.what == "tree" else 0.62)
    middle = thing.x - style.side * wide * 0.55
    part = canvas.window(middle - 1.3 * wide, middle + 1.3 * wide, thing.y - 0.3 * wide, thing.y + 0.3 * wide)
    if part is not None:
        dx, dy = (part.x - middle) / wide, (part.y - thing.y) / (0.2 * wide)
        part.photo *= 1 - (0.2 + 0.25 * min(style.glow, 1)) * ramp(dx * dx + dy * dy, 1.3, 0.4)


def _polygon(p: Array, q: Array, *corners: tuple[float, float]) -> Array:
    """Signed distance to the edge of a convex polygon, corners in the order of the clock (q upwards)."""
    edges = []
    for (p0, q0), (p1, q1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        across, up = p1 - p0, q1 - q0
        length = float(np.sqrt(across * across + up * up))
        edges.append((p - p0) * (up / length) - (q - q0) * (across / length))
    return reduce(np.minimum, edges)


def _box(p: Array, q: Array, left: float, right: float, low: float, high: float) -> Array:
    return np.minimum(np.minimum(p - left, right - p), np.minimum(q - low, high - q))


def _tree(canvas: Canvas, thing: Thing, rng: np.random.Generator, p: Array, q: Array, instance: int) -> None:
    style, size = canvas.style, thing.size
    shape = rng.random(16).astype(np.float32)
    leaf = style.leaves[int(rng.integers(len(style.leaves)))] * between(rng, 0.85, 1.1)
    offset = between(rng, 0, 60)
    rough = grid_noise(canvas.outline, p[0] * 14 + offset, q[:, 0] * 14 + 9)
    bark = rgb(0.36, 0.26, 0.18) * (1.0 + 0.25 * ramp(p * style.side, -0.03, 0.03))
    if thing.sort == "conifer":
        trunk = _box(p, q, -0.03, 0.03, 0, 0.3)
        tiers = q * 4.2 + float(shape[0])
        tier = tiers - np.floor(tiers)
        outline = (1.0 - q) * (0.23 + 0.06 * float(shape[1])) * (1.18 - 0.45 * tier) + 0.012 * rough
        crown = np.minimum(outline - np.abs(p), q - 0.10)
        green = mix(rgb(0.10, 0.30, 0.17), rgb(0.18, 0.36, 0.14), float(shape[2]))
        light = 0.72 + 0.35 * ramp(p * style.side, -0.12, 0.12) + 0.2 * rough - 0.25 * ramp(tier, 0.6, 1.0)
        colour = mix(green * light, rgb(0.90, 0.94, 0.98), style.snow * ramp(tier + 0.4 * rough, 0.55, 0.25) * 0.75)
    elif thing.sort == "palm":
        lean = (float(shape[0]) - 0.5) * 0.3
        trunk = np.minimum(0.028 + 0.012 * (1 - q) - np.abs(p - lean * q * q), np.minimum(q, 0.8 - q))
        ways = np.array([-1.0, 1.0, -0.8, 0.8, -0.45, 0.45], dtype=np.float32)[:, None, None]
        rise = (0.25 + 0.75 * np.abs(shape[:6, None, None] - 0.3)) * np.array(
            [0.2, 0.2, 0.8, 0.8, 1.4, 1.4], dtype=np.float32
        )[:, None, None]
        t = (p - lean * 0.64) / (ways * 0.42)
        line = 0.79 + 0.42 * (rise * t - 0.95 * t * t)
        fronds = np.minimum(0.055 * (1.15 - t) - np.abs(q - line) * 0.8, np.minimum(t + 0.03, 1 - t))
        crown = np.maximum(fronds.max(axis=0), 0.07 - np.sqrt((p - lean * 0.64) ** 2 + (q - 0.79) ** 2))
        colour = rgb(0.22, 0.45, 0.16) * (0.8 + 0.35 * ramp(q, 0.6, 0.95) + 0.25 * rough)
        colour = mix(colour, style.grass, 0.2)
    else:
        trunk = _box(p, q, -0.035, 0.035, 0, 0.45)
        angle = np.arange(6, dtype=np.float32) / 6 + shape[:6] * 0.12
        # Six puffs around a seventh; (turn, reach) by a diamond instead of a circle, which looks the same.
        cx = np.append(0.21 * (4 * np.abs(angle % 1 - 0.5) - 1), 0).astype(np.float32)[:, None, None]
        cy = np.append(0.60 + 0.19 * (4 * np.abs((angle + 0.25) % 1 - 0.5) - 1), 0.62).astype(np.float32)[:, None, None]
        radius = np.append(0.13 + 0.07 * shape[6:12], 0.22).astype(np.float32)[:, None, None]
        dx, dy = (p - cx) / radius, (q - cy) / radius
        crown = ((1 - np.sqrt(dx * dx + dy * dy)) * radius).max(axis=0) + 0.025 * rough
        sx, sy = dx - 0.4 * style.side, dy - 0.45
        light = np.clip(1 - 0.5 * (sx * sx + sy * sy), 0, 1).max(axis=0)
        colour = mix(leaf * rgb(0.42, 0.45, 0.55), leaf * 1.18, light) * (1 + 0.28 * rough)
        colour = mix(colour, rgb(0.92, 0.95, 0.99), style.snow * ramp(light + 0.3 * rough, 0.75, 1.0) * 0.8)
    canvas.paint(trunk * size, canvas.hazed(bark * style.light, thing.near), TREE, instance)
    canvas.paint(crown * size, canvas.hazed(colour * style.light, thing.near), TREE, instance)


def _house(canvas: Canvas, thing: Thing, rng: np.random.Generator, p: Array, q: Array, instance: int) -> None:
    style = canvas.style
    facing = 1.0 if rng.random() < 0.5 else -1.0
    front, wall, peak = between(rng, 0.34, 0.48), between(rng, 0.30, 0.42), between(rng, 0.58, 0.74)
    paint, roof = rgb(*_WALLS[int(rng.integers(5))]), rgb(*_ROOFS[int(rng.integers(4))])
    p = p * facing
    sunny = style.side * facing  # 1: the light comes from the right, on the long side
    gable, long_side = 0.88 - 0.16 * sunny, 0.88 + 0.16 * sunny
    edge, top = -0.5 + front, -0.5 + front / 2

    def put(distance: Array, colour: Array, glowing: float = 0.0) -> None:
        seen = colour * mix(style.light, rgb(1.0, 1.0, 1.0), glowing)
        canvas.paint(distance * thing.size, canvas.hazed(seen, thing.near), HOUSE, instance)

    planks = 1 + 0.06 * grid_noise(canvas.table, p[0] * 4, q[:, 0] * 34)
    tiles = 1 + 0.14 * grid_noise(canvas.table, p[0] * 20, q[:, 0] * 24)
    covered = mix(roof * tiles, rgb(0.92, 0.95, 1.0), 0.85 * style.snow)
    put(_box(p, q, 0.2, 0.3, peak - 0.12, peak + 0.12), rgb(0.50, 0.30, 0.25) * gable)
    put(_box(p, q, edge - 0.01, 0.5, -0.03, wall + 0.01), paint * planks * long_side)
    put(_polygon(p, q, (-0.5, -0.03), (-0.5, wall), (top, peak), (edge, wall), (edge, -0.03)), paint * planks * gable)
    put(
        _polygon(p, q, (top, peak + 0.03), (0.44, peak), (0.55, wall - 0.03), (edge + 0.01, wall - 0.03)),
        covered * long_side,
    )
    put(_polygon(p, q, (-0.56, wall - 0.06), (-0.56, wall), (top, peak + 0.04), (top, peak - 0.03)), covered * 0.75)
    lamp = float(style.dark > 0.3)
    glass = mix(rgb(0.22, 0.28, 0.38), rgb(1.0, 0.84, 0.45), lamp)
    for left in (edge + 0.10, edge + 0.32):
        put(_box(p, q, left - 0.02, left + 0.14, wall * 0.36, wall * 0.86), rgb(0.95, 0.94, 0.90) * long_side)
        put(_box(p, q, left, left + 0.12, wall * 0.42, wall * 0.80), glass, lamp)
    put(_box(p, q, top - 0.06, top + 0.06, -0.03, wall * 0.62), rgb(0.35, 0.22, 0.15))
    put(_box(p, q, top - 0.05, top + 0.05, wall * 0.85, wall * 1.15), glass, lamp)


def _boat(canvas: Canvas, thing: Thing, rng: np.random.Generator, p: Array, q: Array, instance: int) -> None:
    style = canvas.style
    facing = 1.0 if rng.random() < 0.5 else -1.0
    sail, hull = rgb(*_SAILS[int(rng.integers(4))]), rgb(*_HULLS[int(rng.integers(4))])
    p = p * facing
    shine = ramp(np.abs(p), 0.34, 0.1) * cover(np.minimum(-q, q + 0.12), canvas.pixel / thing.size) * 0.4
    canvas.photo += shine * (sail * style.light - canvas.photo)

    def put(distance: Array, colour: Array) -> None:
        canvas.paint(distance * thing.size, canvas.hazed(colour * style.light, 0.3 + 0.7 * thing.near), BOAT, instance)

    belly = 0.85 + 0.25 * ramp(p * style.side * facing, -0.3, 0.3)
    main = _polygon(p, q, (0.0, 0.18), (0.0, 0.98), (0.36, 0.18))
    jib = _polygon(p, q, (-0.34, 0.18), (-0.05, 0.88), (-0.05, 0.18))
    put(_box(p, q, -0.035, 0.01, 0.1, 1.0), rgb(0.35, 0.25, 0.18))
    put(main, sail * belly)
    put(jib, sail * belly * 0.9)
    put(
        _polygon(p, q, (-0.32, -0.02), (-0.46, 0.16), (0.44, 0.16), (0.34, -0.02)),
        hull * (0.8 + 1.6 * np.clip(q, 0, 0.16)),
    )
