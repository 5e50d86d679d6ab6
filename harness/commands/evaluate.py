"""`spadebench evaluate`: score a checkpoint, anybody's images, or the real photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.commands.scores import print_record, print_records
from harness.errors import UserError
from harness.progress import bar, say

_MOST_LINES = 50  # of a set that is refused; of one that is scored, all that did not match are said


def evaluate(
    suite: o.Suite,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", "-c", help="Checkpoint of a training, export, or official latest_net_G.pth."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder (with sub-folders), zip or tar of images, each named after its sample.")
    ] = None,
    photos: Annotated[
        bool, typer.Option("--photos", help="The real photos: what a perfect generator would get.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(help="Folder of label files as the suite's data set has them, in place of its own split."),
    ] = None,
    photos_of: Annotated[
        Path | None, typer.Option("--photos-of", help="With --labels: folder of their photos, for Fréchet distances.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Protocol: shipped ones, your own YAML files, comma-separated, or all.")
    ] = "native",
    segmenter: Annotated[
        str | None,
        typer.Option(help="In place of the protocol's: a name, mmseg:CONFIG:CHECKPOINT, onnx:FILE, py:FILE.py:NAME."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Feature nets, comma-separated, or none; default: the protocol's that are at hand."),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Images of another size than the suite's: exact (refused), bicubic (resized), own."),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score the samples that have an image; the signature counts them.")
    ] = False,
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="Nets without a weight file get random weights: a trial, no score."),
    ] = False,
    title: Annotated[str | None, typer.Option(help="How the row is printed, for --images.")] = None,
    split: Annotated[str | None, typer.Option(help="Split to score; default: the suite's.")] = None,
    save_images: Annotated[Path | None, typer.Option(help="Folder to keep the scored images in, as PNG.")] = None,
    batch: o.ScoreBatch = 8,
    halves: o.Halves = None,
    out: o.Out = Path("runs"),
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    workers: o.Workers = 0,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Score images by the protocol of a suite and leave a record. Under torchrun the images are shared out.

    \b
    Example:
      spadebench evaluate --suite toyscapes --photos --protocol all
    """
    if sum((checkpoint is not None, images is not None, photos)) != 1:
        raise UserError("give one of --checkpoint FILE, --images FOLDER and --photos", where="evaluate")
    o.import_user_code(user_code)
    from harness.cells import load_suite
    from harness.data.matching import UnmatchedError
    from harness.evaluation.bench import photos_id, record_id
    from harness.evaluation.evaluate import Subject, evaluate_all
    from harness.evaluation.one_pass import Settings
    from harness.evaluation.places import Places
    from harness.evaluation.sources import ImageSource, PhotoSource, given_source
    from harness.evaluation.spread import check_halves, halves_told
    from harness.launch.scores.official_source import open_weights, weights_source
    from harness.launch.scores.scoring import (
        Ask,
        matched_part,
        open_benches,
        protocols_asked,
        scored_data,
        scoring_team,
    )
    from harness.records import Store

    team, chosen_device = scoring_team(o.device_of(device))
    tell = say if team.leads else _silent
    chosen, places = load_suite(suite), Places(data_root, weights_root, out / "cache")
    ask = Ask(
        suite=chosen,
        protocols=o.names(protocol) or (),
        segmenter=segmenter,
        features=o.names(features),
        fit=fit,
        split=split,
        labels=labels,
        photos=photos_of,
        random_weights=random_weights,
    )
    loaded = open_weights(checkpoint, suite, places) if checkpoint is not None else None
    dataset = scored_data(ask, places)
    source: ImageSource
    try:
        given = given_source(images, dataset, allow_partial) if images is not None else None
    except UnmatchedError as error:
        unmatched = error.matching.lines()
        for line in unmatched[:_MOST_LINES]:
            tell(line)
        if len(unmatched) > _MOST_LINES:
            tell(f"… and {len(unmatched) - _MOST_LINES} more")
        raise
    if given is not None:
        dataset = matched_part(dataset, given.names)
        for line in given.matching.lines():
            tell(line)
    opened = open_benches(ask, dataset, places, chosen_device, tell)
    benches = opened.benches
    if loaded is not None:
        source, subject = weights_source(loaded, benches[0])
    elif given is not None:
        assert images is not None
        source, subject = given, Subject(method="images", title=title or images.resolve().name)
    else:
        source, subject = PhotoSource(photos_id(benches[0])), Subject(method="photos", title="real photos")
    if halves is not None:
        check_halves(benches, halves)
    if dry_run:
        if team.leads:
            _plan([(b.signed.signature, out / "records" / f"{record_id(b, source.id)}.json") for b in benches], as_json)
        return
    with bar("scoring") if team.leads else nullcontext(_unseen) as update:
        made = evaluate_all(
            benches,
            source,
            subject,
            Settings(
                chosen_device,
                batch,
                workers,
                save_images=save_images,
                progress=lambda done, total: update(done, total, {}),
            ),
            team,
            None if halves is None else halves_told(halves, len(dataset), update),
        )
    if not team.leads:
        return
    paths = [Store(out).save(record, confusion) for record, confusion in made]
    records = [record.as_dict() for record, _ in made]
    several = len(protocols_asked(ask)) > 1
    if as_json:
        o.print_json({"records": records, "same": opened.same, "skipped": opened.skipped} if several else records[0])
    elif several:
        print_records(records, opened.same, paths)
    else:
        print_record(records[0], paths[0])


def _plan(planned: Sequence[tuple[str, Path]], as_json: bool) -> None:
    """What would be scored, and where the records would be."""
    if as_json:
        plans = [{"protocol": signature, "record": str(path)} for signature, path in planned]
        o.print_json(plans[0] if len(plans) == 1 else plans)
        return
    for signature, path in planned:
        say(f"would score: {signature}")
        say(f"record: {path}")


def _silent(line: str) -> None:
    """What the other processes of a torchrun say."""


def _unseen(done: int, total: int, values: Mapping[str, float]) -> None:
    """Their progress."""
