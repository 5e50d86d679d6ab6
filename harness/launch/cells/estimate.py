"""What a cell will take, from a few steps of the real training and one batch of the real scoring on this machine.

A measurement is kept in the cache under what it depends on, so that seeds and lengths share it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from harness.cells import Cell
from harness.data.base import DataSet
from harness.evaluation.bench import Bench, open_data
from harness.evaluation.evaluate import exact_arithmetic
from harness.evaluation.one_pass import Plan, Reading, Settings, one_pass
from harness.evaluation.places import Places
from harness.evaluation.sources import GeneratorSource
from harness.files import write_json
from harness.hardware import describe, peak_memory
from harness.launch.cells.cell import Machine, make_fabric, perceptual_net
from harness.launch.cells.out_of_memory import in_parts, next_parts, score_within_memory, with_less
from harness.training.interrupt import Interrupted
from harness.training.loop import LoopOptions, suite_encoding, train
from harness.training.memory import attach_memory
from harness.training.networks import build_networks

FORMAT = 1
WARM_UP, STEPS = 1, 3
Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Estimate:
    """What a cell is expected to take on this machine, alone on it. micro_batches: 1, or as many as fit into memory.

    peak_memory_bytes: of the training, measured as a record's.
    """

    cell: str
    name: str
    seconds_training: float
    seconds_scoring: float
    peak_memory_bytes: int
    micro_batches: int = 1

    @property
    def seconds(self) -> float:
        return self.seconds_training + self.seconds_scoring

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def text(self) -> str:
        """For people: `about 0:12:30, 1.4 GB`."""
        parts = f", in {self.micro_batches} micro-batches" if self.micro_batches > 1 else ""
        return f"about {clock(self.seconds)}, {self.peak_memory_bytes / 1e9:.1f} GB{parts}"


@dataclass(frozen=True)
class _Measured:
    seconds_per_step: float
    seconds_per_image: float
    peak_memory_bytes: int
    micro_batches: int


class _Enough(Exception):  # noqa: N818  # no error: all steps are measured
    """Ends a training before it writes a checkpoint."""


def estimate_cells(
    cells: Sequence[Cell], bench: Bench, places: Places, machine: Machine, progress: Progress | None = None
) -> list[Estimate]:
    """An estimate for each cell, in their order. progress: told how many cells are done.

    Takes the training and the scored split of the bench's suite, and a training's memory is built where it has one.
    Leaves no checkpoint. Raises UserError as a training and a scoring do.
    """
    training = open_data(bench.suite, bench.suite.train_split, places) if cells else None
    found = []
    for number, cell in enumerate(cells, start=1):
        assert training is not None
        measured = _known(cell, bench, places, machine)
        if measured is None:
            with torch.random.fork_rng():  # a step seeds torch's own generator
                measured = _measure(cell, training, bench, places, machine)
            # What did not fit may fit when nobody else is on the machine.
            if measured.micro_batches == 1:
                _keep(measured, cell, bench, places, machine)
        found.append(_estimate(cell, measured, bench))
        if progress is not None:
            progress(number, len(cells), {})
    return found


def kept_estimates(cells: Sequence[Cell], bench: Bench, places: Places, machine: Machine) -> list[Estimate | None]:
    """The estimate of each cell that was measured before on this machine, None for another; measures nothing."""
    known = ((cell, _known(cell, bench, places, machine)) for cell in cells)
    return [None if measured is None else _estimate(cell, measured, bench) for cell, measured in known]


def _estimate(cell: Cell, measured: _Measured, bench: Bench) -> Estimate:
    return Estimate(
        cell.id,
        cell.name,
        measured.seconds_per_step * cell.config["schedule"]["iterations"],
        measured.seconds_per_image * len(bench.dataset),
        measured.peak_memory_bytes,
        measured.micro_batches,
    )


def total_line(estimates: Sequence[Estimate]) -> str:
    """The sum of the times and the most memory, and what they are worth, as one line."""
    if not estimates:
        return "nothing to do"
    seconds = sum(each.seconds for each in estimates)
    peak = max(each.peak_memory_bytes for each in estimates)
    return (
        f"in all about {clock(seconds)} one after another, at most {peak / 1e9:.1f} GB: "
        f"estimated from {STEPS} steps and one scored batch of each on this machine"
    )


def clock(seconds: float) -> str:
    """h:mm:ss, days before it where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{hours}:{minutes:02}:{rest:02}"


