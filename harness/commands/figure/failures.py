"""`spadebench figure failures`: the images in which a class is read worst, with what the segmenter reads in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import options as o
from harness.commands.figure import shared as s
from harness.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from ablations.grid import GridRow
    from harness.metrics.confusion import Confusion


@dataclass(frozen=True)
class Worst:
    """An image in which a class is read badly. iou: of the class in the image. share: the class's part of it."""

    index: int
    name: str
    iou: float
    share: float


def failures(
    grid: s.GridName,
    method: Annotated[str, typer.Option("--method", help="Row of the grid, by its label, method or title.")],
    to: s.To,
    suite: s.SuiteName = None,
    classes: Annotated[
        str, typer.Option(help="Classes, comma-separated, or how many: those with the lowest IoU.")
    ] = "4",
    worst: Annotated[int, typer.Option(help="Images of each class.", min=1)] = 2,
    share: Annotated[
        float, typer.Option(help="Only images with at least this share of the class.", min=0.0, max=1.0)
    ] = 0.01,
    legend: Annotated[bool, typer.Option("--legend/--no-legend", help="Colours of the classes that occur.")] = True,
    seed: Annotated[int | None, typer.Option(help="Seed of the network; default: the grid's first.", min=0)] = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    out: o.Out = s.DEFAULT_OUT,
    protocol: s.Protocol = None,
    segmenter: Annotated[
        str | None, typer.Option(help="The segmenter of the scores, where it is none that is registered by name.")
    ] = None,
    width: s.Width = "page",
    formats: s.Formats = s.ALL_FORMATS,
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    user_code: o.Import = None,
    as_json: s.AsJson = False,
) -> None:
    """Draw for some classes the images of a method in which they are read worst: label, photo, output, reading.

    Of the scored images with at least --share of the class: those with the lowest IoU of the class in the image;
    of equal ones those with more of the class, then by name. Wrong pixels of the class are outlined.

    \b
    Example:
      spadebench run table1 --suite toyscapes --methods spade --budget 20it --out demo
      spadebench figure failures table1 --suite toyscapes --method spade --budget 20it --out demo --to demo/failures
    """
    s.check_formats(to, formats)
    inches = s.width_of(width)
    o.import_user_code(user_code)
    from harness.cells import load_suite, resolve
    from harness.data.encode import resized_label
    from harness.data.scored import scored_classes
    from harness.evaluation.places import Places
    from harness.launch.scores.pictures import (
        check_palette,
        read_as_scored,
        record_bench,
        shown,
        trained_source,
    )
    from harness.progress import say
    from harness.records import Store
    from harness.stored_confusion import stored_confusion
    from reports.figures.failures import Failure
    from reports.figures.failures import failures as drawn
    from reports.figures.image_grid import occurring

    row = _row(grid, method)
    name = row.label or row.name
    one_row = None if "," in name else name  # a label with a comma cannot be given as --methods
    asked = s.asked(
        grid, suite, one_row, None if seed is None else seed + 1, overrides, budget, data_root, out, protocol
    )
    row = next(each for each in asked.grid.methods if (each.name, each.label) == (row.name, row.label))
    seeds = asked.grid.seeds[:1] if seed is None else (seed,)
    asked = replace(asked, grid=replace(asked.grid, methods=(row,), seeds=seeds, ceiling=False))
    record = next(iter(asked.picked()[0].records), None)
    if record is None:
        raise asked.nothing(f"row '{method}' has no record")
    store = Store(out)
    stored = stored_confusion(record, store.records_folder)
    found = _worst(stored, classes, worst, share)

    chosen, places, machine = load_suite(asked.suite), Places(data_root, weights_root), o.device_of(device)
    cell = resolve(row.name, chosen, seeds[0], asked.grid.overrides(row))
    source, said = trained_source(cell, store, places, machine, asked.trained_by(recorded=True), record)
    for line in said:
        say(f"note: {line}")
    bench = record_bench(record, chosen, places, machine, segmenter)
    known = scored_classes(bench.dataset)
    check_palette(known, "give it a colour for each class")
    names = list(dict.fromkeys(one.name for one in found))
    read = read_as_scored(bench, source, stored, names, say)
    photos = {one.name: one.photo for one in shown(bench.dataset, chosen.size, names)}
    rows = []
    for one in found:
        seen, photo = read[one.name], photos[one.name]
        if photo is None:
            raise UserError(f"sample '{one.name}' has no photo", where=asked.suite, mend="give the data's photos")
        of_image = f"{100 * one.share:.1f} % of the image"
        beside = (known.names[one.index], one.name, f"IoU {100 * one.iou:.1f} %", of_image)
        label, reading = (resized_label(each, chosen.size) for each in (seen.label, seen.reading))
        rows.append(Failure(label, photo, seen.image, reading, one.index, beside))
        say(f"{known.names[one.index]}: {one.name}: IoU {100 * one.iou:.1f} %, {of_image}")
    key = occurring([a for f in rows for a in (f.label, f.reading)], known.names, known.palette) if legend else []
    title = row.label or record["title"]
    rule = f"Of the images with at least {100 * share:g} % of a class, those with the lowest IoU of it."
    data = {
        "suite": asked.suite,
        "seed": seeds[0],
        "method": title,
        "record": record["id"],
        "share": share,
        "images": [
            {"class": known.names[one.index], "name": one.name, "iou": one.iou, "share": one.share} for one in found
        ],
    }
    notes = [f"{rule} {s.trained_note(seeds[0], [record])}", s.segmentation_of(record)]
    figure = drawn(rows, known.palette, inches, title, key, notes)
    s.write(figure, to, formats, record["protocol"]["signature"], as_json, data)


def _row(grid: str, method: str) -> GridRow:
    """The row of that label, else of that method, else of that title. Raises UserError where none is, or several."""
    from ablations.grid import load_grid
    from harness.registry import METHODS, lookup

    rows = load_grid(grid).methods
    found = [row for row in rows if row.label == method] or [row for row in rows if row.name == method]
    found = found or [row for row in rows if not row.label and lookup(METHODS, row.name)().title == method]
    known = [row.label or row.name for row in rows]
    if not found:
        raise UserError(f"no row is called '{method}'", where="--method", mend=did_you_mean(method, known))
    if len(found) > 1:
        listed = ", ".join(row.label or row.name for row in found)
        raise UserError(f"{len(found)} rows are of method '{method}'", where="--method", mend=f"name one: {listed}")
    return found[0]


def _worst(stored: Confusion, classes: str, count: int, share: float) -> list[Worst]:
    """The images to draw, by class. Raises UserError for classes that are unknown or in no image."""
    from harness.metrics.telling import lowest_classes, scores_by_image, worst_images

    if classes.isdigit():
        wanted = lowest_classes(stored, int(classes), share)
        if not wanted:
            raise UserError(
                f"there are no {classes} classes with {100 * share:g} % of an image",
                where="--classes",
                mend="choose 1 or more, or take a smaller --share",
            )
    else:
        names = [name.strip() for name in classes.split(",")]
        for name in names:
            if name not in stored.classes:
                raise UserError(f"no class '{name}'", where="--classes", mend=did_you_mean(name, stored.classes))
        wanted = [stored.classes.index(name) for name in names]
    of = scores_by_image(stored)
    found = []
    for index in wanted:
        images = worst_images(of, index, count, share)
        if not images:
            what = f"no scored image has {100 * share:g} % of class '{stored.classes[index]}'"
            raise UserError(what, where="--classes", mend="take a smaller --share, or another class")
        found += [Worst(index, of.names[i], float(of.iou[i, index]), float(of.share[i, index])) for i in images]
    return found
