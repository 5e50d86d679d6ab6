"""`spadebench benchmark`: the one pass against the same programs run one after another through PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say

_WORDS = {
    "one-pass": "one pass",
    "one-pass-cached": "one pass, cached reference",
    "generate": "generate, save PNGs",
    "segment": "read PNGs, segment",
    "photos": "write the photos as PNGs",
    "distance": "read PNGs, distance",
    "distance-cached": "read PNGs, distance, cached statistics",
    "statistics": "make the cached statistics",
}


def benchmark(
    suite: o.Suite,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", "-c", help="Checkpoint of a training, export, or official latest_net_G.pth."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="In place of a checkpoint: a method with untrained weights, which is as fast.")
    ] = None,
    overrides: o.Set = None,
    images: Annotated[int | None, typer.Option(help="The first so many samples; default: all.", min=1)] = None,
    features: Annotated[
        str | None, typer.Option(help="One feature net, or none; default: the protocol's, if it is at hand.")
    ] = None,
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="Nets without a weight file get random weights, which are as fast."),
    ] = False,
    split: Annotated[str | None, typer.Option(help="Split to score; default: the suite's.")] = None,
    repeat: Annotated[int, typer.Option(help="Times everything is run; medians are given.", min=1)] = 1,
    threads: Annotated[int | None, typer.Option(help="Threads of either side; default: the suite's.", min=1)] = None,
    batch: o.ScoreBatch = 8,
    workers: o.Workers = 0,
    to: Annotated[Path | None, typer.Option("--to", help="JSON file to keep the figures in.")] = None,
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
) -> None:
    """Time scoring in one pass against generate, segment and pytorch-fid run one after another through PNG files.

    Both are run on this machine in turns, with and without cached reference statistics, and must come to the
    same scores. PNG files go to the folder for temporary files (TMPDIR).

    \b
    Example:
      spadebench benchmark --suite toyscapes --method spade --images 16
    """
    if (checkpoint is None) == (method is None):
        raise UserError("give --checkpoint FILE or --method NAME, one of them", where="benchmark")
    if overrides and method is None:
        raise UserError("--set goes with --method", where="benchmark", mend="a checkpoint's options are its own")
    o.refuse_torchrun("benchmark")
    o.import_user_code(user_code)
    from tempfile import TemporaryDirectory

    from harness.evaluation.places import Places
    from harness.files import write_json
    from harness.launch.benchmark.compare import Ask
    from harness.launch.benchmark.compare import benchmark as timed
    from harness.overrides import parse_set

    ask = Ask(
        suite=suite,
        checkpoint=checkpoint,
        method=method,
        overrides=parse_set(list(overrides or ())),
        split=split,
        images=images,
        features=o.names(features),
        random_weights=random_weights,
        batch=batch,
        workers=workers,
        threads=threads,
        repeat=repeat,
        user_code=tuple(user_code or ()),
    )
    with TemporaryDirectory(prefix="spadebench-") as folder, bar("timing") as update:

        def progress(name: str, done: int, total: int) -> None:
            if done < total:
                say(f"{done + 1} of {total}: {_WORDS[name]}")
            update(done, total, {})

        found = timed(ask, Places(data_root, weights_root), o.device_of(device), Path(folder), progress, say)
    if to is not None:
        write_json(to, found)
        say(f"figures: {to}")
    if as_json:
        o.print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    """The figures for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(emoji=False)
    machine = found["provenance"]["hardware"]
    console.print(
        f"{found['title']} on {found['suite']}, {found['images']} images of {found['split']}", highlight=False
    )
    parts = Table("", "seconds", "of it start-up", "", box=None)
    for name, part in found["parts"].items():
        parts.add_row(
            _WORDS[name], f"{part['seconds']:.2f}", f"{part['start']:.2f}", "" if part["counted"] else "not counted"
        )
    console.print(parts)
    table = Table(
        "reference", "one pass", "images/s", "three programs", "images/s", "ratio", "without start-up", box=None
    )
    for kind in ("uncached", "cached"):
        one, three = found["one_pass"][kind], found["three_programs"][kind]
        if one is None:
            continue
        table.add_row(
            kind if found["features"] else "none",
            *(word for side in (one, three) for word in (f"{side['seconds']:.2f} s", f"{side['images_per_s']:.2f}")),
            f"{found['ratio'][kind]:.2f}",
            f"{found['ratio_without_start'][kind]:.2f}",
        )
    console.print(table)
    scores = found["scores"]
    same = f"mIoU {100 * scores['miou']:.4f} % on both sides"
    if scores["distance"] is not None:
        same += f", {scores['distance']} {scores['one_pass']:.6f} and {scores['three_programs']:.6f}"
    print(same)
    print(f"machine: {machine['device']}, {machine['cpu']}, {machine['cores']} cores, {found['threads']} threads")
    print(f"protocol: {found['protocol']['signature']}")
    for note in found["notes"]:
        print(f"note: {note}")
