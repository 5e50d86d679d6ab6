"""One cell: train it from where it stands, score it, leave its record. Safe against a second process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment

from harness.cells import Cell, load_suite
from harness.cost import generator_cost
from harness.data.base import Classes, DataSet
from harness.data.roots import weights_root
from harness.errors import UserError
from harness.evaluation.bench import Bench, check_disjoint, open_data, photos_id
from harness.evaluation.evaluate import Subject, evaluate
from harness.evaluation.one_pass import Settings
from harness.evaluation.places import Places
from harness.evaluation.sources import GeneratorSource, ImageSource, PhotoSource
from harness.evaluation.spread import Halves
from harness.features.base import PerceptualNet
from harness.files import make_folder, write_text
from harness.launch.cells.beforehand import check_synchronised
from harness.launch.cells.out_of_memory import KEY, in_parts, score_within_memory, train_within_memory, training_notes
from harness.records import Store
from harness.registry import PERCEPTUAL, lookup
from harness.training.checkpoints import Checkpoint, load_checkpoint, load_into
from harness.training.loop import LoopOptions, Progress, suite_encoding, train
from harness.training.memory import attach_memory, record_notes
from harness.training.networks import build_generator


@dataclass(frozen=True)
class Machine:
    """What a cell runs on. device: None picks a GPU where there is one. devices: processes of a torchrun."""

    device: torch.device
    workers: int = 0
    score_batch: int = 8


@dataclass(frozen=True)
class Watch:
    """Who is told how far a training is: progress by step, and lines for people."""

    training: Progress | None = None
    say: Callable[[str], None] = lambda line: None


def train_cell(
    cell: Cell,
    store: Store,
    places: Places,
    machine: Machine,
    loop: LoopOptions,
    watch: Watch,
    init_from: Checkpoint | None = None,
) -> Path:
    """Train a cell to its end in the store; returns the final checkpoint. Checks that splits do not overlap.

    Out of memory, the checkpoint is of the cell in micro-batches, which its config says.
    """
    folder = store.cell_folder(cell.id)
    make_folder(folder)
    fabric = make_fabric(machine.device, cell.config["precision"])
    if fabric.world_size > 1 and fabric.device.type == "cpu":
        check_synchronised(cell)
    dataset = open_data(cell.suite, cell.suite.train_split, places)
    check_disjoint(dataset, open_data(cell.suite, cell.suite.score_split, places))
    net = perceptual_net(cell, places, fabric.device)
    # The first process of a torchrun holds the lock for all; the others wait for it before they look at checkpoints.
    with only_process(folder, watch.say) if fabric.is_global_zero else nullcontext():
        fabric.barrier()
        progress = watch.training if fabric.is_global_zero else None

        def train_one(each: Cell) -> Path:
            return train(each, dataset, store.cell_folder(each.id), fabric, net, init_from, loop, progress, watch.say)

        return train_within_memory(cell, store, train_one, fabric.world_size, watch.say)


def perceptual_net(cell: Cell, places: Places, device: torch.device) -> PerceptualNet | None:
    """The net of a cell's perceptual loss, or None where it has none."""
    used = cell.config["perceptual"]
    if used is None or not cell.config["method"]["losses"]["perceptual"]:
        return None
    net: PerceptualNet = lookup(PERCEPTUAL, used)(weights_root(places.weights), device)
    return net


def score_cell(
    cell: Cell,
    checkpoint: Path,
    bench: Bench,
    store: Store,
    machine: Machine,
    progress: Progress | None = None,
    halves: Halves | None = None,
) -> dict[str, Any]:
    """Score the final checkpoint of a cell and save the record, under the id that its training came to have."""
    loaded = load_checkpoint(checkpoint)
    source, subject = generator_subject(loaded, bench, cell_id=in_parts(cell, loaded.config.get(KEY, 1)).id)
    return _scored(source, subject, bench, store, machine, progress, halves)


def score_photos(
    bench: Bench, store: Store, machine: Machine, progress: Progress | None = None, halves: Halves | None = None
) -> dict[str, Any]:
    """Score the real photos, the ceiling row, and save the record."""
    subject = Subject(method="photos", title="real photos")
    return _scored(PhotoSource(photos_id(bench)), subject, bench, store, machine, progress, halves)


def _scored(
    source: ImageSource,
    subject: Subject,
    bench: Bench,
    store: Store,
    machine: Machine,
    progress: Progress | None,
    halves: Halves | None,
) -> dict[str, Any]:
    def score(batch: int, notes: tuple[str, ...]) -> dict[str, Any]:
        settings = Settings(
            bench.device,
            batch,
            machine.workers,
            progress=None if progress is None else lambda done, total: progress(done, total, {}),
        )
        noted = replace(subject, notes=(*subject.notes, *notes))
        record, confusion = evaluate(bench, source, noted, settings, halves)
        store.save(record, confusion)
        return record.as_dict()

    return score_within_memory(score, machine.score_batch)


