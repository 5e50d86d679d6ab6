"""Images side by side under headers, at a whole number of dots a pixel, as figures of papers have them.

All is laid out in dots, so that an image of the figure is the image itself, each pixel repeated: nothing is
smoothed in the PNG, and PDF and SVG hold the same dots.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from harness.errors import UserError
from reports.figures.style import FAINT, INK, SMALL, TEXT, house_style, new_figure, text_width, wrapped
from reports.table import clean

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

FINEST = 300  # dots an inch, at least
LARGEST_CELL = 1.25  # inches of an image: a figure of few columns is narrower than the page
_GAP, _EDGE = 3.0, 3.0  # points between images, and of white around
_BELOW, _BETWEEN = 6.0, 5.0  # points below a row with text, and between headers
_SMALLEST = 0.3  # inches of an image
_BESIDE = 1.05  # inches of the text beside a row
_LEADING = 1.25  # line height in type sizes
_BOLD = 1.15  # how much wider bold type is, at most
_MOST_LINES, _LEAST_HEADER = 5, 5.0  # of a header: lines, and points where columns are many
_ELLIPSIS = "…"
_AFTER = re.compile(r"(?<=[_+/,;:-])(?=[^_+/,;:-])")  # where a word may be broken before it must


@dataclass(frozen=True)
class Panel:
    """One image, (H, W, 3) uint8, and the lines written under it."""

    image: Picture
    under: tuple[str, ...] = ()


@dataclass(frozen=True)
class Around:
    """What stands around the images.

    beside: for each row the lines to its left, the first of them bold; none: no such column. legend: names with
    their colours. notes: in small type at the foot.
    """

    beside: Sequence[tuple[str, ...]] = ()
    legend: Sequence[tuple[str, Colour]] = ()
    notes: Sequence[str] = ()


def paint(label: NDArray[np.integer], palette: Sequence[Colour], void: Colour = (0, 0, 0)) -> Picture:
    """(H, W) class indices -> (H, W, 3) uint8; indices outside of the palette get the colour of void."""
    colours = np.array([*palette, void], dtype=np.uint8)
    known = (label >= 0) & (label < len(palette))
    return colours[np.where(known, label, len(palette)).astype(np.intp)]


def occurring(
    labels: Sequence[NDArray[np.integer]], names: Sequence[str], palette: Sequence[Colour], void: Colour = (0, 0, 0)
) -> list[tuple[str, Colour]]:
    """Names and colours of the classes in label maps as `paint` paints them, in index order, void last."""
    values = np.unique(np.concatenate([np.unique(label) for label in labels]))
    known = (values >= 0) & (values < len(palette))
    found = [(names[int(value)], palette[int(value)]) for value in values[known]]
    return found if known.all() else [*found, ("void", void)]


def image_grid(
    headers: Sequence[str],
    rows: Sequence[Sequence[Panel]],
    width: float,
    around: Around | None = None,
    largest: float = LARGEST_CELL,
) -> tuple[Figure, list[list[Axes]]]:
    """The figure, and for each row the axes of its images, in pixels of the image: x from 0, y from 0 downwards.

    width: inches, not exceeded, and not filled where images would be wider than `largest`. Raises ValueError
    where rows are not as long as the headers, or images differ in size or type, UserError where it is too narrow.
    """
    around = around or Around()
    sheet = _sheet(_size(headers, rows), len(headers), width, bool(around.beside), largest)
    room = (sheet.cell[1] - sheet.dots(_BETWEEN - _GAP)) / sheet.dpi
    head, size = _header_lines([clean(header) for header in headers], room)
    y: float = -sheet.dots(_EDGE) - sheet.line(size) * max(map(len, head))
    for j, lines in enumerate(head):
        sheet.write(lines, sheet.middle(j), y + sheet.line(size) * len(lines), size, "center")
    texts = bool(around.beside) or any(panel.under for row in rows for panel in row)
    for i, row in enumerate(rows):
        bottoms = [sheet.place(panel, j, y) for j, panel in enumerate(row)]
        if around.beside:
            bottoms.append(sheet.write_beside(around.beside[i], y))
        y = min(bottoms) - sheet.dots(_BELOW if texts else _GAP)
    y = sheet.write_legend([(clean(name), colour) for name, colour in around.legend], y)
    inner = (sheet.across - 2 * sheet.dots(_EDGE)) / sheet.dpi
    notes = [line for note in around.notes for line in wrapped(clean(note), inner, SMALL)]
    y = sheet.write(notes, sheet.dots(_EDGE), y, SMALL, colour=FAINT)
    return sheet.drawn(len(rows), len(headers), sheet.dots(_EDGE) - y)


@dataclass
class _Sheet:
    """A page in dots: x from its left edge, y from its top, hence negative. What is put on it is kept until drawn.

    cell: (h, w) of an image on it. first: x of the first column. across: its width.
    """

    dpi: int
    cell: tuple[int, int]
    first: int
    across: int
    texts: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)
    images: list[tuple[int, float, Picture]] = field(default_factory=list)
    patches: list[tuple[float, float, float, Colour]] = field(default_factory=list)

    def dots(self, points: float) -> int:
        return round(points * self.dpi / 72)

    def line(self, size: float) -> int:
        """Height of a line of this type size."""
        return self.dots(size * _LEADING)

    def left(self, column: int) -> int:
        return self.first + column * (self.cell[1] + self.dots(_GAP))

    def middle(self, column: int) -> float:
        return self.left(column) + self.cell[1] / 2

    def write(
        self, lines: Sequence[str], x: float, y: float, size: float, align: str = "left", weight: str = "normal",
        colour: str = INK,
    ) -> float:  # fmt: skip
        """Lines from y downwards; where they end."""
        look = {"size": size, "ha": align, "va": "baseline", "weight": weight, "color": colour}
        for text in lines:
            y -= self.line(size)
            self.texts.append((x, y + self.dots(size * 0.3), text, dict(look)))
        return y

    def place(self, panel: Panel, column: int, y: float) -> float:
        """An image with its top at y, its lines under it; where they end."""
        self.images.append((self.left(column), y, panel.image))
        inches = (self.cell[1] + self.dots(_GAP) / 2) / self.dpi
        lines = [part for text in panel.under for part in _broken(clean(text), inches, SMALL)]
        return self.write(lines, self.middle(column), y - self.cell[0], SMALL, "center")

    def write_beside(self, lines: Sequence[str], y: float) -> float:
        """The text beside a row whose top is at y; where it ends."""
        room = _BESIDE - 0.05
        first = _broken(clean(lines[0]), room / _BOLD, TEXT)
        y = self.write(first, self.dots(_EDGE), y, TEXT, weight="bold")
        return self.write(
            [part for text in lines[1:] for part in _broken(clean(text), room, SMALL)], self.dots(_EDGE), y, SMALL
        )

    def write_legend(self, entries: Sequence[tuple[str, Colour]], y: float) -> float:
        """Patches with names, as many in a line as fit; where they end."""
        side, step = self.dots(SMALL), self.dots(SMALL * 1.7)
        left, right = self.dots(_EDGE), self.across - self.dots(_EDGE)
        x: float = right
        for name, colour in entries:
            room = (right - left) / self.dpi - 2 * SMALL / 72
            (text, *_) = _shortened(_broken(name, room, SMALL), 1, room, SMALL)
            wide = math.ceil(text_width(text, SMALL) * self.dpi) + 1.4 * side
            if x + wide > right:
                x, y = left, y - step
            self.patches.append((x, y, side, colour))
            self.texts.append(
                (x + 1.4 * side, y + self.dots(SMALL * 0.15), text, {"size": SMALL, "va": "baseline", "color": INK})
            )
            x += wide + 1.5 * side
        return y - (self.dots(_GAP) if entries else 0)

    def drawn(self, rows: int, columns: int, tall: float) -> tuple[Figure, list[list[Axes]]]:
        """All of it on a figure of this height."""
        # A hair wider, so that rounding in the way from dots to inches and back loses none.
        figure = new_figure((self.across + 0.01) / self.dpi, (tall + 0.01) / self.dpi)
        figure.set_layout_engine("none")
        figure.set_dpi(self.dpi)
        (height, wide), axes = self.cell, []
        with house_style():
            for x, y, image in self.images:
                one = figure.add_axes(
                    (x / self.across, (tall + y - height) / tall, wide / self.across, height / tall), frameon=False
                )
                pixels = image.repeat(height // image.shape[0], axis=0).repeat(wide // image.shape[1], axis=1)
                h, w = image.shape[:2]
                one.imshow(pixels, interpolation="nearest", aspect="auto", extent=(0, w, h, 0))
                one.set_axis_off()
                axes.append(one)
            for left, low, side, colour in self.patches:
                figure.add_artist(
                    Rectangle(
                        (left / self.across, (tall + low) / tall), side / self.across, side / tall,
                        facecolor=[value / 255 for value in colour], edgecolor=INK, linewidth=0.3,
                    )
                )  # fmt: skip
            for at, base, text, look in self.texts:
                figure.text(at / self.across, (tall + base) / tall, text, **look)
        return figure, [axes[i * columns : (i + 1) * columns] for i in range(rows)]


def _sheet(size: tuple[int, int], columns: int, width: float, beside: bool, largest: float) -> _Sheet:
    """The page: the smallest whole scale that has FINEST dots an inch at the width."""
    height, wide = size
    left = (_BESIDE if beside else 0.0) + _EDGE / 72
    cell = min(largest, (width - left - (_EDGE + _GAP * (columns - 1)) / 72) / columns)
    if cell < _SMALLEST:
        raise UserError(
            f"{columns} columns of images do not fit into {width:g} inches",
            where="--width",
            mend="choose fewer rows by --methods, or more inches",
        )
    scale = max(1, math.ceil(FINEST * cell / wide))
    for dpi in count(math.ceil(scale * wide / cell)):  # the first nearly always fits: gaps are rounded to dots
        sheet = _Sheet(dpi, (scale * height, scale * wide), math.ceil(left * dpi), 0)
        sheet.across = sheet.left(columns - 1) + sheet.cell[1] + sheet.dots(_EDGE)
        if sheet.across + 0.01 <= width * dpi:
            break
    return sheet


def _size(headers: Sequence[str], rows: Sequence[Sequence[Panel]]) -> tuple[int, int]:
    """(height, width) of all images."""
    if not headers or not rows:
        raise ValueError("a grid of images needs a column and a row")
    first = rows[0][0].image
    for i, row in enumerate(rows):
        if len(row) != len(headers):
            raise ValueError(f"row {i} has {len(row)} images for {len(headers)} headers")
        for header, panel in zip(headers, row, strict=True):
            image = panel.image
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f"column '{header}': images are (H, W, 3) uint8, not {image.shape} {image.dtype}")
            if image.shape != first.shape:
                raise ValueError(f"column '{header}': an image is {image.shape[:2]}, the first {first.shape[:2]}")
    return first.shape[0], first.shape[1]


def _header_lines(headers: Sequence[str], room: float) -> tuple[list[list[str]], float]:
    """The headers in lines of at most `room` inches, in the largest type in which no word is broken inside."""
    pieces = {piece for header in headers for word in header.split() for piece in _AFTER.split(word)}
    for size in np.arange(TEXT, _LEAST_HEADER - 0.1, -0.5).tolist():
        if all(text_width(piece, size) <= room for piece in pieces):
            broken = [_broken(header, room, size) for header in headers]
            if max(map(len, broken)) <= _MOST_LINES:
                return broken, size
    size = _LEAST_HEADER
    return [_shortened(_broken(header, room, size), _MOST_LINES, room, size) for header in headers], size


def _broken(text: str, room: float, size: float) -> list[str]:
    """The text in lines of at most `room` inches, broken at spaces, else after a hyphen or its like, else anywhere."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
            continue
        for n, piece in enumerate(_AFTER.split(word)):
            if n and text_width(lines[-1] + piece, size) <= room:
                lines[-1] += piece
            else:
                lines += wrapped(piece, room, size)
    return lines


def _shortened(lines: list[str], most: int, room: float, size: float) -> list[str]:
    """The first `most` lines, an ellipsis at their end where there were more."""
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and text_width(last + _ELLIPSIS, size) > room:
        last = last[:-1]
    return [*lines[: most - 1], last + _ELLIPSIS]
