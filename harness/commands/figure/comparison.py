"""`spadebench figure comparison`: label map, photo and every method's image side by side, one sample a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.figure import shared as s
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.metrics.telling import By, ImageScores, Telling

TELLING = "telling"
_WORDS = {"miou": "mIoU", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Scored:
    """A row's record, and what its images score one by one."""

    record: dict[str, Any]
    scores: ImageScores


def comparison(
    grid: s.GridName,
    to: s.To,
    suite: s.SuiteName = None,
    methods: s.Methods = None,
    samples: Annotated[
        str, typer.Option(help="Names, comma-separated; how many, spread over the split; or telling:COUNT.")
    ] = "4",
    by: Annotated[str, typer.Option(help="Score by which images are telling: miou or accuracy.")] = "miou",
    scores: Annotated[
        bool, typer.Option("--scores", help="Write each image's mIoU and accuracy under it, from the records.")
    ] = False,
    generated_only: Annotated[
        bool, typer.Option("--generated-only", help="Leave label maps and photos out, where they may not be passed on.")
    ] = False,
    legend: Annotated[bool, typer.Option("--legend/--no-legend", help="Colours of the classes that occur.")] = True,
    seed: Annotated[int | None, typer.Option(help="Seed of the networks; default: the grid's first.", min=0)] = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    out: o.Out = s.DEFAULT_OUT,
    protocol: s.Protocol = None,
    width: s.Width = "page",
    formats: s.Formats = s.ALL_FORMATS,
    data_root: o.DataRoot = None,
    device: o.Device = None,
    user_code: o.Import = None,
    as_json: s.AsJson = False,
) -> None:
    """Draw the paper's kind of figure: label map, photo and the image of every method, one sample a row.

    telling:COUNT picks the images on which the methods differ most: by the largest minus the smallest mIoU (or
    accuracy, --by) of the image over the methods, from the records; equal ones by name.

    \b
    Example:
      spadebench run table1 --suite toyscapes --methods spade,crn --budget 20it --out demo
      spadebench figure comparison table1 --suite toyscapes --methods spade,crn --budget 20it --out demo --to demo/c
    """
    telling = _telling_count(samples)
    s.one_of(by, tuple(_WORDS), "--by")
    s.check_formats(to, formats)
    inches = s.width_of(width)
    o.import_user_code(user_code)
    import torch

    from harness.cells import load_suite
    from harness.evaluation.bench import open_data
    from harness.evaluation.places import Places
    from harness.launch.scores.pictures import check_palette, chosen_names, shown
    from harness.metrics.telling import most_telling
    from reports.figures.comparison import Column, score_line
    from reports.figures.comparison import comparison as drawn
    from reports.figures.image_grid import occurring, paint

    seeds = None if seed is None else seed + 1
    asked = s.asked(grid, suite, methods, seeds, overrides, budget, data_root, out, protocol)
    asked = replace(asked, grid=replace(asked.grid, seeds=asked.grid.seeds[:1] if seed is None else (seed,)))
    chosen, places = load_suite(asked.suite), Places(data_root)
    torch.set_num_threads(chosen.threads)  # as in scoring
    dataset = open_data(chosen, chosen.score_split, places)
    classes = dataset.classes
    if not generated_only:
        check_palette(classes, "give it a colour for each class, or add --generated-only")
    scored = _scored(asked, dataset.fingerprint()) if scores or telling is not None else []
    picked = [] if telling is None else most_telling([each.scores for each in scored], telling, _by(by))
    names = [one.name for one in picked] or chosen_names(dataset, samples)

    columns: list[Column] = []
    key: list[tuple[str, tuple[int, int, int]]] = []
    if not generated_only:
        samples_shown = shown(dataset, chosen.size, names)
        photos = [one.photo for one in samples_shown if one.photo is not None]
        if len(photos) < len(names):
            raise UserError("samples without a photo", where=asked.suite, mend="add --generated-only")
        labels = [one.label for one in samples_shown]
        under = [(name,) for name in names] if scores else []
        columns = [Column("label map", [paint(label, classes.palette) for label in labels], under)]
        columns.append(Column("photo", photos))
        key = occurring(labels, classes.names, classes.palette) if legend else []
    records: list[Any] = [each.record for each in scored] or [None] * len(asked.grid.methods)
    images = _images(asked, chosen, places, o.device_of(device), dataset, names, records)
    of_methods = [_of(each.scores, names) for each in scored]
    for i, (title, made) in enumerate(images):
        lines = [score_line(each["miou"], each["accuracy"]) for each in of_methods[i]] if scores else []
        columns.append(Column(title, made, lines))
    titles = [title for title, _ in images]
    notes = ["Under each image: its own mIoU / accuracy, in %."] if scores else []
    if picked:
        notes.append(f"The images on which the {_WORDS[by]} of the methods lies furthest apart.")
        _say_picked(picked, titles, of_methods, by)
    if scores:  # all of one protocol
        trained = s.trained_note(asked.grid.seeds[0], [each.record for each in scored])
        notes += [trained, s.segmentation_of(scored[0].record)]
    data = {
        "suite": asked.suite,
        "seed": asked.grid.seeds[0],
        "picked_by": by if picked else None,
        "samples": [
            {
                "name": name,
                **({"spread": picked[i].spread} if picked else {}),
                **({"scores": {t: each[i] for t, each in zip(titles, of_methods, strict=True)}} if scored else {}),
            }
            for i, name in enumerate(names)
        ],
        "records": {t: each.record["id"] for t, each in zip(titles, scored, strict=False)},
    }
    about = "; ".join(dict.fromkeys(each.record["protocol"]["signature"] for each in scored))
    s.write(drawn(columns, inches, key, notes), to, formats, about, as_json, data)


