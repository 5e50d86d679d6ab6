"""Ablation bars: one a row, its mean over seeds, the seeds themselves, and how sure the mean is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.style import INK, PALETTE, add_notes, house_style, new_figure, wrapped
from reports.table import Cell, Column, Row

Ends = Literal["confidence", "spread", "none"]
ENDS: tuple[Ends, ...] = ("confidence", "spread", "none")
_BAR = 0.62  # of a row's height
_LINE = 0.135  # inches
_ROW = 0.22
_AXIS = 0.5  # below the bars
_LEGEND = 0.17  # a line of it
_SEEDS: dict[str, Any] = {
    "marker": "o",
    "markersize": 2.4,
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "markeredgewidth": 0.6,
}
_PUBLISHED: dict[str, Any] = {
    "marker": "D",
    "markersize": 4.2,
    "markerfacecolor": "none",
    "markeredgecolor": PALETTE[4],
}


@dataclass(frozen=True)
class Bar:
    """A cell in printed units. mean: None where only a published figure is there. low, high: ends of the error bar."""

    mean: float | None
    values: tuple[float, ...]
    low: float | None
    high: float | None
    published: float | None


def bar_of(cell: Cell, column: Column, ends: Ends) -> Bar:
    """What is drawn of a cell. ends: of the error bar: the cell's interval, its spread over seeds, or none."""
    mean = None if cell.mean is None else cell.mean * column.scale
    low = high = None
    if ends == "confidence" and cell.interval is not None:
        low, high = cell.interval.low * column.scale, cell.interval.high * column.scale
    if ends == "spread" and mean is not None and cell.spread is not None:
        low, high = mean - cell.spread * column.scale, mean + cell.spread * column.scale
    published = None if cell.published is None else cell.published.value
    return Bar(mean, tuple(value * column.scale for value in cell.values), low, high, published)


def draw_bars(
    rows: Sequence[Row], ceiling: Row | None, columns: Sequence[Column], ends: Ends, notes: Sequence[str], width: float
) -> Figure:
    """The figure, one panel a column; as high as it must be. rows: at least one, top to bottom."""
    with house_style():
        titles = [wrapped(row.title, 0.36 * width) or [""] for row in rows]
        step = max(_ROW, max(map(len, titles)) * _LINE + 0.03)
        bars = [[bar_of(_cell(row, column), column, ends) for row in rows] for column in columns]
        handles = _handles([bar for each in bars for bar in each], ceiling, ends)
        across = min(len(handles), 2 if width < 5 else 4)
        lines = -(-len(handles) // across) if handles else 0
        figure = new_figure(width, len(rows) * step + _AXIS + lines * _LEGEND + 0.08)
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, column, each in zip(panels, columns, bars, strict=True):
            top = None if ceiling is None else bar_of(_cell(ceiling, column), column, "none").mean
            _panel(axes, each, column, top)
        panels[0].set_yticks(range(len(rows)), ["\n".join(lines) for lines in titles], linespacing=1.05)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        if handles:
            figure.legend(
                handles=handles, loc="outside upper center", ncols=across, columnspacing=1.2, handlelength=1.6
            )
    add_notes(figure, notes)
    return figure


def _cell(row: Row, column: Column) -> Cell:
    return next(cell for cell in row.cells if cell.column == column.key)


def _panel(axes: Axes, bars: Sequence[Bar], column: Column, ceiling: float | None) -> None:
    for y, bar in enumerate(bars):
        if bar.mean is not None:
            axes.barh(y, bar.mean, _BAR, color=PALETTE[3], edgecolor=INK, linewidth=0.6, zorder=2)
            # The figure itself, right of the axes, where it covers nothing.
            text = column.text(bar.mean)
            axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), ha="left", va="center_baseline")
        if bar.mean is not None and bar.low is not None and bar.high is not None:
            sides = [[max(0.0, bar.mean - bar.low)], [max(0.0, bar.high - bar.mean)]]
            axes.errorbar(bar.mean, y, xerr=sides, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2.2, zorder=3)
        if len(bar.values) > 1:
            for i, value in enumerate(sorted(bar.values)):
                # Off the error bar, in turns above and below it.
                axes.plot(value, y + (-0.17 if i % 2 else 0.17), linestyle="none", zorder=4, **_SEEDS)
        if bar.published is not None:
            axes.plot(bar.published, y, linestyle="none", zorder=5, **_PUBLISHED)
    if ceiling is not None:
        axes.axvline(ceiling, color=INK, linewidth=0.9, linestyle=(0, (4, 1.5)), zorder=1.5)
    ends = [end for bar in bars for end in (bar.mean, *bar.values, bar.low, bar.high, bar.published) if end is not None]
    ends += [0.0] if ceiling is None else [0.0, ceiling]
    room = 0.03 * (max(ends) - min(ends)) or 1.0
    axes.set_xlim(min(ends) - (room if min(ends) < 0 else 0.0), max(ends) + room)
    unit = f" ({column.unit})" if column.unit else ""
    axes.set_xlabel(f"{column.name}{unit} {column.arrow}")
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)


def _handles(bars: Sequence[Bar], ceiling: Row | None, ends: Ends) -> list[Line2D]:
    """What the legend names: only what is drawn."""
    handles = []
    if any(len(bar.values) > 1 for bar in bars):
        handles.append(Line2D([], [], linestyle="none", label="one seed", **_SEEDS))
    if any(bar.low is not None for bar in bars):
        name = "confidence interval" if ends == "confidence" else "standard deviation"
        handles.append(Line2D([], [], color=INK, linewidth=0.9, marker="|", markersize=5, label=name))
    if any(bar.published is not None for bar in bars):
        handles.append(Line2D([], [], linestyle="none", label="published", **_PUBLISHED))
    if ceiling is not None:
        handles.append(Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 1.5)), label=ceiling.title))
    return handles
