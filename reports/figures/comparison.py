"""The comparison of a paper's figure: a row for each sample, a column for label map, photo and each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from reports.figures.image_grid import Around, Colour, Panel, Picture, image_grid


@dataclass(frozen=True)
class Column:
    """A column: its header, an image for each sample, and the lines under each (none at all, or one tuple each)."""

    header: str
    images: Sequence[Picture]
    under: Sequence[tuple[str, ...]] = ()


def comparison(
    columns: Sequence[Column], width: float, legend: Sequence[tuple[str, Colour]] = (), notes: Sequence[str] = ()
) -> Figure:
    """The figure, at most `width` inches wide.

    legend: names and colours of the classes of the label maps. All images have one size. Raises ValueError where
    images are missing or differ in size or type.
    """
    counts = {len(column.images) for column in columns} | {len(c.under) for c in columns if c.under}
    if len(counts) != 1:
        raise ValueError("every column needs an image for each sample, and lines for each or for none")
    rows = [
        [Panel(column.images[i], tuple(column.under[i]) if column.under else ()) for column in columns]
        for i in range(counts.pop())
    ]
    figure, _ = image_grid([column.header for column in columns], rows, width, Around((), legend, notes))
    return figure


def score_line(miou: float | None, accuracy: float | None) -> tuple[str, ...]:
    """The line under an image: fractions in percent, a dash for a score that does not exist."""
    values = ["–" if value is None else f"{100 * value:.1f}" for value in (miou, accuracy)]
    return (" / ".join(values),)
