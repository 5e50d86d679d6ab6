"""Ablation bars: what is drawn of a cell, and what the legend names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure

from ablations.grid import Grid
from reports.build import build_table
from reports.figures.bars import bar_of, draw_bars
from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE
from reports.table import Interval, Table


@pytest.fixture
def seeds(make: Callable[..., dict[str, Any]], table1: Grid) -> Table:
    """SPADE by three seeds, the other rows as published only, and real photos."""
    records = [make(seed=i) for i in range(3)]
    for i, record in enumerate(records):
        record["scores"]["miou"] = 0.60 + 0.01 * i
    return build_table(replace(table1, seeds=(0, 1, 2)), "cityscapes", [*records, make("photos")])


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_error_bars_are_the_interval_the_spread_or_nothing(seeds: Table) -> None:
    cell, column = seeds.rows[0].cells[0], seeds.columns[0]
    sure = replace(cell, interval=Interval(0.55, 0.62, 0.95, "seeds × images"))
    bar = bar_of(sure, column, "confidence")
    assert (bar.mean, bar.low, bar.high) == pytest.approx((61.0, 55.0, 62.0))
    assert bar.published == 62.3
    spread = bar_of(sure, column, "spread")
    assert (spread.low, spread.high) == pytest.approx((60.0, 62.0))
    assert bar_of(sure, column, "none").low is None
    assert bar_of(cell, column, "confidence").low is None
    assert bar_of(replace(cell, values=(0.6,)), column, "spread").low is None


def test_each_row_has_a_bar_its_figure_and_the_published_one(seeds: Table) -> None:
    rows, ceiling = [row for row in seeds.rows if not row.ceiling], seeds.rows[-1]
    figure = draw_bars(rows, ceiling, [seeds.columns[0], seeds.columns[2]], "spread", ["a note"], WIDTH_PAGE)
    miou, fid = figure.axes
    assert [patch.get_width() for patch in miou.patches] == pytest.approx([61.0])
    assert [text.get_text() for text in miou.texts] == ["61.0"]
    assert [label.get_text() for label in miou.get_yticklabels()] == [row.title for row in rows]
    assert (miou.get_xlabel(), fid.get_xlabel()) == ("mIoU (%) ↑", "FID ↓")
    assert legend(figure) == ["one seed", "standard deviation", "published", "real photos"]
    # The bars start at nothing, and the first row is on top.
    assert miou.get_xlim()[0] == 0
    assert miou.get_ylim()[0] > miou.get_ylim()[1]


def test_the_legend_names_only_what_is_drawn(plain: Table) -> None:
    rows = [row for row in plain.rows if row.cells[0].values and not row.ceiling]
    figure = draw_bars(rows, None, [plain.columns[0]], "none", [], WIDTH_COLUMN)
    assert figure.legends == []
    assert len(figure.axes[0].patches) == 1


def test_a_long_name_is_broken_and_not_cut(seeds: Table) -> None:
    long = replace(seeds.rows[0], title="$a_1$ <script>alert('x')</script> and many words more that go on and on")
    figure = draw_bars([long, seeds.rows[1]], None, [seeds.columns[0]], "none", [], WIDTH_COLUMN)
    figure.draw_without_rendering()
    label = figure.axes[0].get_yticklabels()[0]
    assert "".join(label.get_text().split()) == "".join(long.title.split())
    assert label.get_window_extent().x0 >= 0
    assert figure.axes[0].get_window_extent().width > 0.3 * figure.bbox.width