def _images(
    asked: s.Asked, suite: Any, places: Any, device: Any, dataset: Any, names: Sequence[str], records: Sequence[Any]
) -> list[tuple[str, list[Any]]]:
    """For each row its title and its images of the named samples. Raises UserError where one has no checkpoint."""
    from harness.cells import resolve
    from harness.data.encode import Encoding
    from harness.launch.scores.pictures import made, trained_source
    from harness.progress import bar, say
    from harness.records import Store

    encoding = Encoding(dataset.classes, suite.size, suite.unknown, suite.edges)
    found = []
    with bar("images") as update:
        recorded = [bool(one.records) for one in asked.picked() if one.row is not None]
        for row, record, there in zip(asked.grid.methods, records, recorded, strict=True):
            cell = resolve(row.name, suite, asked.grid.seeds[0], asked.grid.overrides(row))
            source, said = trained_source(cell, Store(asked.out), places, device, asked.trained_by(there), record)
            for line in said:
                say(f"note: {line}")
            own = "".join(f", {name}={value}" for name, value in row.set.items())
            found.append((row.label or cell.title + own, made(source, dataset, encoding, names)))
            update(len(found), len(records), {})
    return found


def _telling_count(samples: str) -> int | None:
    """How many telling images are asked for, None where samples are named or counted."""
    word, colon, count = samples.partition(":")
    if word != TELLING:
        return None
    if colon and not (count.isdigit() and int(count) > 0):
        raise UserError(f"'{count}' is no number of images", where="--samples", mend="as in --samples telling:4")
    return int(count) if colon else 4


def _scored(asked: s.Asked, fingerprint: str) -> list[Scored]:
    """The record of each row, and the scores of its images. Raises UserError where one is missing, or they are not
    of one protocol on the data there is."""
    from harness.metrics.resampling import same_images
    from harness.metrics.telling import image_scores
    from harness.records import Store
    from harness.stored_confusion import stored_confusion

    records: list[dict[str, Any]] = []
    for one in asked.picked():
        if one.row is not None:
            if not one.records:
                raise asked.nothing(f"row '{one.row.label or one.row.name}' has no record")
            records += one.records[:1]
    first = records[0]
    for record in records:
        if record["protocol"]["segmentation"]["hash"] != first["protocol"]["segmentation"]["hash"]:
            raise UserError(
                f"{first['title']} and {record['title']} were scored by different protocols",
                where=f"records {first['id']} and {record['id']}",
                mend="score these rows by one protocol, or choose it by --protocol",
            )
        if record["provenance"].get("data", {}).get("scored", fingerprint) != fingerprint:
            raise UserError(
                "it was scored on other data than there is now", where=f"record {record['id']}", mend="score it again"
            )
    folder, rules = Store(asked.out).records_folder, first["protocol"]["fields"]
    sides = same_images(
        [[stored_confusion(record, folder)] for record in records],
        rules.get("class_mean", "union"),
        rules.get("void", "ignore"),
    )
    return [Scored(record, image_scores(side)) for record, (side,) in zip(records, sides, strict=True)]


def _by(word: str) -> By:
    return "accuracy" if word == "accuracy" else "miou"


def _of(scores: ImageScores, names: Sequence[str]) -> list[dict[str, float | None]]:
    """mIoU and accuracy of the named images as fractions, None where a score does not exist."""
    where = {name: i for i, name in enumerate(scores.names)}
    found = []
    for name in names:
        i = where[name]
        values = {"miou": float(scores.miou[i]), "accuracy": float(scores.accuracy[i])}
        found.append({key: None if value != value else value for key, value in values.items()})
    return found


def _say_picked(
    picked: Sequence[Telling], titles: Sequence[str], of_methods: Sequence[list[dict[str, float | None]]], by: str
) -> None:
    """Which images were picked, on stderr, with the scores by which."""
    from harness.progress import say

    for i, one in enumerate(picked):
        values = [each[i][by] for each in of_methods]
        listed = ", ".join(f"{t} {'–' if v is None else f'{100 * v:.1f}'}" for t, v in zip(titles, values, strict=True))
        say(f"picked {one.name}: {_WORDS[by]} {100 * one.spread:.1f} points apart: {listed}")
