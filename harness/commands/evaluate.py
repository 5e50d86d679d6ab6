"""`spadebench evaluate`: score a checkpoint, a folder of images, or the real photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.progress import bar, say
from harness.errors import UserError


def evaluate(
    suite: o.Suite,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", "-c", help="Checkpoint of a training, export, or official latest_net_G.pth."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, each named after its sample.")] = None,
    photos: Annotated[
        bool, typer.Option("--photos", help="The real photos: what a perfect generator would get.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="How the row is printed, for --images.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Feature nets, comma-separated, or none; default: the suite's that are at hand.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to score; default: the suite's.")] = None,
    save_images: Annotated[Path | None, typer.Option(help="Folder to keep the scored images in, as PNG.")] = None,
    batch: o.ScoreBatch = 8,
    out: o.Out = Path("runs"),
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    workers: o.Workers = 0,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Score images by the protocol of a suite and leave a record.

    \b
    Example:
      spadebench evaluate --suite toyscapes --photos
    """
    if sum((checkpoint is not None, images is not None, photos)) != 1:
        raise UserError("give one of --checkpoint FILE, --images FOLDER and --photos", where="evaluate")
    o.refuse_torchrun("evaluate")
    o.import_user_code(user_code)
    from harness.cells import load_suite
    from harness.evaluation.evaluate import Places, Subject, open_bench, photos_id, record_id
    from harness.evaluation.evaluate import evaluate as score
    from harness.evaluation.sources import ImageSource, PhotoSource, folder_source
    from harness.launch.official_source import open_weights, weights_source
    from harness.records import Store

    chosen, places = load_suite(suite), Places(data_root, weights_root, out / "cache")
    loaded = open_weights(checkpoint, suite, places) if checkpoint is not None else None
    bench = open_bench(
        chosen,
        places,
        o.device_of(device),
        features=o.names(features),
        split=split,
        say=say,
    )
    source: ImageSource
    if loaded is not None:
        source, subject = weights_source(loaded, bench)
    elif images is not None:
        source = folder_source(images, bench.dataset)
        subject = Subject(method="images", title=title or images.name)
    else:
        source, subject = PhotoSource(photos_id(bench)), Subject(method="photos", title="real photos")
    if dry_run:
        path = out / "records" / f"{record_id(bench, source.id)}.json"
        if as_json:
            o.print_json({"images": len(bench.dataset), "protocol": bench.signed.signature, "record": str(path)})
        else:
            say(f"would score {len(bench.dataset)} images: {bench.signed.signature}")
            say(f"record: {path}")
        return
    with bar("scoring") as update:
        record, confusion = score(
            bench,
            source,
            subject,
            batch=batch,
            workers=workers,
            save_images=save_images,
            progress=lambda done, total: update(done, total, {}),
        )
    path = Store(out).save(record, confusion)
    if as_json:
        o.print_json(record.as_dict())
    else:
        _print(record.as_dict(), path)


def _print(record: dict[str, Any], path: Path) -> None:
    """Scores for people."""
    from rich.console import Console
    from rich.table import Table

    scores = record["scores"]
    table = Table(title=f"{record['title']} on {record['suite']}", box=None, show_header=False)
    for key, value in scores.items():
        if key == "iou":
            continue
        distance = key == "fid" or key.startswith("fd_")
        table.add_row(key, f"{value:.4f}" if distance else f"{100 * value:.2f} %")
    for name, value in scores["iou"].items():
        table.add_row(f"IoU {name}", "–" if value is None else f"{100 * value:.2f} %")
    Console(emoji=False).print(table)
    print(f"protocol: {record['protocol']['signature']}")
    for note in record["notes"]:
        print(f"note: {note}")
    print(f"record: {path}")
