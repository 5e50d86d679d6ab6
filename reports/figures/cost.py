"""Quality against cost: which methods no other beats in both, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.figures.placement import Box, is_beside, place
from reports.figures.style import FAINT, INK, PALETTE, TEXT, add_notes, house_style, new_figure, text_width
from reports.table import Column

_POINTS = 72.0
_LOG_FROM = 5.0  # largest over smallest cost from which the axis is logarithmic
_GAP = 5.0  # points from a marker's middle to its label
_MARKER = 2.6  # points, half of a marker
_CAP = 1.8  # points, half of the line across an error bar's end


@dataclass(frozen=True)
class Point:
    """A method. cost: in printed units, with the ends of its error bar. values: quality of each seed, printed units."""

    title: str
    cost: float
    values: tuple[float, ...]
    cost_range: tuple[float, float] | None = None

    @property
    def quality(self) -> float:
        """Mean over seeds."""
        return math.fsum(self.values) / len(self.values)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over seeds, None with fewer than two."""
        if len(self.values) < 2:
            return None
        mean = self.quality
        return math.sqrt(math.fsum((value - mean) ** 2 for value in self.values) / (len(self.values) - 1))


def pareto_front(points: Sequence[tuple[float, float]], lower_is_better: bool = False) -> list[int]:
    """Indices of the (cost, quality) that no other beats, by cost.

    One beats another where it is no worse in both and better in one; equals do not beat each other.
    Lower cost is better; lower_is_better: whether lower quality figures are, as of a distance.
    """
    sign = -1.0 if lower_is_better else 1.0
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1], i))
    front: list[int] = []
    best = -math.inf
    for i in order:
        cost, quality = points[i][0], sign * points[i][1]
        equal = bool(front) and (cost, quality) == (points[front[-1]][0], best)
        if quality > best or equal:
            front.append(i)
            best = quality
    return front


def draw_cost(
    points: Sequence[Point], quality: Column, against: Column, notes: Sequence[str], width: float, height: float
) -> Figure:
    """The figure; `height` in inches without the notes. points: at least one."""
    front = pareto_front([(point.cost, point.quality) for point in points], quality.lower_is_better)
    figure = new_figure(width, height)
    with house_style():
        axes = figure.subplots()
        _axes(axes, points, quality, against)
        _front(axes, [points[i] for i in front], quality.lower_is_better)
        for i, point in enumerate(points):
            _mark(axes, point, i in front)
        keyed = _label(figure, axes, points, front, quality.lower_is_better)
    add_notes(figure, [*keyed, *notes])
    return figure


