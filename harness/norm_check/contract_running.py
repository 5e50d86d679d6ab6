"""The points of a norm's contract about where and how it runs: devices, bf16 autocast, torch.compile."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
from collections.abc import Callable

import torch

from harness.norm_check.bench import SIZE, Bench
from harness.norm_check.points import (
    BrokenPointError,
    SkippedPointError,
    facts,
    must_be_finite,
    must_equal,
    must_have_dtype,
)

# bf16 has 8 bits of mantissa; what a layer computes of a few such numbers is this near.
NEAR = 0.05
FUSED = 1e-3


def _cpu(bench: Bench) -> None:
    _on(torch.device("cpu"), bench)


def _cuda(bench: Bench) -> None:
    if not torch.cuda.is_available():
        raise SkippedPointError("there is no GPU")
    _on(bench.device if bench.device.type == "cuda" else torch.device("cuda"), bench)


def _meta(bench: Bench) -> None:
    # In eval: on the first training batch a layer may look at values, which are not there.
    _on(torch.device("meta"), bench, training=False)


def _on(device: torch.device, bench: Bench, training: bool = True) -> None:
    layer = bench.start().to(device).train(training)
    out = layer(bench.x().to(device), bench.maps().to(device))
    if out.device.type != device.type:
        raise BrokenPointError(f"x is on {device.type}, and the output on {out.device.type}", facts("output", out))


def _autocast(bench: Bench) -> None:
    x, maps, layer = bench.x().bfloat16().requires_grad_(), bench.maps(), bench.layer()
    exact = bench.output(copy.deepcopy(layer), x.detach().float(), maps)
    with torch.autocast(bench.device.type, dtype=torch.bfloat16):
        out = bench.output(layer, x, maps)
    must_have_dtype("output", out, torch.bfloat16)
    must_be_finite("output", out)
    must_equal("output", out, exact, "the output in bf16 is far from that in float32", NEAR)
    out.float().square().sum().backward()
    for name, parameter in layer.named_parameters():
        if parameter.grad is not None:
            must_be_finite(f"gradient of {name}", parameter.grad)


def _compile(bench: Bench) -> None:
    if bench.compiler is None:
        raise SkippedPointError("not asked for")
    if bench.compiler == "inductor" and (lacking := _lacking(bench.device)):
        raise SkippedPointError(lacking)
    torch.compiler.reset()
    layer, x, maps = bench.layer(), bench.x(), bench.maps()
    wanted = bench.output(copy.deepcopy(layer), x, maps)
    compiled = copy.deepcopy(layer)
    compiled.compile(backend=bench.compiler)
    leaf = x.clone().requires_grad_()
    found = bench.output(compiled, leaf, maps)
    must_equal("output", found, wanted, "compiled, it gives another output", FUSED)
    found.square().sum().backward()
    assert leaf.grad is not None
    must_be_finite("gradient of x", leaf.grad)


def _lacking(device: torch.device) -> str:
    """What torch's compiler needs for a device and is not there; empty where nothing is."""
    if device.type == "cuda":
        return "" if importlib.util.find_spec("triton") else "triton, which compiles for GPUs, is not installed"
    asked = os.environ.get("CXX")
    there = any(shutil.which(name) for name in ([asked] if asked else ["g++", "clang++", "c++"]))
    return "" if there else f"there is no C++ compiler ({asked or 'g++'})"


RUNNING: tuple[tuple[str, str, Callable[[Bench], None]], ...] = (
    ("cpu", "runs on the CPU", _cpu),
    ("cuda", "runs on a GPU, and makes no tensor elsewhere", _cuda),
    ("meta", "runs without values in eval, so that its cost can be counted at any size", _meta),
    ("bf16", "under bf16 autocast, bfloat16 in, bfloat16 out, near float32", _autocast),
    ("compile", f"compiled by torch.compile it gives the same, at {SIZE[0]}x{SIZE[1]}", _compile),
)
