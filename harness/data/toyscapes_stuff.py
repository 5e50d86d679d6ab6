"""The stuff of toyscapes: sky, mountains and the grounds, each with a texture of class, scale and place."""

from __future__ import annotations

import numpy as np

from harness.data.toyscapes_canvas import GRASS, MOUNTAIN, ROAD, SAND, SKY, WATER, Canvas
from harness.data.toyscapes_textures import Array, cover, grid_noise, mix, point_noise, ramp, rgb


def paint_stuff(canvas: Canvas, rng: np.random.Generator) -> None:
    """Sky and everything without instances, back to front."""
    _sky(canvas)
    for depth, ridge in enumerate(canvas.layout.ridges):
        _mountains(canvas, ridge.profile(canvas.x), 0.55 if depth == 0 and len(canvas.layout.ridges) > 1 else 0.2)
    backdrop = canvas.photo.copy()
    _grass(canvas, rng.random(), rng.random())
    _sand(canvas)
    _water(canvas, backdrop)
    if canvas.layout.road_line is not None:
        _road(canvas, paved=rng.random() < 0.6, lines=rng.random())


def _sky(canvas: Canvas) -> None:
    style, x, y = canvas.style, canvas.x, canvas.y
    up = np.clip(1 - y / canvas.layout.horizon, 0, 1)
    sky = mix(style.horizon, style.zenith, ramp(up, -0.15, 0.95))
    sun_x, sun_y = style.sun_x * canvas.layout.aspect, style.sun_y * canvas.layout.horizon
    dx, dy = x - sun_x, y - sun_y
    squared = dx * dx + dy * dy
    sky = sky + (style.sun - sky) * np.clip(style.glow * 0.012 / (squared + 0.02), 0, 0.9)
    if style.dark > 0.75:
        stars = grid_noise(canvas.table, x[0] * 57, y[:, 0] * 59)
        sky = sky + ramp(stars, 0.84, 0.98) * up * (style.dark - 0.4)
    # Clouds lie flatter towards the horizon, since the layer is seen from the side there.
    flat = 2.2 / (up[:, 0] + 0.25)
    puff = np.zeros_like(sky[0])
    for fold, weight in ((1, 0.55), (2, 0.3), (4, 0.18)):
        puff = puff + weight * grid_noise(canvas.table, x[0] * 3.1 * fold + 7 * fold, flat * 1.6 * fold)
    cloud = ramp(puff, 0.35 - 0.5 * style.clouds, 0.85 - 0.4 * style.clouds) * 0.85
    bright = mix(style.sun, style.horizon, 0.25) * (0.25 + 0.75 * (1 - 0.7 * style.dark)) + 0.04
    under = mix(style.horizon, style.zenith, 0.55) * 0.9 + 0.06
    sky = mix(sky, mix(bright, under, ramp(puff, 0.25, 1.1) * 0.8 + 0.1 * style.dark), cloud)
    if style.glow > 0:
        disc = cover(0.035 - np.sqrt(squared), canvas.pixel)
        sky = sky + (style.sun - sky) * disc * (1 - 0.6 * cloud)
    canvas.paint(np.ones(canvas.label.shape, dtype=np.float32), sky, SKY, SKY)


def _mountains(canvas: Canvas, profile: tuple[Array, Array], haze: float) -> None:
    style, x, y, horizon = canvas.style, canvas.x, canvas.y, canvas.layout.horizon
    height, peak = profile
    over = horizon - y
    rough = grid_noise(canvas.table, x[0] * 16, y[:, 0] * 13 + 5)
    fine = grid_noise(canvas.table, x[0] * 38, y[:, 0] * 31 + 9)
    # Either side of a crest that runs down from the peak is turned to the light or away from it.
    crest = (x - peak + 0.05 * rough + 0.02 * fine) * style.side
    lit = 0.62 + 0.5 * ramp(crest, -0.02, 0.02)
    rock = style.rock * (1 + 0.16 * fine + 0.10 * rough)
    forest = mix(style.leaves[0] * 0.65, style.rock, 0.35)
    low = ramp(over + 0.02 * rough, 0.09, 0.02)
    colour = mix(rock, forest * (1 + 0.25 * fine), low * 0.8)
    tallest = horizon * 0.8
    snow = ramp(over + 0.035 * rough + 0.02 * fine, style.snow_line * tallest, style.snow_line * tallest + 0.03)
    colour = mix(colour, rgb(0.90, 0.94, 1.0), snow * 0.92) * lit * style.light
    far = np.clip(haze + 0.3 * style.mist * ramp(over, 0.15, 0.0), 0, 0.8)
    canvas.paint(np.minimum(height - over, 1.0), mix(colour, style.haze, far), MOUNTAIN, MOUNTAIN)


