"""Rows of other papers: published figures beside the grid's own rows, never in their place."""

from __future__ import annotations

from collections.abc import Sequence

from reports.columns import metric_of
from reports.published import Published, find
from reports.table import Cell, Column, Row, clean


def other_rows(figures: Sequence[Published], columns: Sequence[Column], beside: Sequence[Row]) -> list[Row]:
    """A row for each method of each paper, in the order of the figures, which are of one suite.

    beside: the rows that they join. A title that one of these has, or another paper's row, is followed by
    the paper, so that no row takes another's place.
    """
    grouped: dict[tuple[str, str, str], list[Published]] = {}
    for figure in figures:
        grouped.setdefault((figure.paper, figure.method, figure.title), []).append(figure)
    titles = [clean(row.title) for row in beside] + [clean(title) for _, _, title in grouped]
    keys = [row.key for row in beside] + [method for _, method, _ in grouped]
    rows = []
    for (paper, method, title), own in grouped.items():
        shown = clean(title)
        if not any(column.key == figure.metric for column in columns for figure in own):
            continue
        rows.append(
            Row(
                key=clean(method if keys.count(method) == 1 else f"{method} ({paper})"),
                title=shown if titles.count(shown) == 1 else clean(f"{title} ({paper})"),
                cells=tuple(_cell(column, find(own, method, column.key)) for column in columns),
                notes=(clean(f"published in {'; '.join(dict.fromkeys(figure.source for figure in own))}"),),
                published=True,
            )
        )
    return rows


def footnotes(figures: Sequence[Published]) -> list[str]:
    """What a cell says of its published figures, the first of which it shows."""
    # A single figure need not be repeated, so that cells of one note share it.
    notes = [clean(f"{f.source}: {f'{f.text}; ' if len(figures) > 1 else ''}{f.note}") for f in figures if f.note]
    return notes + ["published figure unverified: from memory alone" for f in figures[:1] if f.status == "unverified"]


def without_column(figures: Sequence[Published], columns: Sequence[Column]) -> list[str]:
    """A note on figures of other papers that no column of the table shows; none where all are shown."""
    shown = {column.key for column in columns}
    names = dict.fromkeys(metric_of(figure.metric).column.name for figure in figures if figure.metric not in shown)
    return [clean(f"Other papers' figures without a column here: {', '.join(names)}.")] if names else []


def _cell(column: Column, figures: Sequence[Published]) -> Cell:
    more = [clean(f"also {f.text} ({f.source})") for f in figures[1:] if not f.note]
    published = figures[0] if figures else None
    notes = (*footnotes(figures), *more)
    return Cell(column.key, column.lower_is_better, published=published, notes=notes)
