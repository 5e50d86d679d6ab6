"""The options that several commands share, and the words they are parsed into."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.errors import UserError

Suite = Annotated[str, typer.Option("--suite", "-s", help="Suite: data set, size, segmenter and protocol.")]
Seed = Annotated[int, typer.Option(help="Seed of weights, batches and noise.", min=0)]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override by dotted name, as in generator.ngf=32; may be repeated.")
]
RowSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override as in generator.ngf=32, or spade:generator.ngf=32 for one row; may be repeated."
    ),
]
Budget = Annotated[str | None, typer.Option(help="Length of training: 2000it (iterations) or 50ep (epochs).")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of cells, records and reports.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of data sets; default: $SPADEBENCH_DATA.")]
WeightsRoot = Annotated[Path | None, typer.Option(help="Folder of weight files; default: $SPADEBENCH_WEIGHTS.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1; default: a GPU where there is one.")]
Workers = Annotated[int, typer.Option(help="Loader threads; they change no number.", min=0)]
ScoreBatch = Annotated[int, typer.Option(help="Images scored at a time.", min=1)]
Halves = Annotated[
    int | None,
    typer.Option(
        help="Also the spread of Fréchet distances over so many random halves of the images, as 20; no interval.", min=2
    ),
]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", help="Your code to import first: a module or a .py file; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout; progress stays on stderr.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
CheckpointEvery = Annotated[
    int | None, typer.Option(help="Iterations between checkpoints; default: ten in all.", min=1)
]
Keep = Annotated[int, typer.Option(help="Checkpoints kept.", min=1)]


def import_user_code(names: Sequence[str] | None) -> None:
    """Import what --import names."""
    from harness.registry import import_plugin

    for name in names or ():
        import_plugin(name)


def suite_and_overrides(suite_name: str, pairs: Sequence[str] | None) -> tuple[Any, dict[str, Any]]:
    """The Suite, and the parsed --set pairs."""
    from harness.cells import load_suite
    from harness.overrides import parse_set

    return load_suite(suite_name), parse_set(list(pairs or ()))


def with_budget(overrides: dict[str, Any], budget: str | None, suite: Any, places: Any) -> dict[str, Any]:
    """Overrides with schedule.iterations set from a budget."""
    if budget is None:
        return overrides
    from harness.training.schedule import budget_iterations

    samples, batch = 0, overrides.get("schedule.batch", suite.schedule.batch)
    if not isinstance(batch, int) or batch < 1:
        raise UserError(f"schedule.batch must be a whole number from 1 up, not {batch!r}", where="--set")
    if budget.strip().endswith("ep"):  # only epochs need the data set
        from harness.evaluation.bench import open_data

        samples = len(open_data(suite, suite.train_split, places))
    return {**overrides, "schedule.iterations": budget_iterations(budget, samples, batch)}


def device_of(name: str | None) -> Any:
    """The torch device. Raises UserError for one that is not there."""
    from harness.hardware import pick_device

    return pick_device(name)


def names(text: str | None) -> list[str] | None:
    """Comma-separated names; `none` is the empty list, and None stays None: the default."""
    return None if text is None else [n.strip() for n in text.split(",") if n.strip() not in ("", "none")]


def first_process() -> bool:
    """Whether this is the only process, or the first of a torchrun: the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def refuse_torchrun(command: str) -> None:
    """Raise UserError in a torchrun: only training is shared out over processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "torchrun is for spadebench train", where=command, mend="train with it, then score with one process"
        )


def print_json(value: Any) -> None:
    """JSON on stdout."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")
