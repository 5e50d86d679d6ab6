"""The rows of Table 4: SPADE's input, kernel, width and parameter-free norm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from baselines.methods import spade
from harness.method import Method, Part
from harness.registry import METHODS


def _variation(name: str, title: str, options: dict[str, Any]) -> Method:
    """SPADE's method with other options of its generator."""
    return replace(spade(), name=name, title=title, generator=Part("spade", options))


def _norm(**options: Any) -> dict[str, Any]:
    return {"norm": {"name": "spade", **options}}


@METHODS.register_module(name="spade_z")
def spade_z() -> Method:
    """The decoder starts from noise, not from the label map; no encoder."""
    return _variation("spade_z", "input: random z", {"use_z": True})


@METHODS.register_module(name="spade_kernel1")
def spade_kernel1() -> Method:
    """SPADE's convs 1x1."""
    return _variation("spade_kernel1", "kernel 1x1", _norm(kernel=1))


@METHODS.register_module(name="spade_kernel5")
def spade_kernel5() -> Method:
    """SPADE's convs 5x5."""
    return _variation("spade_kernel5", "kernel 5x5", _norm(kernel=5))


@METHODS.register_module(name="spade_ngf80")
def spade_ngf80() -> Method:
    """SPADE with ngf 80: 141M parameters."""
    return _variation("spade_ngf80", "#params 141M", {"ngf": 80})


@METHODS.register_module(name="spade_batch")
def spade_batch() -> Method:
    """Batch norm inside SPADE, each process with the statistics of its own part of the batch."""
    return _variation("spade_batch", "BatchNorm", _norm(base="batch"))


@METHODS.register_module(name="spade_instance")
def spade_instance() -> Method:
    """Instance norm inside SPADE."""
    return _variation("spade_instance", "InstanceNorm", _norm(base="instance"))
