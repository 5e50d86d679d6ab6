"""`spadebench train`: one cell, trained and not scored."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.progress import bar, say


def train(
    method: Annotated[str, typer.Argument(help="Method to train; see spadebench list methods.")],
    suite: o.Suite,
    seed: o.Seed = 0,
    overrides: o.Set = None,
    budget: o.Budget = None,
    out: o.Out = Path("runs"),
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    workers: o.Workers = 0,
    checkpoint_every: o.CheckpointEvery = None,
    keep: o.Keep = 2,
    init_from: Annotated[Path | None, typer.Option(help="Checkpoint whose networks training starts from.")] = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Train a method on a suite, from its last checkpoint if it has one.

    Ctrl-C stops at a checkpoint; the same command goes on from it. Over several GPUs:
    torchrun --nproc-per-node 8 -m harness.cli train …

    \b
    Example:
      spadebench train spade --suite toyscapes --budget 20it
    """
    o.import_user_code(user_code)
    from harness.cells import resolve
    from harness.evaluation.places import Places
    from harness.launch.cells.beforehand import check_cell
    from harness.launch.cells.cell import Machine, Watch, train_cell
    from harness.records import Store
    from harness.training.checkpoints import content_hash, load_checkpoint
    from harness.training.loop import LoopOptions

    chosen, given = o.suite_and_overrides(suite, overrides)
    places = Places(data_root, weights_root)
    given = o.with_budget(given, budget, chosen, places)
    start = load_checkpoint(init_from) if init_from is not None else None
    cell = resolve(method, chosen, seed, given, content_hash(init_from) if init_from is not None else None)
    check_cell(cell)
    store = Store(out)
    summary = {"cell": cell.id, "name": cell.name, "folder": str(store.cell_folder(cell.id)), "config": cell.config}
    if dry_run:
        if as_json:
            o.print_json(summary)
        else:
            say(f"would train {cell.name}, cell {cell.id}, in {store.cell_folder(cell.id)}")
        return
    speaks = o.first_process()
    if speaks:
        say(f"training {cell.name}, cell {cell.id}")
    with bar(cell.name) if speaks else nullcontext() as update:
        checkpoint = train_cell(
            cell,
            store,
            places,
            Machine(o.device_of(device), workers),
            LoopOptions(checkpoint_every, keep, workers=workers),
            Watch(training=update, say=say),
            start,
        )
    if as_json and speaks:
        o.print_json({**summary, "checkpoint": str(checkpoint)})
    elif speaks:
        say(f"checkpoint: {checkpoint}")
        say(f"score it: spadebench evaluate --suite {chosen.name} --checkpoint {checkpoint}")