def _axes(axes: Axes, points: Sequence[Point], quality: Column, against: Column) -> None:
    unit = f" ({quality.unit})" if quality.unit else ""
    axes.set_ylabel(f"{quality.name}{unit} {quality.arrow}")
    axes.set_xlabel(against.header)
    axes.grid(True, axis="both")
    costs = [end for point in points for end in (point.cost, *(point.cost_range or ()))]
    low, high = min(costs), max(costs)
    if low > 0 and high / low >= _LOG_FROM:
        axes.set_xscale("log")
        low, high = low / (high / low) ** 0.08, high * (high / low) ** 0.08
        axes.xaxis.set_major_locator(FixedLocator(_nice(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(low, high)
    else:
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_xlim(low - room, high + room)
    ends = [point.quality + side * (point.spread or 0) for point in points for side in (-1, 1)]
    room = 0.17 * (max(ends) - min(ends)) or 0.02 * abs(max(ends)) or 1.0
    axes.set_ylim(min(ends) - room, max(ends) + room)
    better = "↙" if quality.lower_is_better else "↖"
    axes.set_title(f"{better} better", loc="left", color=FAINT, pad=3)


def _nice(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2, 5 of each power of ten, or only the ones where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) <= 6:
            return ticks
    return ticks


def _front(axes: Axes, points: Sequence[Point], lower_is_better: bool) -> None:
    """The staircase: at each cost, the best quality that it buys."""
    _, right = axes.get_xlim()
    worst = axes.get_ylim()[1 if lower_is_better else 0]
    x = [points[0].cost, *(point.cost for point in points), right]
    y = [worst, *(point.quality for point in points), points[-1].quality]
    axes.step(x, y, where="post", color=PALETTE[2], linewidth=1.1, linestyle=(0, (4, 1.5)), zorder=2)
    line = Line2D([], [], color=PALETTE[2], linewidth=1.1, linestyle=(0, (4, 1.5)), marker="o", markeredgecolor=INK)
    line.set_markersize(2 * _MARKER)
    axes.legend(
        [line], ["Pareto front"], loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0, borderpad=0.2
    )


def _mark(axes: Axes, point: Point, on_front: bool) -> None:
    spread = point.spread
    across = None
    if point.cost_range is not None:
        across = [[point.cost - point.cost_range[0]], [point.cost_range[1] - point.cost]]
    axes.errorbar(
        point.cost,
        point.quality,
        xerr=across,
        yerr=spread,
        fmt="o" if on_front else "s",
        markersize=2 * _MARKER,
        color=INK,
        markerfacecolor=PALETTE[2] if on_front else "white",
        markeredgewidth=0.8,
        elinewidth=0.8,
        capsize=_CAP,
        zorder=3,
    )


def _label(
    figure: Figure, axes: Axes, points: Sequence[Point], front: Sequence[int], lower_is_better: bool
) -> list[str]:
    """Write each point's title beside it; returns notes that name the points where only numbers have room."""
    figure.draw_without_rendering()
    to_points = _POINTS / figure.dpi
    frame = axes.get_window_extent()
    bounds = Box(*(side * to_points for side in (frame.x0, frame.y0, frame.x1, frame.y1)))
    pixels = axes.transData.transform([(point.cost, point.quality) for point in points]) * to_points
    spots = [(float(x), float(y)) for x, y in pixels]
    taken = [Box(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in spots]
    taken += [box for point in points for box in _bars(axes, point, to_points)]
    soft = _along_front([spots[i] for i in front], bounds, lower_is_better)
    for numbered in (False, True):
        texts = [str(i + 1) if numbered else point.title for i, point in enumerate(points)]
        sizes = [(text_width(text) * _POINTS + 1.0, 1.15 * TEXT) for text in texts]
        boxes = place(spots, sizes, bounds, taken, soft, _GAP)
        if None not in boxes:
            break
    for text, box, spot, point in zip(texts, boxes, spots, points, strict=True):
        # Where not even a number has room it stands on its point.
        x, y = spot if box is None else ((box.left + box.right) / 2, (box.bottom + box.top) / 2)
        line = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0.0, "shrinkB": _MARKER}
        axes.annotate(
            text,
            xy=(point.cost, point.quality),
            xytext=(x - spot[0], y - spot[1]),  # an offset: the notes still move the axes
            textcoords="offset points",
            ha="center",
            va="center",
            arrowprops=line if box is not None and not is_beside(spot, box, _GAP) else None,
        ).set_in_layout(False)
    return ["; ".join(f"{i + 1} {point.title}" for i, point in enumerate(points)) + "."] if numbered else []


def _bars(axes: Axes, point: Point, to_points: float) -> list[Box]:
    """What a point's error bars cover."""
    spread, (low, high) = point.spread or 0.0, point.cost_range or (point.cost, point.cost)
    ends = [
        ((point.cost, point.quality - spread), (point.cost, point.quality + spread)),
        ((low, point.quality), (high, point.quality)),
    ]
    boxes = []
    for pair in ends:
        (left, bottom), (right, top) = axes.transData.transform(pair) * to_points
        boxes.append(Box(left - _CAP, bottom - _CAP, right + _CAP, top + _CAP))
    return boxes


def _along_front(spots: Sequence[tuple[float, float]], bounds: Box, lower_is_better: bool) -> list[Box]:
    """What the front's staircase covers, as drawn by `_front`."""
    worst = bounds.top if lower_is_better else bounds.bottom
    corners = [(spots[0][0], worst)]
    for x, y in spots:
        corners += [(x, corners[-1][1]), (x, y)]
    corners.append((bounds.right, spots[-1][1]))
    return [
        Box(min(x, x1) - 0.5, min(y, y1) - 0.5, max(x, x1) + 0.5, max(y, y1) + 0.5)
        for (x, y), (x1, y1) in pairwise(corners)
    ]