def check_trained_data(record: dict[str, Any], bench: Bench) -> None:
    """Raise UserError where a finished record was trained on other data than the suite has now."""
    trained = record["provenance"]["data"]["trained"]
    if trained != open_data(bench.suite, bench.suite.train_split, bench.places).fingerprint():
        raise UserError(
            "this cell was trained on other data than there is now",
            where=f"record {record['id']}",
            mend="restore the data, or use another --out",
        )


def generator_subject(checkpoint: Checkpoint, bench: Bench, cell_id: str) -> tuple[GeneratorSource, Subject]:
    """A checkpoint's generator as an image source, and its words for the record.

    Raises UserError where the checkpoint was trained for other label maps than the suite's.
    """
    config = checkpoint.config
    classes = checkpoint_classes(checkpoint)
    encoding = suite_encoding(config, classes)
    if config["suite"]["name"] != bench.suite.name:
        raise UserError(
            f"this checkpoint was trained on suite '{config['suite']['name']}'",
            where=f"suite {bench.suite.name}",
            mend=f"score it with --suite {config['suite']['name']}",
        )
    if classes.names != bench.dataset.classes.names:
        raise UserError(
            "this checkpoint was trained on other classes than the suite's", where=f"suite {bench.suite.name}"
        )
    generator = load_generator(checkpoint, bench.device, bench.places)
    images = checkpoint.iteration * config["schedule"]["batch"]
    trained = {
        **generator_cost(config, encoding.spec),
        "seconds_training": round(checkpoint.seconds, 3),
        "images_per_s_training": round(images / checkpoint.seconds, 3) if checkpoint.seconds else None,
        "peak_memory_bytes": checkpoint.peak_memory,
    }
    notes = [] if checkpoint.finished else [f"training not finished: iteration {checkpoint.iteration}"]
    notes += training_notes(config, checkpoint.made.get("processes", 1))
    notes += record_notes(generator)
    subject = Subject(
        method=config["method"]["name"],
        title=config["title"],
        seed=config["seed"],
        cell=cell_id,
        config=config,
        trained=trained,
        notes=tuple(notes),
        training_data=checkpoint.data,
        perceptual=checkpoint.perceptual,
        made=checkpoint.made,
    )
    detail = {"iteration": checkpoint.iteration}
    return GeneratorSource(generator, cell_id, bench.device, config["seed"], detail), subject


def checkpoint_classes(checkpoint: Checkpoint) -> Classes:
    """The classes of the data set that a checkpoint was trained on."""
    stored = checkpoint.classes
    return Classes(tuple(stored["names"]), stored["void"], tuple((r, g, b) for r, g, b in stored["palette"]))


def load_generator(checkpoint: Checkpoint, device: torch.device, places: Places) -> torch.nn.Module:
    """The generator of a checkpoint, on a device, in eval mode, its memory attached where it has one."""
    config = checkpoint.config
    encoding = suite_encoding(config, checkpoint_classes(checkpoint))
    generator = build_generator(config, encoding.spec, encoding.size)
    load_into(generator, checkpoint.networks["generator"], where="checkpoint")

    def training_split() -> DataSet:
        trained = config["suite"]
        return open_data(load_suite(trained["name"]), trained["train_split"], places)

    attach_memory(generator, encoding, checkpoint.data, config["suite"]["data"], training_split)
    return generator.to(device).eval()


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """Fabric for this process, or for all processes of a torchrun (DDP: nccl on GPUs, gloo on CPUs)."""
    chosen: Any = "bf16-mixed" if precision == "bf16" else "32-true"
    accelerator = "cuda" if device.type == "cuda" else "cpu"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        one = [device.index] if device.type == "cuda" and device.index is not None else 1
        # Named, since a cluster's job of one process would else be taken for a job of its tasks.
        alone = LightningEnvironment()
        fabric = Fabric(accelerator=accelerator, devices=one, precision=chosen, plugins=[alone])
    else:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        fabric = Fabric(
            accelerator=accelerator, devices=local, num_nodes=world // local, strategy="ddp", precision=chosen
        )
    fabric.launch()
    return fabric


@contextmanager
def only_process(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a cell's folder while training in it; wait, and say so, while another process does.

    A worker holds its cell by a `Claim` as well (claims.py), which does not wait and tells `status` how far it is;
    this lock is the one that `spadebench train` and all workers share.
    """
    lock, owner = FileLock(folder / "training.lock"), folder / "training.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            who = owner.read_text(encoding="utf-8").strip()
        except OSError:
            who = "another process"  # which has just begun or ended
        say(f"waiting: {who} is training this cell")
        lock.acquire()
    try:
        write_text(owner, f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
