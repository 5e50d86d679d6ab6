"""Generators from files that hold weights alone: the official codes' `latest_net_G.pth`, and our own exports.

An official file is a bare state dict. Method, widths and norm are told by its names and shapes
(LAYOUTS, harness/method.py); what those cannot tell comes from the suite that it is read for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from harness.data.base import Classes
from harness.data.encode import label_spec
from harness.errors import UserError
from harness.export import FORMAT
from harness.official_layouts import recognise
from harness.official_release import OFFICIAL, Released, released
from harness.official_weights import restore
from harness.suites.base import Suite
from harness.training.checkpoints import Checkpoint, content_hash
from harness.training.networks import build_generator
from harness.weights import load_state

UNKNOWN = "official checkpoint: training data, seed and schedule unknown, overlap with the scored images not checked"


def is_safetensors(path: Path) -> bool:
    """Whether a file is of that kind, by its first bytes: a length, then the brace of a JSON header."""
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False  # who reads it will say so


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises UserError where it is broken."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118  # it cannot be iterated itself
    except (SafetensorError, OSError) as error:
        raise UserError("cannot read this file, it is broken", where=str(path), mend="replace the file") from error


def read_official(path: Path, suite: Suite, classes: Classes, content: Mapping[str, Any] | None = None) -> Released:
    """The generator in an official file, recognised for the label maps of a suite with these classes.

    content: what `load_state` or `read_safetensors` gives for the file, where it was read already.
    Raises UserError where it is no bare state dict, of no known layout, or reads other label maps.
    """
    state = _tensors(load_state(path) if content is None else content, str(path))
    spec = label_spec(classes, suite.unknown, suite.edges)
    found = recognise({key: tuple(value.shape) for key, value in state.items()}, suite, spec, str(path))
    with torch.device("meta"):
        generator = build_generator(found.config, spec, suite.size)
    state, restored = restore(generator, state)
    height, width = suite.size
    taken = "".join(f", {key} {value}" for key, value in found.from_suite.items())
    notes = [UNKNOWN, f"taken from suite {suite.name}, not from the file: size {width}x{height}, label encoding{taken}"]
    if restored:
        notes.append(f"weight_v of {restored} layers restored: the file is of an older torch")
    if generator.z_dim:
        notes.append("no encoder: z is noise")
    return Released(
        config=found.config,
        iteration=0,
        networks={"generator": state},
        optimisers={},
        seconds=0.0,
        peak_memory=0,
        data="",
        classes=asdict(classes),
        perceptual="",
        made={},
        id=content_hash(path),
        detail={"file": path.name, "official": True},
        notes=tuple(notes),
    )


def read_export(path: Path, state: dict[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    """The checkpoint that `spadebench export` wrote to a file, less its other networks and the optimisers.

    A Released where the exported file was an official one. Raises UserError for another format, and for
    metadata that are not whole.
    """
    if metadata["spadebench_export"] != str(FORMAT):
        raise UserError(
            f"export format {metadata['spadebench_export']} is not {FORMAT}",
            where=str(path),
            mend="use the spadebench version that wrote it",
        )
    try:
        found = Checkpoint(
            config=json.loads(metadata["config"]),
            iteration=int(metadata["iteration"]),
            networks={"generator": state},
            optimisers={},
            seconds=float(metadata["seconds"]),
            peak_memory=int(metadata["peak_memory"]),
            data=metadata["data"],
            classes=json.loads(metadata["classes"]),
            perceptual=metadata["perceptual"],
            made=json.loads(metadata["made"]),
        )
        return found if OFFICIAL not in metadata else released(found, json.loads(metadata[OFFICIAL]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("the metadata of this export are broken", where=str(path), mend="export it anew") from error


def _tensors(content: Mapping[Any, Any], where: str) -> dict[str, Tensor]:
    """A bare state dict, its names without the `module.` of a DataParallel."""
    wrong = next(filter(None, map(_wrong, content.items())), None if content else "it is empty")
    if wrong:
        raise UserError(f"no state dict: {wrong}", where=where, mend="save the generator's bare state dict")
    for key, value in content.items():
        # As float32, which is what networks are made of here: a number that is too large for it is none.
        if value.is_floating_point() and not bool(torch.isfinite(value.float()).all()):
            raise UserError(f"'{key}' holds NaN or infinity", where=where, mend="take a file saved before it diverged")
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {key.removeprefix(prefix): value for key, value in content.items()}


def _wrong(entry: tuple[Any, Any]) -> str | None:
    """What keeps an entry out of a state dict, in words."""
    key, value = entry
    if not isinstance(key, str):
        return f"the key {key!r} is no word"
    if not isinstance(value, Tensor):
        return f"'{key}' is no tensor"
    return None if value.layout == torch.strided else f"'{key}' is no dense tensor"