def _plane(canvas: Canvas) -> tuple[Array, Array, Array]:
    """near (H, 1), and the place on the ground that a pixel shows: across (H, W) and away (H, 1)."""
    near = canvas.layout.near(canvas.y)
    away = 1 / (near + 0.06)
    return near, (canvas.x - 0.5 * canvas.layout.aspect) * away, away


def _grass(canvas: Canvas, furrows: float, flowers: float) -> None:
    style = canvas.style
    near, across, away = _plane(canvas)
    patches = point_noise(canvas.table, across * 1.3, away * 1.7)
    tufts = point_noise(canvas.table, across * 9, away * 14 + 3)
    blades = grid_noise(canvas.table, canvas.x[0] * 45, canvas.y[:, 0] * 30)
    dry = ramp(patches + 0.3 * tufts, -0.1, 0.7)
    colour = mix(style.grass, style.dry, dry * 0.75)
    contrast = 0.35 + 0.65 * near
    shade = 1 + (0.16 * tufts + 0.13 * blades) * contrast * (1 - 0.6 * style.snow)
    if furrows < 0.3 and style.snow == 0:  # a field, in rows that run to the horizon
        rows = point_noise(canvas.table, across * 6, np.zeros_like(away))
        shade = shade + 0.22 * rows * ramp(near, 0.02, 0.2)
    colour = colour * shade * (0.82 + 0.22 * ramp(near, 1.0, 0.0)) * style.light
    if style.snow == 0 and flowers < 0.4:
        bloom = ramp(tufts - 0.5 * patches, 0.55, 0.8) * ramp(near, 0.1, 0.4)
        petal = rgb(0.95, 0.82, 0.25) if flowers < 0.2 else rgb(0.90, 0.85, 0.92)
        colour = mix(colour, petal * style.light, bloom * 0.75)
    ground = canvas.layout.ground(canvas.x, canvas.y)
    crown = 0.85 + 0.15 * ramp(ground, 0.0, 0.05)
    colour = mix(colour, style.haze, 0.45 * style.mist * ramp(ground, 0.12, 0.0))
    canvas.paint(ground, canvas.hazed(colour * crown, near), GRASS, GRASS)


def _sand(canvas: Canvas) -> None:
    style = canvas.style
    distance = canvas.layout.sand(canvas.x, canvas.y)
    if not (distance > -canvas.pixel).any():
        return
    near, across, away = _plane(canvas)
    dunes = point_noise(canvas.table, across * 1.1 + 20, away * 4)
    grain = grid_noise(canvas.table, canvas.x[0] * 50 + 3, canvas.y[:, 0] * 50)
    ripples = point_noise(canvas.table, across * 3 + 5, away * 22 + 2 * dunes)
    shade = 1 + 0.09 * dunes + 0.05 * grain + 0.08 * ripples * ramp(near, 0.0, 0.3)
    wet = ramp(-canvas.layout.water(canvas.x, canvas.y) / (near + 0.1), 0.07, 0.0)
    colour = mix(rgb(0.93, 0.80, 0.56), rgb(0.55, 0.45, 0.33), wet * 0.8)
    colour = mix(colour, rgb(0.9, 0.88, 0.86), 0.15 * style.snow) * shade * style.light
    canvas.paint(distance, canvas.hazed(colour, near), SAND, SAND)


