"""Checkpoints: tensors and plain values only, written by rename, the last k kept, loaded with weights only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.errors import UserError
from harness.files import atomic_path
from harness.weights import load_state

FORMAT = 1
_NAME = re.compile(r"iteration_(\d{8})\.pt")


@dataclass
class Checkpoint:
    """A training at the end of a step.

    iteration: steps done. networks: state dicts by `generator`, `discriminator`, `encoder`.
    optimisers: state dicts by `generator`, `discriminator`; empty where stripped. seconds: training
    time so far. peak_memory: bytes. data: fingerprint of the training split. classes: its class names,
    void value and palette, so that a checkpoint generates without its data set. perceptual: name@weights
    of the net of the perceptual loss, empty without one. made: hardware, versions, git_commit and number
    of processes of the training.
    """

    config: dict[str, Any]
    iteration: int
    networks: dict[str, dict[str, torch.Tensor]]
    optimisers: dict[str, Any]
    seconds: float
    peak_memory: int
    data: str
    classes: dict[str, Any]
    perceptual: str
    made: dict[str, Any]

    @property
    def finished(self) -> bool:
        return self.iteration >= int(self.config["schedule"]["iterations"])


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `iteration_<n>.pt` in `folder` and drop all but the newest `keep`."""
    path = folder / f"iteration_{checkpoint.iteration:08d}.pt"
    content = {
        "spadebench_checkpoint": FORMAT,
        "config": json.dumps(checkpoint.config),
        "iteration": checkpoint.iteration,
        "networks": checkpoint.networks,
        "optimisers": checkpoint.optimisers,
        "seconds": checkpoint.seconds,
        "peak_memory": checkpoint.peak_memory,
        "data": checkpoint.data,
        "classes": json.dumps(checkpoint.classes),
        "perceptual": checkpoint.perceptual,
        "made": json.dumps(checkpoint.made),
    }
    with atomic_path(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch reports a full disk so
            raise OSError(f"{error}".splitlines()[0]) from error
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("iteration_*.pt") if _NAME.fullmatch(path.name))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, onto the CPU. Raises UserError where it is missing, broken, or holds more than weights."""
    return checkpoint_of(load_state(path), path)


def checkpoint_of(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """The checkpoint in what `load_state` gives for a file. Raises UserError where it is none."""
    if "spadebench_checkpoint" not in content:
        raise UserError("this file is no spadebench checkpoint", where=str(path))
    if content["spadebench_checkpoint"] != FORMAT:
        raise UserError(
            f"checkpoint format {content['spadebench_checkpoint']} is not {FORMAT}",
            where=str(path),
            mend="use the spadebench version that wrote it",
        )
    return Checkpoint(
        config=json.loads(content["config"]),
        iteration=content["iteration"],
        networks=content["networks"],
        optimisers=content["optimisers"],
        seconds=content["seconds"],
        peak_memory=content["peak_memory"],
        data=content["data"],
        classes=json.loads(content["classes"]),
        perceptual=content["perceptual"],
        made=json.loads(content["made"]),
    )


def load_into(network: torch.nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load a state dict, naming what does not fit."""
    own = network.state_dict()
    wanted, given = ({key: tuple(value.shape) for key, value in each.items()} for each in (own, state))
    first = misfits(wanted, given)
    if first:
        count = len(first)
        raise UserError(
            f"the weights do not fit this method: {'; '.join(first[:3])}"
            + (f"; {count - 3} more" if count > 3 else ""),
            where=where,
            mend="name the method and options that it was trained with",
        )
    network.load_state_dict(dict(state))


def misfits(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What differs between the names and shapes of two state dicts, in words."""
    missing = [f"missing {key}" for key in wanted if key not in given]
    extra = [f"left over {key}" for key in given if key not in wanted]
    both = [key for key in wanted if key in given and wanted[key] != given[key]]
    return [*missing, *extra, *(f"{key} is {given[key]}, not {wanted[key]}" for key in both)]


def content_hash(path: Path) -> str:
    """First 12 hex digits of the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
