"""`spadebench figure cost`: quality against parameters, multiply-adds or latency, with the Pareto front."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.figure import shared as s

if TYPE_CHECKING:
    from reports.table import Row

AGAINST = ("parameters", "multiply_adds", "latency")
_HEIGHTS = (2.3, 3.0)  # inches, without the notes: of a column, of a page
_WIDE = 4.5  # inches


@dataclass(frozen=True)
class _Measured:
    """seconds: of each row's runs. size: (h, w) of the image. hardware: where."""

    seconds: list[tuple[float, ...]]
    size: tuple[int, int]
    hardware: dict[str, str | int]

    def note(self, repeats: int) -> str:
        height, width = self.size
        device, threads = self.hardware["device"], self.hardware["threads"]
        several = "thread" if threads == 1 else "threads"
        where = f"{self.hardware['cpu']}, {threads} {several}" if device == "cpu" else str(device)
        return (
            f"Latency: one image of {width}x{height}, batch 1, on {where}; median and quartiles of {repeats} runs, "
            "the methods in turns after a warm-up."
        )


def cost(
    grid: s.GridName,
    to: s.To,
    suite: s.SuiteName = None,
    quality: Annotated[str, typer.Option(help="miou, accuracy, fid, fd_…, or distance: whichever there is.")] = "miou",
    against: Annotated[str, typer.Option(help=f"One of: {', '.join(AGAINST)}.")] = "parameters",
    repeats: Annotated[int, typer.Option(help="Timed runs of each method, for latency.", min=2)] = 10,
    methods: s.Methods = None,
    seeds: s.Seeds = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    data_root: o.DataRoot = None,
    out: s.Out = s.DEFAULT_OUT,
    protocol: s.Protocol = None,
    device: o.Device = None,
    user_code: o.Import = None,
    formats: s.Formats = s.ALL_FORMATS,
    width: s.Width = "column",
    as_json: s.AsJson = False,
) -> None:
    """Draw quality against cost, one point a row, with the Pareto front.

    Latency is measured by this command, on this machine, all rows in turns.

    \b
    Example:
      spadebench figure cost table3 --suite toyscapes --against multiply_adds --to cost
    """
    o.import_user_code(user_code)
    from harness.progress import say
    from reports.columns import metric_of
    from reports.figures.cost import Point, draw_cost, pareto_front
    from reports.table import Column

    s.one_of(against, AGAINST, "--against")
    s.check_formats(to, formats)
    inches = s.width_of(width)
    asked = s.asked(grid, suite, methods, seeds, overrides, budget, data_root, out, protocol)
    timed = against == "latency"
    table = asked.table([s.score_key(quality), *([] if timed else [against])])
    column = s.score_columns(table)[0]
    rows = [row for row in table.rows if not row.ceiling and s.cell_of(row, column).values]
    if not rows:
        raise asked.nothing(f"no record has {column.name}")
    measured = _latency(asked, rows, repeats, device, data_root) if timed else None
    axis = Column("latency", "Latency", True, unit="ms", scale=1e3) if timed else metric_of(against).column
    given = [s.cell_of(row, axis).values for row in rows] if measured is None else measured.seconds
    costs = [tuple(value * axis.scale for value in values) for values in given]
    drawn = [(row, of_row) for row, of_row in zip(rows, costs, strict=True) if of_row]
    there = [row for row, _ in drawn]
    s.say_absent(asked, [row.title for row in table.rows if not row.ceiling and row not in there])
    if not drawn:
        raise asked.nothing(f"no record has {axis.name.lower()}")
    points = [
        Point(
            row.title,
            statistics.median(of_row),
            tuple(value * column.scale for value in s.cell_of(row, column).values),
            _quartiles(of_row) if timed else None,
        )
        for row, of_row in drawn
    ]
    front = pareto_front([(point.cost, point.quality) for point in points], column.lower_is_better)
    notes = [
        f"Pareto front: {', '.join(points[i].title for i in front)}.",
        *([] if measured is None else [measured.note(repeats)]),
        *s.notes_of(table, asked, spread=True),
    ]
    figure = draw_cost(points, column, axis, notes, inches, _HEIGHTS[inches > _WIDE])
    say(notes[0])
    data: dict[str, Any] = {
        **s.head("cost", asked),
        "quality": s.column_dict(column),
        "against": s.column_dict(axis),
        "points": [
            {
                **s.cell_dict(row, s.cell_of(row, column), column),
                "cost": point.cost,
                "cost_range": point.cost_range,
                "pareto": i in front,
            }
            for i, (row, point) in enumerate(zip(there, points, strict=True))
        ],
        "latency": None
        if measured is None
        else {
            "size": measured.size,
            "batch": 1,
            "repeats": repeats,
            "hardware": measured.hardware,
            "seconds": measured.seconds,
        },
        **s.tail(table, notes),
    }
    s.write(figure, to, formats, s.about(table), as_json, data)


def _quartiles(values: tuple[float, ...]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _latency(asked: s.Asked, rows: list[Row], repeats: int, device: str | None, data_root: Path | None) -> _Measured:
    """Time the generators of the rows' first records."""
    from harness.cells import load_suite
    from harness.evaluation.places import Places
    from harness.hardware import describe
    from harness.latency import latencies, rounds
    from harness.launch.cells.beforehand import suite_classes
    from harness.progress import bar
    from harness.training.loop import suite_encoding

    machine = o.device_of(device)
    by_id = {record["id"]: record for record in asked.records}
    configs = [by_id[row.cells[0].records[0]]["config"] for row in rows]
    encoding = suite_encoding(configs[0], suite_classes(load_suite(asked.suite), Places(data_root)))
    with bar("latency") as update:
        done = iter(range(1, rounds(repeats) + 1))
        seconds = latencies(configs, encoding.spec, machine, repeats, lambda: update(next(done), rounds(repeats), {}))
    return _Measured(seconds, encoding.size, describe(machine))
