"""`spadebench sampling`: the study of whether z gives many images of one label map, and styles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.progress import bar, say


def sampling(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", "-c", help="Checkpoint of a method with z.")],
    suite: o.Suite,
    samples: Annotated[int, typer.Option(help="Images of each label map.", min=2)] = 8,
    label_maps: Annotated[
        int | None, typer.Option(help="Label maps, spread over the split; default: 50, or all where there are fewer.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise; default: the training's.", min=0)] = None,
    features: Annotated[
        str | None, typer.Option(help="Feature nets, comma-separated, or none; default: the suite's that are at hand.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to take label maps from; default: the suite's.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="JSON file to keep the figures in.")] = None,
    batch: o.ScoreBatch = 8,
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
) -> None:
    """Measure how samples of one label map differ, whether they keep its layout, and whether styles are taken on.

    \b
    Example:
      spadebench train spade_vae --suite toyscapes --budget 20it --out demo
      spadebench sampling --suite toyscapes --checkpoint demo/cells/*/checkpoints/iteration_00000020.pt
    """
    o.refuse_torchrun("sampling")
    o.import_user_code(user_code)
    from harness import __version__
    from harness.cells import load_suite
    from harness.evaluation.bench import open_bench
    from harness.evaluation.places import Places
    from harness.evaluation.sampling import study
    from harness.evaluation.styles import load_encoder
    from harness.files import write_json
    from harness.hardware import provenance
    from harness.launch.scores.official_source import open_weights, weights_source

    chosen, places = load_suite(suite), Places(data_root, weights_root)
    loaded = open_weights(checkpoint, suite, places)
    device_used = o.device_of(device)
    bench = open_bench(chosen, places, device_used, features=o.names(features), split=split, say=say)
    source, subject = weights_source(loaded, bench)
    encoder = load_encoder(loaded, device_used) if "encoder" in loaded.networks else None
    if seed is not None:
        source.seed = seed
    with bar("sampling") as update:
        found = study(
            bench,
            source,
            encoder,
            samples=samples,
            label_maps=min(50, len(bench.dataset)) if label_maps is None else label_maps,
            batch=batch,
            method=subject.method,
            progress=lambda done, total: update(done, total, {}),
        )
    notes = [*subject.notes, *bench.missing]
    if encoder is None:
        notes.append("no encoder, so no style")
    elif found["style"]["other_style"] is None:
        notes.append("no comparison with the z of another photo: that takes 3 label maps or more")
    record = {
        "schema": 1,
        "study": "sampling",
        "cell": subject.cell,
        "method": subject.method,
        "title": subject.title,
        "suite": chosen.name,
        "source": source.describe(),
        "seeds": {"training": subject.seed, "noise": source.seed},
        "samples": samples,
        "protocol": {"signature": bench.signed.signature, "hash": bench.protocol_hash},
        **found,
        "notes": notes,
        "provenance": {
            "spadebench": __version__,
            **provenance(device_used),
            "training": subject.made,
            "data": {"scored": bench.fingerprint, "trained": subject.training_data},
        },
    }
    if to is not None:
        write_json(to, record)
        say(f"record: {to}")
    if as_json:
        o.print_json(record)
    else:
        _print(record)


def _print(record: dict[str, Any]) -> None:
    """The figures for people."""
    from rich.console import Console
    from rich.table import Table

    diversity, layout, style = record["diversity"], record["layout"], record["style"]
    title = f"{record['title']} on {record['suite']}: {record['samples']} samples of {len(record['label_maps'])} maps"
    table = Table("", "", "compared with", "", box=None, title=title)
    distances = [(f"{net['net']}@{net['weights']}", net) for net in diversity["features"]]
    for what, found in (*distances, ("grey levels", diversity["pixels"])):
        compared = f"photos {found['photos']:.3f}"
        table.add_row(f"Diversity, {what}", f"{found['samples']:.3f}", compared, _times(found["ratio"]))
    kept = "kept" if layout["kept"] else "not kept"
    within = f"within {layout['largest_deviation_points']:.2f} points"
    table.add_row("Layout, mIoU", f"{100 * layout['mean']:.2f} %", within, kept)
    for key, words in (("random", "random z"), ("other_style", "other style")):
        if style is None or style[key] is None:
            continue
        other, own = style[key], f"{style['distance']:.2f}"
        nearer = f"{100 * other['moved']:.0f} % nearer, {_times(other['mean_ratio'])}"
        table.add_row("Style, distance to its colour", own, f"{words} {other['distance']:.2f}", nearer)
    Console(emoji=False).print(table)
    print(f"protocol: {record['protocol']['signature']}")
    for note in record["notes"]:
        print(f"note: {note}")


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"× {ratio:.3f}"
