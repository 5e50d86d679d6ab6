"""The global style of a toyscapes photo: time of day and season, which no label map determines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.data.toyscapes_textures import Array, between, mix, rgb


@dataclass(frozen=True)
class Style:
    """How one photo is lit and coloured. Colours are (3, 1, 1), nominally 0 .. 1.

    light: factor on every surface. haze: what far things fade to, by `mist` (0 .. 1). sun_x, sun_y:
    place of the sun (or moon) as shares of width and of the sky's height; side: -1 where the light
    comes from the left, 1 from the right. glow: strength of the sun. clouds: cloudiness 0 .. 1.
    dark: 0 by day, 1 by night. snow: 0 or more; 1 covers the ground. snow_line: where mountains turn
    white, as a share of their height.
    """

    zenith: Array
    horizon: Array
    sun: Array
    light: Array
    haze: Array
    mist: float
    sun_x: float
    sun_y: float
    side: float
    glow: float
    clouds: float
    dark: float
    snow: float
    snow_line: float
    grass: Array
    dry: Array
    leaves: tuple[Array, ...]
    rock: Array
    sea: Array


# fmt: off
# zenith, horizon, sun, light, haze; mist, glow, darkness, how often
_TIMES = {
    "day": ((0.17, 0.41, 0.80), (0.68, 0.85, 0.97), (1.0, 0.97, 0.88), (1.06, 1.03, 0.97), (0.70, 0.81, 0.93),
        0.45, 0.5, 0.0, 5),
    "morning": ((0.45, 0.61, 0.83), (1.0, 0.88, 0.80), (1.0, 0.93, 0.82), (1.0, 0.92, 0.88), (0.93, 0.86, 0.85),
        0.8, 0.7, 0.0, 3),
    "evening": ((0.27, 0.42, 0.72), (1.0, 0.80, 0.50), (1.0, 0.90, 0.62), (1.10, 0.90, 0.66), (0.96, 0.78, 0.58),
        0.5, 1.0, 0.1, 3),
    "sunset": ((0.22, 0.18, 0.44), (1.0, 0.47, 0.28), (1.0, 0.72, 0.40), (0.82, 0.58, 0.56), (0.72, 0.44, 0.46),
        0.55, 1.2, 0.6, 3),
    "night": ((0.04, 0.06, 0.20), (0.19, 0.28, 0.48), (0.90, 0.93, 1.0), (0.45, 0.54, 0.76), (0.19, 0.27, 0.45),
        0.5, 0.35, 1.0, 2),
    "overcast": ((0.55, 0.60, 0.67), (0.82, 0.84, 0.86), (0.95, 0.95, 0.95), (0.82, 0.85, 0.88), (0.76, 0.79, 0.83),
        0.9, 0.0, 0.0, 2),
}
# grass, dry grass, leaves, snow, how often
_SEASONS = {
    "spring": ((0.38, 0.63, 0.22), (0.60, 0.70, 0.28),
        ((0.42, 0.66, 0.24), (0.95, 0.70, 0.78), (0.55, 0.72, 0.28)), 0.0, 3),
    "summer": ((0.27, 0.48, 0.15), (0.50, 0.53, 0.20),
        ((0.20, 0.42, 0.13), (0.27, 0.48, 0.17), (0.35, 0.50, 0.15)), 0.0, 4),
    "autumn": ((0.50, 0.47, 0.19), (0.68, 0.52, 0.24),
        ((0.85, 0.42, 0.09), (0.74, 0.22, 0.10), (0.92, 0.70, 0.16)), 0.0, 3),
    "winter": ((0.87, 0.91, 0.97), (0.74, 0.78, 0.84),
        ((0.46, 0.36, 0.31), (0.80, 0.84, 0.90), (0.38, 0.32, 0.30)), 1.0, 3),
}
# fmt: on


def _pick(rng: np.random.Generator, weights: list[int]) -> int:
    """An index, as often as its weight says."""
    return int(np.searchsorted(np.cumsum(weights), rng.integers(sum(weights)), side="right"))


def draw_style(rng: np.random.Generator) -> Style:
    """A style at random: a time of day leaning towards another, and a season."""
    times = list(_TIMES.values())
    main, other = times[_pick(rng, [t[-1] for t in times])], times[int(rng.integers(len(times)))]
    lean = between(rng, 0, 0.3)
    seasons = list(_SEASONS.values())
    grass, dry, leaves, snow, _ = seasons[_pick(rng, [s[-1] for s in seasons])]

    def colour(place: int) -> Array:
        return mix(rgb(*main[place]), rgb(*other[place]), lean)  # type: ignore[misc]  # rows of colours, numbers

    def number(place: int) -> float:
        return float(main[place] + (other[place] - main[place]) * lean)  # type: ignore[operator]  # as above

    sun_x = between(rng, 0.05, 0.95)
    return Style(
        zenith=colour(0),
        horizon=colour(1),
        sun=colour(2),
        light=colour(3) * between(rng, 0.92, 1.06),
        haze=colour(4),
        mist=number(5) * between(rng, 0.6, 1.15),
        sun_x=sun_x,
        sun_y=between(rng, 0.15, 0.85),
        side=1.0 if sun_x > 0.5 else -1.0,
        glow=number(6) * float(rng.random() < 0.8),
        clouds=between(rng, 0.0, 1.0),
        dark=number(7),
        snow=snow,
        snow_line=between(rng, 0.0, 0.3) if snow else between(rng, 0.3, 0.95),
        grass=rgb(*grass) * between(rng, 0.9, 1.1),
        dry=rgb(*dry),
        leaves=tuple(rgb(*leaf) for leaf in leaves),
        rock=mix(rgb(0.42, 0.40, 0.42), rgb(0.50, 0.38, 0.28), rng.random()),
        sea=mix(rgb(0.05, 0.24, 0.42), rgb(0.05, 0.42, 0.45), rng.random()),
    )