def _water(canvas: Canvas, backdrop: Array) -> None:
    style = canvas.style
    distance = canvas.layout.water(canvas.x, canvas.y)
    if not (distance > -canvas.pixel).any():
        return
    near, across, away = _plane(canvas)
    swell = point_noise(canvas.table, across * 0.7 + 11, away * 9)
    ripple = point_noise(canvas.table, across * 2.1 + 31, away * 26)
    waves = 0.6 * swell + 0.4 * ripple
    # What stands on the horizon is seen again below it, shaken by the waves.
    height = canvas.label.shape[0]
    mirror = np.clip(2 * canvas.layout.horizon - canvas.y + 0.035 * waves, 0.0, canvas.layout.horizon)
    rows = np.clip((mirror / canvas.pixel).astype(np.intp), 0, height - 1)
    reflected = backdrop[:, rows, np.arange(canvas.label.shape[1])[None]]
    deep = mix(style.sea, style.zenith, 0.25) * (0.25 + 0.75 * style.light)
    shallow = ramp(distance / (near + 0.1), 0.12, 0.0)
    body = mix(deep, rgb(0.30, 0.60, 0.58) * style.light, shallow * 0.45)
    colour = mix(body, reflected * 0.95, 0.62 - 0.3 * near)
    colour = colour * (1 + 0.17 * waves) + 0.05 * ramp(ripple, 0.35, 0.8) * style.light
    column = np.abs(canvas.x - style.sun_x * canvas.layout.aspect)
    path = ramp(column, 0.05 + 0.16 * near, 0.0) * ramp(waves, -0.1, 0.5) * min(style.glow, 1.0) * 0.8
    colour = mix(colour, style.sun, path * (1 - 0.5 * style.clouds))
    foam = ramp(distance / (near + 0.08) + 0.02 * ripple, 0.035, 0.012) * float(canvas.layout.kind == "sea")
    colour = mix(colour, rgb(0.95, 0.97, 0.98) * (0.2 + 0.8 * style.light), foam * 0.8)
    canvas.paint(distance, canvas.hazed(colour, 0.5 + 0.5 * near), WATER, WATER)


def _road(canvas: Canvas, paved: bool, lines: float) -> None:
    style, layout = canvas.style, canvas.layout
    distance = layout.road(canvas.x, canvas.y)
    near, across, away = _plane(canvas)
    grain = grid_noise(canvas.table, canvas.x[0] * 55 + 9, canvas.y[:, 0] * 40)
    patches = point_noise(canvas.table, across * 4 + 40, away * 6)
    surface = rgb(0.34, 0.34, 0.37) if paved else rgb(0.50, 0.36, 0.25)
    colour = surface * (1 + (0.10 if paved else 0.16) * patches + 0.07 * grain)
    assert layout.road_line is not None
    half = layout.road_line[3] * near + 0.003
    side = layout.road_side(canvas.x, canvas.y) / half
    if paved:
        paint = rgb(0.95, 0.93, 0.88) if lines < 0.6 else rgb(0.95, 0.78, 0.25)
        dash = ramp(np.abs((away * 1.4) % 1 - 0.5), 0.27, 0.23)
        # A line thinner than a pixel fades instead of flickering.
        width = canvas.pixel / half
        middle = cover(0.055 - np.abs(side), width) * dash
        edges = cover(0.05 - np.abs(np.abs(side) - 0.86), width)
        colour = mix(colour, paint, np.clip(middle + edges * 0.8, 0, 1) * 0.9)
    else:
        ruts = ramp(np.abs(np.abs(side) - 0.5), 0.22, 0.08)
        colour = colour * (1 - 0.18 * ruts)
        colour = mix(colour, style.grass * 0.8, ramp(np.abs(side), 0.14, 0.0) * 0.4)
    slush = ramp(np.abs(side) + 0.25 * patches, 0.75, 1.05) * style.snow
    colour = mix(colour, rgb(0.85, 0.88, 0.93), slush * 0.7) * style.light
    canvas.paint(distance, canvas.hazed(colour, near), ROAD, ROAD)
