"""`spadebench figure curves`: training losses of a grid's rows, from the logs in the cells' folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.figure import shared as s
from harness.errors import UserError

if TYPE_CHECKING:
    from reports.figures.curves import Curve


def curves(
    grid: s.GridName,
    to: s.To,
    suite: s.SuiteName = None,
    smooth: Annotated[
        int, typer.Option(help="Mean over this many logged points, an odd number; stated below.", min=1)
    ] = 1,
    methods: s.Methods = None,
    seeds: s.Seeds = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    data_root: o.DataRoot = None,
    out: s.Out = s.DEFAULT_OUT,
    protocol: s.Protocol = None,
    formats: s.Formats = s.ALL_FORMATS,
    width: s.Width = "page",
    as_json: s.AsJson = False,
) -> None:
    """Draw the training losses: a panel for each, a line for each row, mean and range over seeds.

    \b
    Example:
      spadebench run table1 --suite toyscapes --methods spade --budget 100it --out demo
      spadebench figure curves table1 --suite toyscapes --methods spade --budget 100it --out demo --to demo/curves
    """
    from harness.progress import say
    from harness.records import Store
    from reports.figures.curves import curves_of, draw_curves, read_log

    if smooth % 2 == 0:
        raise UserError(f"{smooth} points have no middle", where="--smooth", mend="give an odd number")
    s.check_formats(to, formats)
    inches = s.width_of(width)
    asked = s.asked(grid, suite, methods, seeds, overrides, budget, data_root, out, protocol)
    table = asked.table(["parameters"])  # a cost, which no protocol makes: curves show no score
    found: list[tuple[str, dict[str, Curve], list[str]]] = []
    absent: list[str] = []
    without: list[str] = []
    for row, picked in zip(table.rows, asked.picked(), strict=True):
        if row.ceiling:
            continue
        cells = [record["cell"] for record in picked.records if record["cell"]]
        logs = [Store(out).cell_folder(cell) / "log.csv" for cell in cells]
        drawn = curves_of([read_log(path) for path in logs if path.is_file()], smooth) if logs else {}
        if drawn and all(path.is_file() for path in logs):
            found.append((row.title, drawn, cells))
        else:
            (without if logs else absent).append(row.title)
    s.say_absent(asked, absent)
    if without:
        say(f"not drawn, no log.csv of every seed under {out / 'cells'}: {', '.join(without)}")
    if not found:
        raise asked.nothing("no row has the logs of its cells", recorded=bool(without))
    notes = [_note(smooth, len(asked.grid.seeds), asked)]
    figure = draw_curves([(title, drawn) for title, drawn, _ in found], notes, inches)
    data: dict[str, Any] = {
        **s.head("curves", asked),
        "smooth": smooth,
        "rows": [
            {
                "title": title,
                "cells": cells,
                "losses": {
                    name: {
                        "iterations": curve.iterations.tolist(),
                        **{key: _plain(getattr(curve, key).tolist()) for key in ("mean", "low", "high")},
                    }
                    for name, curve in drawn.items()
                },
            }
            for title, drawn, cells in found
        ],
        "notes": notes,
    }
    s.write(figure, to, formats, f"{table.title} on {table.suite}, training losses", as_json, data)


def _plain(values: list[float]) -> list[float | None]:
    """A loss that was no number is null."""
    return [value if abs(value) < float("inf") else None for value in values]


def _note(smooth: int, seeds: int, asked: s.Asked) -> str:
    parts = ["Training losses as logged"]
    parts.append(f"; mean and range over {seeds} seeds" if seeds > 1 else f"; seed {asked.grid.seeds[0]}")
    parts.append(f"; each line a moving mean over {smooth} logged points." if smooth > 1 else "; not smoothed.")
    if asked.grid.set:
        parts.append(" All rows with " + ", ".join(f"{key}={value}" for key, value in asked.grid.set.items()) + ".")
    return "".join(parts)
