"""`spadebench figure bars`: the rows of an ablation as bars with intervals, seeds and the photos' ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.figure import shared as s
from harness.errors import UserError

if TYPE_CHECKING:
    from reports.figures.bars import Ends
    from reports.table import Column, Row


def bars(
    grid: s.GridName,
    to: s.To,
    suite: s.SuiteName = None,
    metrics: Annotated[str, typer.Option(help="Scores, one panel each, such as miou,accuracy,distance.")] = "miou",
    ends: Annotated[str, typer.Option(help="Error bars: confidence, spread (over seeds) or none.")] = "confidence",
    resamples: Annotated[int, typer.Option(help="Draws of the confidence intervals.", min=100)] = 10_000,
    methods: s.Methods = None,
    seeds: s.Seeds = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    data_root: o.DataRoot = None,
    out: s.Out = s.DEFAULT_OUT,
    protocol: s.Protocol = None,
    formats: s.Formats = s.ALL_FORMATS,
    width: s.Width = "column",
    as_json: s.AsJson = False,
) -> None:
    """Draw each row as a bar: mean over seeds, every seed, and an interval; real photos as a line.

    Published figures of the paper, where there are any, are hollow markers.

    \b
    Example:
      spadebench figure bars table4 --suite toyscapes --seeds 3 --to bars
    """
    from reports.figures.bars import ENDS, bar_of, draw_bars

    chosen: Ends = next(each for each in ENDS if each == s.one_of(ends, ENDS, "--ends"))
    s.check_formats(to, formats)
    inches = s.width_of(width)
    keys = [s.score_key(name) for name in o.names(metrics) or ()]
    if not keys:
        raise UserError("no score", where="--metrics", mend="such as miou,distance")
    asked = s.asked(grid, suite, methods, seeds, overrides, budget, data_root, out, protocol)
    table = asked.table(keys)
    columns = s.score_columns(table)
    if chosen == "confidence":
        table = replace(table, rows=tuple(_with_intervals(table.rows, table, asked, resamples)))
    rows = [row for row in table.rows if not row.ceiling and _drawn(row, columns)]
    ceiling = next((row for row in table.rows if row.ceiling and _drawn(row, columns)), None)
    s.say_absent(asked, [row.title for row in table.rows if not row.ceiling and not _measured(row, columns)])
    if not rows:
        raise asked.nothing(f"no record has {' or '.join(column.name for column in columns)}")
    notes = [_ends_note(rows, columns, chosen), *_published_note(rows, columns), *s.notes_of(table, asked)]
    figure = draw_bars(rows, ceiling, columns, chosen, notes, inches)
    data: dict[str, Any] = {
        **s.head("bars", asked),
        "ends": chosen,
        "panels": [
            {
                **s.column_dict(column),
                "bars": [
                    {
                        **s.cell_dict(row, s.cell_of(row, column), column),
                        "low": (bar := bar_of(s.cell_of(row, column), column, chosen)).low,
                        "high": bar.high,
                        "published": bar.published,
                        "ceiling": row.ceiling,
                    }
                    for row in [*rows, *([] if ceiling is None else [ceiling])]
                ],
            }
            for column in columns
        ],
        **s.tail(table, notes),
    }
    s.write(figure, to, formats, s.about(table), as_json, data)


def _with_intervals(rows: Sequence[Row], table: Any, asked: s.Asked, resamples: int) -> list[Row]:
    """The rows with the intervals of their cells. One at a time: intervals need no test between rows."""
    from harness.progress import say
    from reports.significance import with_tests

    found: list[Row] = []
    for row in rows:
        found += with_tests(replace(table, rows=(row,)), asked.out, resamples=resamples, say=say).rows
    return found


def _measured(row: Row, columns: Sequence[Column]) -> bool:
    return any(s.cell_of(row, column).values for column in columns)


def _drawn(row: Row, columns: Sequence[Column]) -> bool:
    """Whether there is anything to draw of a row."""
    published = [s.cell_of(row, column).published for column in columns]
    return _measured(row, columns) or any(figure is not None and figure.value is not None for figure in published)


def _ends_note(rows: Sequence[Row], columns: Sequence[Column], ends: Ends) -> str:
    """What the error bars are, in one line; empty where there are none."""
    cells = [s.cell_of(row, column) for row in rows for column in columns]
    if ends == "spread":
        return "Error bars: sample standard deviation over seeds." if any(cell.spread for cell in cells) else ""
    intervals = [cell.interval for cell in cells if cell.interval is not None] if ends == "confidence" else []
    if not intervals:
        return "No error bars: no score here has an interval." if ends == "confidence" else ""
    of = {
        "images": "over images (of these trained networks, not of other trainings)",
        "seeds × images": "over seeds × images (scores taken as normal over seeds)",
    }
    units = dict.fromkeys(of.get(interval.unit, f"over {interval.unit}") for interval in intervals)
    without = [
        column.name for column in columns if not any(s.cell_of(row, column).interval is not None for row in rows)
    ]
    several = len(columns) > 1
    for row in rows:
        for column in columns:
            cell = s.cell_of(row, column)
            if cell.values and cell.interval is None and column.name not in without:
                without.append(f"{row.title} ({column.name})" if several else row.title)
    none = f" {', '.join(without)}: without interval." if without else ""
    return f"Error bars: {100 * intervals[0].level:g}% confidence intervals {' or '.join(units)}.{none}"


def _published_note(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """Where the published figures come from."""
    figures = [s.cell_of(row, column).published for row in rows for column in columns]
    sources = dict.fromkeys(figure.source for figure in figures if figure is not None and figure.value is not None)
    return [f"Published: {'; '.join(sources)}, by the protocol used there."] if sources else []
