"""Which classes a method gains or loses: IoU of each class less that of a reference, as a heat map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.errors import UserError
from harness.metrics.confusion import Confusion
from harness.metrics.paired import ClassDifference, compare_methods
from reports.figures.style import (
    FAINT,
    INK,
    SMALL,
    add_notes,
    diverging,
    house_style,
    new_figure,
    shortened,
    text_width,
    wrapped,
)
from reports.table import Column, clean

SORTS = ("frequency", "name", "suite")
ALPHA = 0.05
_POINTS = Column("iou", "IoU", False, unit="points", scale=100.0)
# Inches.
_EDGE, _GAP, _AIR = 0.05, 0.12, 0.05
_ROW, _LINE = 0.19, 0.135
_WIDEST_CELL = 0.7
_LONGEST_NAME = 1.0
_LONGEST_TITLE = 2.2
_DOT = 0.04
_BAR = (0.09, 0.34)  # height of the colour bar, and of its ticks and label
_MANY = 40  # cells from which the scale leaves the largest twentieth out


@dataclass(frozen=True)
class ClassRow:
    """A method less the reference. classes: in the order of the suite. test, unit: what p comes from."""

    title: str
    classes: tuple[ClassDifference, ...]
    test: str
    unit: str


def class_rows(
    rows: Sequence[tuple[str, Sequence[Confusion]]],
    reference: Sequence[Confusion],
    resamples: int,
    tick: Callable[[], None] = lambda: None,
) -> tuple[list[ClassRow], dict[str, float]]:
    """Each row against the reference, and every class's share of the labelled pixels.

    rows: title and the confusions of its seeds. reference: those of its seeds. tick is called after each row.
    Raises UserError for confusions of different images.
    """
    found = []
    for title, confusions in rows:
        compared = compare_methods(confusions, reference, resamples=resamples)
        figure = compared.figures["miou"]
        found.append(ClassRow(title, compared.classes, figure.test, figure.unit))
        tick()
    names = reference[0].classes
    pixels = np.bincount(reference[0].label, weights=reference[0].count, minlength=len(names) + 1)[: len(names)]
    return found, dict(zip(names, (pixels / max(1.0, pixels.sum())).tolist(), strict=True))


def class_order(shares: dict[str, float], sort: str) -> list[str]:
    """Names of the classes by `sort`, one of SORTS."""
    if sort == "frequency":
        return sorted(shares, key=lambda name: (-shares[name], name))
    return sorted(shares) if sort == "name" else list(shares)


def draw_classes(
    rows: Sequence[ClassRow], reference: str, order: Sequence[str], notes: Sequence[str], width: float
) -> Figure:
    """The heat map; as high as it must be. rows: at least one. order: names of the classes.

    Where the classes fit side by side, each is a column. Where they do not, each is a line, in as many blocks
    beside each other as fit. Raises UserError where the rows fit neither way.
    """
    by_name = [{one.name: one for one in row.classes} for row in rows]
    limit, clipped = _limit(by_name)
    label = f"IoU less that of {reference} (points)"
    with house_style():
        lying = _lying(rows, by_name, order, width)
        blocks = _upright(rows, by_name, order, width) if lying is None else [lying]
        height = max(block.head + len(block.cells) * block.size[1] for block in blocks) + _GAP + sum(_BAR) + 2 * _EDGE
        figure = new_figure(width, height)
        figure.set_layout_engine("none")
        for block in blocks:
            wide, high = len(block.cells[0]) * block.size[0], len(block.cells) * block.size[1]
            _draw(_place(figure, (block.left, height - _EDGE - block.head - high, wide, high)), block, limit)
        _colour_bar(figure, limit, clipped, label)
    add_notes(figure, notes)
    return figure


@dataclass(frozen=True)
class _Block:
    """Cells beside and under each other. left, head: inches before the cells. size: (width, height) of a cell.

    above: names of the columns, turned by 90 degrees where so said. beside: names of the lines.
    """

    cells: list[list[ClassDifference]]
    above: list[str]
    beside: list[str]
    left: float
    head: float
    size: tuple[float, float]
    decimals: int
    turned: bool


def _lying(
    rows: Sequence[ClassRow], by_name: Sequence[dict[str, ClassDifference]], order: Sequence[str], width: float
) -> _Block | None:
    """One column a class, or None where they do not fit."""
    label = min(max(text_width(row.title) for row in rows) + _AIR, 0.3 * width)
    left = label + _EDGE + _AIR
    room = width - left - 2 * _EDGE
    decimals = next((n for n in (1, 0) if _least(n) * len(order) <= room), None)
    if decimals is None:
        return None
    titles = [wrapped(row.title, label) or [""] for row in rows]
    high = max(_ROW, max(map(len, titles)) * _LINE + 0.03)
    cell = min(_WIDEST_CELL, room / len(order))
    names = [shortened(clean(name), _LONGEST_NAME) for name in order]
    longest = max(map(text_width, names)) + 0.06
    turned = longest > cell
    return _Block(
        [[of[name] for name in order] for of in by_name],
        names,
        ["\n".join(lines) for lines in titles],
        left,
        longest if turned else 0.16,
        (cell, high),
        decimals,
        turned,
    )


def _upright(
    rows: Sequence[ClassRow], by_name: Sequence[dict[str, ClassDifference]], order: Sequence[str], width: float
) -> list[_Block]:
    """One line a class, in blocks."""
    titles = [shortened(row.title, _LONGEST_TITLE) for row in rows]
    names = {name: shortened(clean(name), _LONGEST_NAME) for name in order}
    label = max(map(text_width, names.values())) + _EDGE + _AIR
    room = width - _EDGE
    counts = {n: int(room / (label + len(rows) * _least(n) + _GAP / 2)) for n in (1, 0)}
    if counts[0] < 1:
        raise UserError(
            f"{len(rows)} rows do not fit into {width:g} inches", where="--width", mend="widen it, or take fewer rows"
        )
    decimals = 1 if counts[1] == counts[0] else 0
    each = -(-len(order) // counts[0])
    parts = [order[i : i + each] for i in range(0, len(order), each)]
    cell = min(0.4, (room / len(parts) - label - _GAP / 2) / len(rows))
    step = label + len(rows) * cell + _GAP / 2
    return [
        _Block(
            [[of[name] for of in by_name] for name in part],
            titles,
            [names[name] for name in part],
            i * step + label,
            max(map(text_width, titles)) + 0.06,
            (cell, _LINE),
            decimals,
            True,
        )
        for i, part in enumerate(parts)
    ]


def _least(decimals: int) -> float:
    """Inches that a cell takes for its number."""
    return text_width("−88.8" if decimals else "−88", SMALL) + 0.05


def _limit(by_name: Sequence[dict[str, ClassDifference]]) -> tuple[float, bool]:
    """Points at the ends of the scale, and whether some cells lie beyond."""
    sizes = [abs(one.difference) * 100 for of in by_name for one in of.values() if one.difference is not None]
    if not sizes or max(sizes) == 0:
        return 1.0, False
    limit = float(np.percentile(sizes, 95)) if len(sizes) >= _MANY else max(sizes)
    limit = limit or max(sizes)
    return limit, limit < max(sizes)


def _place(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes at (left, bottom, width, height) in inches."""
    width, height = figure.get_size_inches()
    left, bottom, wide, high = box
    return figure.add_axes((left / width, bottom / height, wide / width, high / height))


