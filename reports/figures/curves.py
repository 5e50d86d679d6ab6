"""Training curves from the logs of cells: a panel for each loss, a line for each row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from harness.errors import UserError
from reports.figures.style import add_notes, house_style, new_figure, series, shortened, text_width

_NO_LOSS = ("iteration", "rate_factor")
_PANEL = (1.6, 1.25)  # inches: least width, height
_MARKS = 5  # markers along a line
_LEGEND = 0.17  # inches, a line of it

Floats = NDArray[np.float64]
Log = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Curve:
    """A loss of a row: iterations (n,), and mean, least and largest over seeds (n,)."""

    iterations: NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats


def read_log(path: Path) -> Log:
    """Every loss of a cell's log.csv by iteration. Raises UserError for a file that is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        names = [name for name in (lines[0] if lines else {}) if name not in _NO_LOSS]
        # A line that is being written, or was when the machine stopped, has too few columns.
        whole = [line for line in lines if None not in line.values()]
        return {name: {int(line["iteration"]): float(line[name]) for line in whole} for name in names}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"cannot read this log: {error}", where=str(path), mend="leave this row out") from error


def curves_of(logs: Sequence[Log], smooth: int = 1) -> dict[str, Curve]:
    """The curves of a row by loss, from the logs of its seeds, at the iterations that all of them have.

    smooth: each seed's values are means over this many logged points around each (fewer at the ends); odd.
    """
    found = {}
    for name in dict.fromkeys(name for log in logs for name in log):
        shared = sorted(set.intersection(*(set(log.get(name, {})) for log in logs)))
        if not shared:
            continue
        values = np.array([_smoothed(np.array([log[name][i] for i in shared]), smooth) for log in logs])
        found[name] = Curve(np.array(shared), values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    return found


def _smoothed(values: Floats, window: int) -> Floats:
    if window <= 1:
        return values
    half = window // 2
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def draw_curves(rows: Sequence[tuple[str, dict[str, Curve]]], notes: Sequence[str], width: float) -> Figure:
    """The figure. rows: title and curves; at least one curve in all."""
    losses = list(dict.fromkeys(name for _, curves in rows for name in curves))
    across = max(1, min(len(losses), int(width / _PANEL[0])))
    down = -(-len(losses) // across)
    across = -(-len(losses) // down)
    with house_style():
        titles = [shortened(title, width - 0.6) for title, _ in rows]
        entry = max(map(text_width, titles)) + 0.5
        in_line = max(1, min(len(rows), int(width / entry)))
        figure = new_figure(width, down * _PANEL[1] + 0.3 + -(-len(rows) // in_line) * _LEGEND)
        panels = figure.subplots(down, across, squeeze=False, sharex=True).ravel()
        for axes, name in zip(panels, losses, strict=False):
            _panel(axes, name, [curves.get(name) for _, curves in rows])
        for axes in panels[len(losses) :]:
            axes.set_visible(False)
        # The lowest panel of each column has the axis, also above an empty place.
        for axes in panels[max(0, len(losses) - across) : len(losses)]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("iteration", labelpad=1)
        handles = [_line(i, title) for i, title in enumerate(titles)]
        figure.legend(handles=handles, loc="outside upper center", ncols=in_line, columnspacing=1.2)
    add_notes(figure, notes)
    return figure


def _line(index: int, title: str) -> Line2D:
    look = series(index)
    return Line2D([], [], color=look.colour, linestyle=look.dash, marker=look.marker, markersize=3, label=title)


def _panel(axes: Axes, name: str, curves: Sequence[Curve | None]) -> None:
    for i, curve in enumerate(curves):
        if curve is None:
            continue
        look, count = series(i), len(curve.iterations)
        if np.any(curve.high > curve.low):
            axes.fill_between(curve.iterations, curve.low, curve.high, color=look.colour, alpha=0.12, linewidth=0)
        # Markers stand at other places in each line, so that lines on each other can be told apart.
        step = max(1, count // _MARKS)
        axes.plot(
            curve.iterations,
            curve.mean,
            color=look.colour,
            linestyle=look.dash,
            marker=look.marker,
            markersize=3,
            markevery=(i % step, step),
            linewidth=0.9,
        )
    axes.set_title(name.replace("_", " "), pad=2)
    axes.grid(True, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
