"""Renders one toyscapes sample: a pure function of (seed, split, index, size, style)."""

from __future__ import annotations

import numpy as np

from harness.data.base import Sample
from harness.data.toyscapes_canvas import Canvas
from harness.data.toyscapes_layout import draw_layout, place_things
from harness.data.toyscapes_stuff import paint_stuff
from harness.data.toyscapes_style import draw_style
from harness.data.toyscapes_textures import noise_table
from harness.data.toyscapes_things import paint_things
from harness.errors import UserError

SPLITS = {"train": 0, "val": 1}
STEP = 32
# Raised whenever any sample's bytes change; part of the fingerprint.
VERSION = 1
_LAYOUT, _STYLE, _TEXTURE, _GRAIN, _OUTLINE = range(5)


def check_size(size: tuple[int, int]) -> None:
    """Raise UserError unless height and width are multiples of 32, 32 or more."""
    if any(side < STEP or side % STEP for side in size):
        raise UserError(
            f"size {size[0]}x{size[1]} (height x width) cannot be rendered",
            where="toyscapes",
            mend=f"height and width must be multiples of {STEP}",
        )


def render(seed: int, split: str, index: int, size: tuple[int, int] = (64, 64), style: int = 0) -> Sample:
    """The sample `index` of a split, at size (height, width).

    Sizes of one shape show one scene. `style` other than 0 photographs the same label map at another
    time of day and season. Label (H, W) uint8, photo (H, W, 3) uint8, instance (H, W) int32: the class
    index for stuff, class * 1000 + 1, 2, … for trees, houses and boats.
    """
    check_size(size)

    def stream(purpose: int, *more: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([seed, SPLITS[split], index, purpose, *more]))
        )

    placing, colouring = stream(_LAYOUT), stream(_TEXTURE, style)
    layout = draw_layout(placing, aspect=size[1] / size[0])
    canvas = Canvas.blank(
        size, layout, draw_style(stream(_STYLE, style)), noise_table(colouring), noise_table(stream(_OUTLINE))
    )
    paint_stuff(canvas, colouring)
    paint_things(canvas, place_things(placing, layout))
    grain = stream(_GRAIN, style).random((2, *size), dtype=np.float32)
    # Two uniform draws make a triangle, near enough to a camera's noise.
    photo = canvas.photo + (grain[0] - grain[1]) * np.float32(0.018)
    bytes_ = (np.clip(photo, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Sample(
        f"{split}_{index:05d}", canvas.label, np.ascontiguousarray(bytes_.transpose(1, 2, 0)), canvas.instance
    )