def _draw(axes: Axes, block: _Block, limit: float) -> None:
    colours, norm = diverging(), Normalize(-limit, limit, clip=True)
    numbers = Column("iou", "", False, decimals=block.decimals)
    across, down = (_DOT / side for side in block.size)
    for j, line in enumerate(block.cells):
        for i, one in enumerate(line):
            if one.difference is None:
                axes.add_patch(Rectangle((i, j), 1, 1, facecolor="white", edgecolor=FAINT, hatch="/////", linewidth=0))
                continue
            points = one.difference * 100
            face = colours(norm(points))
            axes.add_patch(Rectangle((i, j), 1, 1, facecolor=face, edgecolor="white", linewidth=0.5))
            ink = "white" if 0.299 * face[0] + 0.587 * face[1] + 0.114 * face[2] < 0.5 else INK
            text = numbers.text(points, signed=True)
            axes.text(i + 0.5, j + 0.52, text, size=SMALL, color=ink, ha="center", va="center")
            if one.p_holm is not None and one.p_holm <= ALPHA:
                axes.plot(i + 1 - across, j + down, "o", color=ink, markersize=2.3, markeredgewidth=0)
    columns, lines = len(block.cells[0]), len(block.cells)
    axes.set_xlim(0, columns)
    axes.set_ylim(lines, 0)
    axes.set_xticks(np.arange(columns) + 0.5, block.above, rotation=90 if block.turned else 0)
    axes.set_yticks(np.arange(lines) + 0.5, block.beside, linespacing=1.05)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colour_bar(figure: Figure, limit: float, clipped: bool, label: str) -> None:
    width, _ = figure.get_size_inches()
    wide = min(2.4, 0.7 * width)
    axes = _place(figure, ((width - wide) / 2, _EDGE + _BAR[1], wide, _BAR[0]))
    colours = ScalarMappable(Normalize(-limit, limit), diverging())
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", extend="both" if clipped else "neither")
    signed = Column("iou", "", False, decimals=0 if limit >= 10 else 1)
    bar.set_ticks([-limit, 0, limit], labels=[signed.text(value, signed=True) for value in (-limit, 0, limit)])
    bar.outline.set_linewidth(0.5)
    axes.tick_params(length=2, pad=1.5)
    axes.set_xlabel(shortened(label, width - 2 * _EDGE), labelpad=1)
