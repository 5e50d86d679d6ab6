"""The failures of a method: for some classes the images in which they are read worst, and what the segmenter saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.figures.image_grid import Around, Colour, Panel, Picture, image_grid, paint
from reports.figures.style import house_style

Mask = NDArray[np.bool_]
Segments = NDArray[np.float64]

KEY = (
    "Reading: what the segmenter reads in the output. Outlined: pixels of the class that are read as another; "
    "outlined and hatched: pixels of another class that are read as it."
)
_HATCHES = 28  # lines down an image
_LARGEST = 1.0  # inches of an image: eight rows fit on a page
_UNDER, _OVER = 1.3, 0.6  # points: white under black shows on any colour, and in grey


@dataclass(frozen=True)
class Failure:
    """One image in which a class is read badly.

    label, reading: (H, W) indices of the scored classes at the images' size. photo, output: (H, W, 3) uint8.
    index: the class. beside: the lines beside it, the class's name first.
    """

    label: NDArray[np.integer]
    photo: Picture
    output: Picture
    reading: NDArray[np.integer]
    index: int
    beside: tuple[str, ...]


def failures(
    found: Sequence[Failure],
    palette: Sequence[Colour],
    width: float,
    method: str,
    legend: Sequence[tuple[str, Colour]] = (),
    notes: Sequence[str] = (),
) -> Figure:
    """A row for each failure: label, photo, output, reading; at most `width` inches wide.

    palette: of the scored classes. method: the header of the outputs. Raises ValueError where there is no failure
    or images differ in size.
    """
    rows = [
        [Panel(paint(one.label, palette)), Panel(one.photo), Panel(one.output), Panel(paint(one.reading, palette))]
        for one in found
    ]
    around = Around([one.beside for one in found], legend, [KEY, *notes])
    figure, axes = image_grid(["label map", "photo", method, "reading"], rows, width, around, _LARGEST)
    with house_style():
        for one, row in zip(found, axes, strict=True):
            missed, added = wrong_pixels(one.label, one.reading, one.index, len(palette))
            _mark(row[-1], missed, hatched=False)
            _mark(row[-1], added, hatched=True)
    return figure


def wrong_pixels(
    label: NDArray[np.integer], reading: NDArray[np.integer], index: int, classes: int
) -> tuple[Mask, Mask]:
    """(H, W) masks of pixels of the class that are read as another, and of other labelled pixels read as the class.

    Void pixels are neither: they lie in no class's union.
    """
    labelled = (label >= 0) & (label < classes)
    of_class = label == index
    return of_class & (reading != index), labelled & ~of_class & (reading == index)


def outline(mask: Mask) -> Segments:
    """The edges of a mask (H, W) as segments (N, 2, 2) of (x, y), one for each straight run along rows or columns."""
    whole = np.pad(mask, 1).astype(np.int8)
    across = _runs(whole[1:, 1:-1] - whole[:-1, 1:-1])
    down = _runs((whole[1:-1, 1:] - whole[1:-1, :-1]).T)
    return np.concatenate([across, down[:, :, ::-1]])


def hatching(mask: Mask, step: int) -> Segments:
    """Slanting lines over a mask, one every `step` pixels down, as segments (N, 2, 2) of (x, y), one a pixel."""
    y, x = np.nonzero(mask)
    kept = (x + y) % step == 0
    x, y = x[kept], y[kept]
    ends = np.stack([np.stack([x, y + 1], axis=-1), np.stack([x + 1, y], axis=-1)], axis=1)
    return ends.astype(np.float64).reshape(-1, 2, 2)


def _runs(edges: NDArray[np.int8]) -> Segments:
    """(L+1, N) values, -1 and 1 where an edge of that side runs -> segments of (x, line), x along a line."""
    found = []
    for side in (-1, 1):
        there = np.pad(edges == side, ((0, 0), (1, 1))).astype(np.int8)
        steps = there[:, 1:] - there[:, :-1]
        line, start = np.nonzero(steps == 1)
        _, end = np.nonzero(steps == -1)
        found.append(np.stack([np.stack([start, line], axis=-1), np.stack([end, line], axis=-1)], axis=1))
    return np.concatenate(found).astype(np.float64).reshape(-1, 2, 2)


def _mark(axes: Axes, mask: Mask, hatched: bool) -> None:
    """Draw the outline of a mask over an image, and lines over it where it is hatched."""
    if not mask.any():
        return
    lines = [outline(mask)]
    if hatched:
        lines.append(hatching(mask, max(2, round(mask.shape[0] / _HATCHES))))
    segments = list(np.concatenate(lines))
    for points, colour in ((_UNDER, "white"), (_OVER, "black")):
        axes.add_collection(LineCollection(segments, linewidths=points, colors=colour, capstyle="projecting"))
