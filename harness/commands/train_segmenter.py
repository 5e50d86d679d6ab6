"""`spadebench train-segmenter`: how the built-in suite's segmenter came to be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say


def train_segmenter(
    suite: Annotated[str, typer.Argument(help="Suite whose segmenter is trained: toyscapes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Weight file to write; its record is put beside it.")],
    iterations: Annotated[
        int | None, typer.Option(help="Training steps; default: those of the shipped weights.", min=1)
    ] = None,
    seed: o.Seed = 0,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Train the segmenter of the built-in suite on the rendered photos of its training split.

    \b
    Example:
      spadebench train-segmenter toyscapes --out toyscapes.safetensors --iterations 20
    """
    if suite != "toyscapes":
        raise UserError(
            f"no segmenter is trained for suite '{suite}'",
            mend="only toyscapes has one of its own; others use released weights",
        )
    from harness.segmenters.toyscapes_training import train_toyscapes_segmenter

    if dry_run:
        if as_json:
            o.print_json({"weights": str(out), "record": str(out.with_suffix(".json"))})
        else:
            say(f"would train the toyscapes segmenter and write {out} and {out.with_suffix('.json')}")
        return
    with bar("training the segmenter") as update:
        record = train_toyscapes_segmenter(out, iterations=iterations, seed=seed, progress=update)
    if as_json:
        o.print_json(record)
    else:
        say(f"mIoU {record['scores']['miou']:.4f} on {record['scored_split']}; weights: {out}")
