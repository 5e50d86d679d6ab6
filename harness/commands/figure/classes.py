"""`spadebench figure classes`: which classes each row gains and loses against a reference row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import options as o
from harness.commands.figure import shared as s
from harness.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from harness.metrics.confusion import Confusion
    from reports.figures.classes import ClassRow
    from reports.records import Picked
    from reports.table import Row

    Pair = tuple[Row, Picked]


def classes(
    grid: s.GridName,
    to: s.To,
    suite: s.SuiteName = None,
    against: Annotated[
        str | None, typer.Option(help="Row that the others are compared with; default: the last measured one.")
    ] = None,
    sort: Annotated[str, typer.Option(help="Order of the classes: frequency, name or suite.")] = "frequency",
    resamples: Annotated[int, typer.Option(help="Draws of the tests.", min=100)] = 10_000,
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
    """Draw the IoU of each class, rows less a reference row, and mark what the tests call a difference.

    \b
    Example:
      spadebench figure classes table1 --suite toyscapes --against pix2pixhd --to classes
    """
    from harness.progress import bar
    from reports.figures.classes import SORTS, class_order, class_rows, draw_classes

    s.one_of(sort, SORTS, "--sort")
    s.check_formats(to, formats)
    inches = s.width_of(width)
    asked = s.asked(grid, suite, methods, seeds, overrides, budget, data_root, out, protocol)
    if against == "photos":
        asked = replace(asked, grid=replace(asked.grid, ceiling=True))
    table = asked.table(["miou"])
    pairs = list(zip(table.rows, asked.picked(), strict=True))
    base = _reference(pairs, against, asked)
    rows = [pair for pair in pairs if pair is not base and not pair[0].ceiling]
    measured = [(row, picked) for row, picked in rows if picked.records]
    s.say_absent(asked, [row.title for row, picked in rows if not picked.records])
    if not measured:
        raise asked.nothing(f"no row has a record to compare with {base[0].title}")
    with bar("classes") as update:
        done = iter(range(1, len(measured) + 1))
        found, shares = class_rows(
            [(row.title, _confusions(picked, out)) for row, picked in measured],
            _confusions(base[1], out),
            resamples,
            lambda: update(next(done), len(measured), {}),
        )
    order = class_order(shares, sort)
    notes = [*_notes(found, base[0].title, sort), *s.notes_of(table, asked)]
    figure = draw_classes(found, base[0].title, order, notes, inches)
    data = {
        **s.head("classes", asked),
        "reference": base[0].title,
        "order": order,
        "shares": shares,
        "rows": [
            {
                "row": row.key,
                "title": row.title,
                "records": [record["id"] for record in picked.records],
                "test": one.test,
                "unit": one.unit,
                "classes": [each.as_dict() for each in one.classes],
            }
            for (row, picked), one in zip(measured, found, strict=True)
        ],
        **s.tail(table, notes),
    }
    s.write(figure, to, formats, s.about(table), as_json, data)


def _reference(pairs: list[Pair], against: str | None, asked: s.Asked) -> Pair:
    """The row to compare with: by key or title, else the last that has records, real photos left out."""
    if against is None:
        measured = [pair for pair in pairs if pair[1].records and not pair[0].ceiling]
        if not measured:
            raise asked.nothing("no row has a record")
        return measured[-1]
    for row, picked in pairs:
        if against in (row.key, row.title):
            if not picked.records:
                raise asked.nothing(f"{row.title} has no record")
            return next(pair for pair in pairs if pair[0] is row)
    known = [name for row, _ in pairs for name in dict.fromkeys((row.key, row.title))]
    raise UserError(f"no row is called '{against}'", where="--against", mend=did_you_mean(against, known))


def _confusions(picked: Picked, out: Path) -> list[Confusion]:
    """Those of the seeds of a row. Raises UserError where one is missing, or is not that of its record."""
    from harness.records import Store
    from harness.stored_confusion import stored_confusion

    return [stored_confusion(record, Store(out).records_folder) for record in picked.records]


def _notes(found: list[ClassRow], reference: str, sort: str) -> list[str]:
    from reports.figures.classes import ALPHA

    tests = ", ".join(dict.fromkeys(f"{row.test}, unit: {row.unit}" for row in found))
    order = {"frequency": "by their share of the labelled pixels", "name": "by name", "suite": "as the suite has them"}
    lines = [
        f"IoU of each class less that of {reference}, in points, mean over seeds; classes {order[sort]}. "
        f"Dot: p ≤ {ALPHA:g} by Holm over the classes of a row ({tests})."
    ]
    if any(one.difference is None for row in found for one in row.classes):
        lines[0] += " Hatched: classes that are in no image."
    return lines