def _measure(cell: Cell, dataset: DataSet, bench: Bench, places: Places, machine: Machine) -> _Measured:
    parts = 1
    batch = cell.config["schedule"]["batch"]

    def steps(parts: int) -> tuple[float, int]:
        return _steps(in_parts(cell, parts), dataset, places, machine)

    def told(fewer: int, error: str) -> None:
        nonlocal parts
        parts = fewer

    seconds, peak = with_less(steps, parts, lambda parts: next_parts(batch, parts), told)
    return _Measured(seconds, _scoring(cell, dataset, bench, machine), peak, parts)


def _steps(cell: Cell, dataset: DataSet, places: Places, machine: Machine) -> tuple[float, int]:
    """Seconds of a step, of STEPS behind the warm-up, and the peak of memory."""
    count = WARM_UP + STEPS
    schedule = {**cell.config["schedule"], "iterations": max(count, cell.config["schedule"]["iterations"])}
    cell = replace(cell, config={**cell.config, "schedule": schedule})
    fabric = make_fabric(machine.device, cell.config["precision"])
    net = perceptual_net(cell, places, fabric.device)
    times: list[float] = []
    peak = 0

    def note(done: int, total: int, values: Mapping[str, float]) -> None:
        nonlocal peak
        if machine.device.type == "cuda":
            torch.cuda.synchronize(machine.device)
        times.append(time.perf_counter())
        if done == count:
            peak = peak_memory(fabric.device)
            raise _Enough

    loop = LoopOptions(schedule["iterations"], workers=machine.workers, tensorboard=False)
    with TemporaryDirectory() as folder:
        try:
            train(cell, dataset, Path(folder), fabric, net, loop=loop, progress=note)
        except _Enough:
            pass
        except Interrupted:  # whose words are of a checkpoint that is no longer there
            raise KeyboardInterrupt from None
    return (times[-1] - times[WARM_UP - 1]) / STEPS, peak


def _scoring(cell: Cell, dataset: DataSet, bench: Bench, machine: Machine) -> float:
    """Seconds to make and score an image, of a batch behind one that warms up."""
    encoding = suite_encoding(cell.config, dataset.classes)
    generator = build_networks(cell.config, encoding.spec).generator
    attach_memory(generator, encoding, dataset.fingerprint(), cell.config["suite"]["data"], lambda: dataset)
    generator = generator.to(bench.device).eval()
    source = GeneratorSource(generator, cell.id, bench.device, cell.config["seed"])
    reading = Reading(bench.segmenter, bench.protocol)
    plan = Plan({reading.key: reading}, bench.nets, bench.keep)

    def batch_of(images: int, notes: tuple[str, ...]) -> float:
        settings = Settings(bench.device, images, machine.workers, part=range(1))
        with exact_arithmetic():
            one_pass(source, bench.dataset, bench.encoding, plan, settings)
            return one_pass(source, bench.dataset, bench.encoding, plan, settings).seconds / min(
                images, len(bench.dataset)
            )

    return score_within_memory(batch_of, machine.score_batch)


def _path(cell: Cell, bench: Bench, places: Places, machine: Machine) -> Path | None:
    if places.cache is None:
        return None
    left_out = ("seed", "title", "overrides", "init_from")
    config = {key: value for key, value in cell.config.items() if key not in left_out}
    schedule = {key: value for key, value in config["schedule"].items() if key not in ("iterations", "flat")}
    of = {
        "format": FORMAT,
        "config": {**config, "schedule": schedule},
        "protocol": bench.protocol_hash,
        "workers": machine.workers,
        "score_batch": machine.score_batch,
        # Not the threads of this moment: a cell sets its own.
        "hardware": {**describe(machine.device), "threads": 0},
        "torch": torch.__version__,
    }
    key = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]
    return places.cache / "estimates" / f"{key}.json"


def _known(cell: Cell, bench: Bench, places: Places, machine: Machine) -> _Measured | None:
    path = _path(cell, bench, places, machine)
    try:
        return None if path is None else _Measured(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _keep(measured: _Measured, cell: Cell, bench: Bench, places: Places, machine: Machine) -> None:
    path = _path(cell, bench, places, machine)
    if path is not None:
        write_json(path, asdict(measured))
