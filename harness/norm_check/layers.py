"""The norm layer under check: found by what the user calls it, built and drawn from a seed."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import UserError, did_you_mean
from harness.labels import LabelMap, LabelSpec
from harness.option_values import filled_norm
from harness.registry import NORMS, import_plugin, lookup, names, options

# How far parameters are moved from their start, in place of a training.
SPREAD = 0.1


def open_norm(spec: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The norm that `spec` names, as the value that a config holds: its registry name and all its options.

    spec: a registry name, `FILE.py:NAME` or `MODULE:NAME`. The file or module is code and is run; NAME is a
    class or function with the contract of a norm (harness/method.py). One that is not registered yet is
    registered for this process, under its name in snake case.
    given: options that differ from their defaults. Raises UserError.
    """
    source, colon, name = spec.rpartition(":")
    if not colon:
        name = spec
        if spec.endswith(".py"):
            raise UserError("the name in the file is missing", where=spec, mend=f"give {spec}:NAME")
    elif not (source and name):
        raise UserError("this names no norm", where=spec, mend="give a name, FILE.py:NAME or MODULE:NAME")
    else:
        name = _registered(_object(source, name), name, spec)
    return filled_norm("norm", {"name": name, **(given or {})}, spec)


def built(norm: Mapping[str, Any], channels: int, labels: LabelSpec, seed: int) -> nn.Module:
    """A norm layer at its start, a function of the seed alone. norm: a name under `name`, and options."""
    given = {key: value for key, value in norm.items() if key != "name"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = lookup(NORMS, norm["name"])(channels, labels, **options(NORMS, norm["name"], given, skip=2))
        if not isinstance(layer, nn.Module):
            raise TypeError(f"the norm is a {type(layer).__name__}, not an nn.Module")
        _start(layer, torch.Generator().manual_seed(seed))
    return layer


@torch.no_grad()
def spread(layer: nn.Module, seed: int, by: float = SPREAD) -> nn.Module:
    """The layer, each parameter moved by normal noise of standard deviation `by`."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        noise = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        parameter.add_(by * noise.to(parameter))
    return layer


def random_maps(
    count: int, height: int, width: int, spec: LabelSpec, seed: int, square: int = 1, device: torch.device | str = "cpu"
) -> LabelMap:
    """Label maps of squares of `square` pixels, each of a random class; edges where the spec has them, at random."""
    rng = torch.Generator().manual_seed(seed)
    rows, columns = -(-height // square), -(-width // square)
    coarse = torch.randint(0, spec.classes, (count, rows, columns), generator=rng)
    fine = coarse.repeat_interleave(square, 1).repeat_interleave(square, 2)[:, :height, :width].contiguous()
    edges = torch.rand(fine.shape, generator=rng) < 0.2 if spec.edges else None
    return LabelMap(fine, spec, edges).to(device)


def uniform_maps(height: int, width: int, spec: LabelSpec) -> LabelMap:
    """One label map of each class; no edges are set."""
    indices = torch.arange(spec.classes).view(-1, 1, 1).expand(-1, height, width).contiguous()
    return LabelMap(indices, spec, torch.zeros_like(indices, dtype=torch.bool) if spec.edges else None)


def activation(shape: tuple[int, ...], seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Normal values of mean 1 and standard deviation 3, float32."""
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1).to(device)


def _start(layer: nn.Module, rng: torch.Generator) -> None:
    """Have those set themselves that can, as a network does (harness/method.py)."""
    own = getattr(layer, "initialise", None)
    if own is not None:
        own(rng)
        return
    for child in layer.children():
        _start(child, rng)


def _object(source: str, name: str) -> Any:
    try:
        import_plugin(source)
    except UserError as error:
        mend = "give FILE.py:NAME or MODULE:NAME" if error.what == "no such file" else error.mend
        raise UserError(error.what, where=source, mend=mend) from error
    module = sys.modules[Path(source).stem if source.endswith(".py") else source]
    found = getattr(module, name, None)
    if found is None:
        known = [key for key in vars(module) if not key.startswith("_")]
        raise UserError(f"there is no '{name}' in it", where=source, mend=did_you_mean(name, known))
    if not inspect.isclass(found) and not inspect.isfunction(found):
        raise UserError(f"'{name}' is a {type(found).__name__}", where=source, mend="name a class or a function")
    return found


def _registered(found: Any, name: str, spec: str) -> str:
    """The registry name of a class or function, which is registered where it is not yet."""
    for known in names(NORMS):
        if NORMS.module_dict[known] is found:
            return known
    parameters = list(inspect.signature(found).parameters.values())
    if len(parameters) < 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise UserError(
            "a norm is called with (channels, labels) and its options",
            where=spec,
            mend="see docs/norm-tutorial.md, or start from spadebench validate-norm --template",
        )
    called = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if called in NORMS.module_dict:
        raise UserError(f"a norm '{called}' is registered already", where=spec, mend="rename yours")
    NORMS.register_module(name=called, module=found)
    return called
