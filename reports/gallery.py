"""A comparison picture as in the papers: a row for each sample, a column for label map, photo and each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from harness.files import atomic_path
from reports.table import clean

Picture = NDArray[np.uint8]

_PAPER, _INK = (255, 255, 255), (28, 30, 33)
_GAP = 6  # pixels between pictures and around the whole
_LARGEST, _SMALLEST = 20, 9  # points of a header
_ELLIPSIS = "…"


def paint(
    label: NDArray[np.integer], palette: Sequence[tuple[int, int, int]], void: tuple[int, int, int] = (0, 0, 0)
) -> Picture:
    """(H, W) class indices -> (H, W, 3) uint8; indices outside of the palette get the colour of void."""
    colours = np.array([*palette, void], dtype=np.uint8)
    known = (label >= 0) & (label < len(palette))
    return colours[np.where(known, label, len(palette)).astype(np.intp)]


def comparison(columns: Sequence[tuple[str, Sequence[Picture]]], scale: int, path: Path) -> None:
    """Write a PNG by rename: equal input gives equal bytes.

    columns: (header, (H, W, 3) uint8 images, one a row), left to right. All images have one size. scale: each
    pixel becomes scale x scale. Raises ValueError where images are missing or differ in size or type.
    """
    height, width = _check(columns, scale)
    cell_w, cell_h = width * scale, height * scale
    headers = [clean(header) for header, _ in columns]
    font = _font(headers, cell_w)
    ascent, descent = _line(font)
    top = _GAP + ascent + descent + _GAP
    rows = len(columns[0][1])
    size = (_GAP + len(columns) * (cell_w + _GAP), top + rows * (cell_h + _GAP))
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, (header, (_, images)) in enumerate(zip(headers, columns, strict=True)):
        x = _GAP + i * (cell_w + _GAP)
        draw.text((x + cell_w // 2, _GAP + ascent), _fit(header, font, cell_w), fill=_INK, font=font, anchor="ms")
        for j, image in enumerate(images):
            big = Image.fromarray(image).resize((cell_w, cell_h), Image.Resampling.NEAREST)
            canvas.paste(big, (x, top + j * (cell_h + _GAP)))
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG")


def _check(columns: Sequence[tuple[str, Sequence[Picture]]], scale: int) -> tuple[int, int]:
    """(height, width) of all images."""
    if scale < 1 or not columns or not columns[0][1]:
        raise ValueError("a comparison needs a scale from 1, a column and a row")
    first = columns[0][1][0]
    for header, images in columns:
        if len(images) != len(columns[0][1]):
            raise ValueError(f"column '{header}' has {len(images)} rows, the first has {len(columns[0][1])}")
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f"column '{header}': images are (H, W, 3) uint8, not {image.shape} {image.dtype}")
            if image.shape != first.shape:
                raise ValueError(f"column '{header}': an image is {image.shape[:2]}, the first {first.shape[:2]}")
    return first.shape[0], first.shape[1]


def _font(headers: Sequence[str], width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest font in which every header fits, or the smallest there is."""
    for size in range(_LARGEST, _SMALLEST, -1):
        font = ImageFont.load_default(size=size)
        if all(font.getlength(header) <= width for header in headers):
            return font
    return ImageFont.load_default(size=_SMALLEST)


def _line(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
    """Ascent and descent in pixels."""
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.getmetrics()
    return int(font.getbbox("A")[3]), 0


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, cut with an ellipsis where even the smallest font leaves it too wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + _ELLIPSIS) > width:
        text = text[:-1]
    return text + _ELLIPSIS
