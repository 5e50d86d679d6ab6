"""The training loop, on Lightning Fabric: short, resumable at any step, bit for bit on one CPU.

Everything random in a step is drawn from (seed, iteration): the batch, the noise, and torch's own
generator, which is seeded anew at each step. So the state between two steps is weights, buffers and
optimisers alone, and a resumed run takes the same steps as one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from harness.cells import Cell
from harness.data.base import Classes, DataSet
from harness.data.encode import Encoding
from harness.data.loading import TrainingBatches, training_batches
from harness.errors import UserError
from harness.features.base import PerceptualNet
from harness.files import write_json
from harness.hardware import peak_memory, provenance, reset_peak_memory
from harness.training.accumulate import update_of
from harness.training.checkpoints import Checkpoint, list_checkpoints, load_checkpoint, load_into, save_checkpoint
from harness.training.interrupt import Interrupted, stop_requests
from harness.training.log import TrainingLog
from harness.training.memory import attach_memory
from harness.training.networks import Networks, build_networks
from harness.training.schedule import rate_factor
from harness.training.update import build_optimisers

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class LoopOptions:
    """How to run a training; nothing here changes the weights that come out of it on one CPU.

    checkpoint_every: steps between checkpoints (None: ten over the training). keep: checkpoints kept.
    log_every: steps between log rows. workers: loader threads. tensorboard: write event files.
    """

    checkpoint_every: int | None = None
    keep: int = 2
    log_every: int = 20
    workers: int = 0
    tensorboard: bool = True


def train(
    cell: Cell,
    dataset: DataSet,
    folder: Path,
    fabric: Fabric,
    perceptual_net: PerceptualNet | None = None,
    init_from: Checkpoint | None = None,
    loop: LoopOptions = LoopOptions(),  # frozen
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a cell in its folder, from its last checkpoint if it has one; returns the final checkpoint.

    Raises Interrupted after SIGINT or SIGTERM (a checkpoint is written first), and UserError where the
    checkpoint belongs to another cell or to other data, or a loss is no longer finite.
    """
    config, schedule, update = cell.config, cell.config["schedule"], update_of(cell.config)
    torch.set_num_threads(config["threads"])
    encoding = suite_encoding(config, dataset.classes)
    networks = build_networks(config, encoding.spec)
    if init_from is not None:
        for name, network in networks.named().items():
            load_into(network, init_from.networks.get(name, {}), where=f"--init-from ({name})")
    g_optimiser, d_optimiser = build_optimisers(networks, config["method"]["optimiser"])
    data = dataset.fingerprint()

    start = _resume(folder / "checkpoints", cell, data, networks, g_optimiser, d_optimiser)
    if start.iteration >= schedule["iterations"]:
        return list_checkpoints(folder / "checkpoints")[-1]
    attach_memory(networks.generator, encoding, data, config["suite"]["data"], lambda: dataset, say)
    wrapped, g_optimiser, d_optimiser = _set_up(fabric, networks, g_optimiser, d_optimiser)
    every = loop.checkpoint_every or max(1, schedule["iterations"] // 10)
    log = TrainingLog(folder, start.iteration, loop.tensorboard) if fabric.is_global_zero else None
    if fabric.is_global_zero:
        write_json(folder / "config.json", config)
    made = {**provenance(fabric.device), "processes": fabric.world_size}
    reset_peak_memory(fabric.device)
    began = time.perf_counter()

    def snapshot(iteration: int) -> Checkpoint:
        return Checkpoint(
            config=config,
            iteration=iteration,
            networks={name: _cpu(network.state_dict()) for name, network in networks.named().items()},
            optimisers={
                name: _cpu(o.state_dict())
                for name, o in (("generator", g_optimiser), ("discriminator", d_optimiser))
                if o
            },
            seconds=start.seconds + time.perf_counter() - began,
            peak_memory=max(start.peak_memory, peak_memory(fabric.device)),
            data=data,
            classes=asdict(dataset.classes),
            perceptual=f"{perceptual_net.name}@{perceptual_net.weights}" if perceptual_net is not None else "",
            made=made,
        )

    augment = config["suite"]["augment"]
    resize = augment["resize"]
    source = TrainingBatches(
        dataset,
        encoding,
        batch=schedule["batch"],
        seed=config["seed"],
        resize=None if resize is None else (resize[0], resize[1]),
        flip=augment["flip"],
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    batches = training_batches(source, start=start.iteration, iterations=schedule["iterations"], workers=loop.workers)
    path: Path | None = None
    try:
        with stop_requests() as stop:
            for iteration, batch in enumerate(batches, start=start.iteration + 1):
                factor = rate_factor(iteration - 1, schedule["iterations"], schedule["flat"])
                for optimiser, rate in ((g_optimiser, "lr_generator"), (d_optimiser, "lr_discriminator")):
                    for group in optimiser.param_groups if optimiser else ():
                        group["lr"] = config["method"]["optimiser"][rate] * factor
                values = update(
                    wrapped,
                    fabric,
                    g_optimiser,
                    d_optimiser,
                    batch.labels.to(fabric.device),
                    batch.photos.to(fabric.device, non_blocking=True),
                    config,
                    iteration,
                    perceptual_net,
                )
                last = iteration == schedule["iterations"]
                stopping = _any_process(fabric, stop.is_set())
                saving = last or stopping or iteration % every == 0
                row = {}
                if saving or iteration % loop.log_every == 0:
                    row = {name: float(value) for name, value in values.items()}
                    _check_finite(row, networks if saving else None, iteration)
                if log is not None and (last or iteration % loop.log_every == 0):
                    log.write(iteration, {**row, "rate_factor": factor})
                if progress is not None:
                    progress(iteration, schedule["iterations"], row)
                if saving and fabric.is_global_zero:
                    path = save_checkpoint(folder / "checkpoints", snapshot(iteration), loop.keep)
                if stopping and not last:
                    raise Interrupted(path or folder / "checkpoints", iteration)
    finally:
        if log is not None:
            log.close()
    fabric.barrier()
    return path or list_checkpoints(folder / "checkpoints")[-1]


def suite_encoding(config: dict[str, Any], classes: Classes) -> Encoding:
    """How a cell's label maps and photos are encoded."""
    suite = config["suite"]
    return Encoding(classes, (suite["size"][0], suite["size"][1]), suite["unknown"], suite["edges"])


def _set_up(fabric: Fabric, networks: Networks, g_optimiser: Any, d_optimiser: Any) -> tuple[Networks, Any, Any]:
    """Networks and optimisers behind Fabric: devices, precision, DDP."""
    wrapped = Networks(
        fabric.setup_module(networks.generator),
        fabric.setup_module(networks.discriminator) if networks.discriminator is not None else None,
        fabric.setup_module(networks.encoder) if networks.encoder is not None else None,
    )
    for network in wrapped.named().values():
        network.train()
    for optimiser in (g_optimiser, d_optimiser):
        if optimiser is not None:
            _move_state(optimiser, fabric.device)
    return (
        wrapped,
        fabric.setup_optimizers(g_optimiser),
        fabric.setup_optimizers(d_optimiser) if d_optimiser is not None else None,
    )


def _move_state(optimiser: torch.optim.Optimizer, device: torch.device) -> None:
    for state in optimiser.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor) and key != "step":
                state[key] = value.to(device)


def _resume(folder: Path, cell: Cell, data: str, networks: Networks, g_optimiser: Any, d_optimiser: Any) -> Checkpoint:
    """Load the newest checkpoint of the folder into everything; without one, a Checkpoint at step 0."""
    found = list_checkpoints(folder)
    if not found:
        return Checkpoint(cell.config, 0, {}, {}, 0.0, 0, data, {}, "", {})
    checkpoint = load_checkpoint(found[-1])
    if Cell(checkpoint.config, cell.suite).id != cell.id:
        raise UserError("this checkpoint belongs to another cell", where=str(found[-1]), mend="use another --out")
    if checkpoint.data != data:
        raise UserError(
            "this training was begun on other data", where=str(found[-1]), mend="restore the data, or use another --out"
        )
    for name, network in networks.named().items():
        load_into(network, checkpoint.networks[name], where=str(found[-1]))
    g_optimiser.load_state_dict(checkpoint.optimisers["generator"])
    if d_optimiser is not None:
        d_optimiser.load_state_dict(checkpoint.optimisers["discriminator"])
    return checkpoint


def _cpu(state: Any) -> Any:
    """A copy of a state dict on the CPU, plain dicts and lists kept."""
    if isinstance(state, Tensor):
        return state.detach().cpu().clone()
    if isinstance(state, dict):
        return {key: _cpu(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_cpu(value) for value in state)
    return state


def _check_finite(row: dict[str, float], networks: Networks | None, iteration: int) -> None:
    """Raise UserError where a loss, or a weight of the networks given, is no finite number."""
    wrong = [f"loss {name}" for name, value in row.items() if not np.isfinite(value)]
    for name, network in (networks.named() if networks is not None else {}).items():
        wrong += [f"a weight of the {name}" for p in network.parameters() if not torch.isfinite(p).all()][:1]
    if wrong:
        raise UserError(
            f"{wrong[0]} is no longer finite at iteration {iteration}",
            mend="the last checkpoint stands; try a lower learning rate or precision 32",
        )


def _any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether the flag is set in any process: all must stop at the same step."""
    if fabric.world_size == 1:
        return flag
    total = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(total)
