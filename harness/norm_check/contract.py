"""The contract of a norm layer (harness/method.py), point by point, on tensors small enough for any machine.

Each point has a layer of its own, built from the seed: what one point does to a layer cannot break the next.
Parameters are moved from their start where a training would have moved them, since a layer may well start
from zeros.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.norm_check.bench import SIZE, Bench
from harness.norm_check.contract_running import RUNNING
from harness.norm_check.points import (
    BrokenPointError,
    Point,
    facts,
    must_be_finite,
    must_equal,
    must_have_dtype,
    tried,
)

# Rounding of sums over a whole activation, float32.
ROUNDING = 1e-4


def check_contract(
    norm: Mapping[str, Any], spec: LabelSpec, device: torch.device, seed: int = 0, compiler: str | None = "inductor"
) -> tuple[Point, ...]:
    """Every point of the contract. norm: as a config has it, see layers.open_norm."""
    bench = Bench(norm, spec, device, seed, compiler)
    return tuple(tried(name, asks, partial(check, bench)) for name, asks, check in (*POINTS, *RUNNING))


def _shape(bench: Bench) -> None:
    for finer in (1, 2):
        bench.output(bench.start(), bench.x(), bench.maps(finer=finer))


def _dtype(bench: Bench) -> None:
    must_have_dtype("output", bench.output(bench.start(), bench.x(), bench.maps()), torch.float32)


def _gradient(bench: Bench) -> None:
    layer, x = bench.layer(), bench.x().requires_grad_()
    out = bench.output(layer, x, bench.maps())
    # Weighted: the plain sum over a normalised channel has no gradient.
    (out * bench.x(count=1, seed=3)).sum().backward()
    for name, leaf in (("x", x), *layer.named_parameters()):
        if not leaf.requires_grad:
            continue
        if leaf.grad is None:
            raise BrokenPointError(f"{name} gets no gradient", facts(name, leaf))
        must_be_finite(f"gradient of {name}", leaf.grad)
        if not bool(leaf.grad.any()):
            raise BrokenPointError(f"the gradient of {name} is 0 everywhere", facts(f"gradient of {name}", leaf.grad))


def _one(bench: Bench) -> None:
    layer = bench.layer()
    for training in (True, False):
        must_be_finite("output", bench.output(layer.train(training), bench.x(1), bench.maps(1)))


def _size(bench: Bench) -> None:
    for size in ((5, 9), (16, 8)):
        for training in (True, False):
            out = bench.output(bench.layer().train(training), bench.x(size=size), bench.maps(size=size))
            must_be_finite("output", out)


@torch.no_grad()
def _eval(bench: Bench) -> None:
    layer, x, maps = bench.layer().eval(), bench.x(), bench.maps()
    before = _state(layer)
    bench.output(layer, x, maps)
    _must_stay(before, layer, "moves in eval")


@torch.no_grad()
def _train(bench: Bench) -> None:
    layer = bench.layer().train()
    before = {name: value.clone() for name, value in layer.named_parameters()}
    bench.output(layer, bench.x(), bench.maps())
    for name, value in layer.named_parameters():
        must_equal(name, value, before[name], f"the parameter {name} moves in a forward")


@torch.no_grad()
def _same(bench: Bench) -> None:
    for training in (True, False):
        layer, x, maps = bench.layer().train(training), bench.x(), bench.maps()
        first = bench.output(copy.deepcopy(layer), x, maps)
        again = bench.output(copy.deepcopy(layer), x, maps)
        mode = "training" if training else "eval"
        must_equal("output", again, first, f"the same input gives another output in {mode}")


@torch.no_grad()
def _alone(bench: Bench) -> None:
    layer, x, maps = bench.layer().eval(), bench.x(3), bench.maps(3)
    together = bench.output(layer, x, maps)
    for i in range(3):
        alone = bench.output(layer, x[i : i + 1], maps[i : i + 1])
        must_equal("output", alone, together[i : i + 1], "in eval an image depends on the rest of its batch", ROUNDING)


@torch.no_grad()
def _input(bench: Bench) -> None:
    for training in (True, False):
        x, maps = bench.x(), _Watched(bench.maps())
        whole, indices = x.clone(), maps.indices.clone()
        bench.output(bench.layer().train(training), x, maps)
        must_equal("x", x, whole, "x is written to")
        must_equal("label map", maps.indices, indices, "the label map is written to")
        for made in maps.made:
            wanted = LabelMap(made.map.indices, made.map.spec, made.map.edges).one_hot(made.tensor.dtype)
            must_equal("one-hot label map", made.tensor, wanted, "the shared one-hot label map is written to")


@torch.no_grad()
def _labels(bench: Bench) -> None:
    for edges in (False, True):
        spec = LabelSpec(bench.spec.classes, edges)
        own = replace(bench, spec=spec)
        layer, maps = own.layer(), own.maps()
        bench.output(layer, bench.x(), maps)
        # Where a suite has an unknown class it is the last, or the first, of the classes; it may be all there is.
        for label in (0, spec.classes - 1):
            flat = torch.full_like(maps.indices, label)
            must_be_finite("output", bench.output(layer, bench.x(), LabelMap(flat, spec, maps.edges)))
        known = {*vars(LabelMap(maps.indices, spec, maps.edges))}
        if left := sorted({*vars(maps)} - known):
            raise BrokenPointError(f"the layer leaves '{left[0]}' on the label map")
        for name, module in layer.named_modules():
            for key, value in vars(module).items():
                if isinstance(value, Tensor) and value.shape[2:] in (SIZE, maps.size):
                    held = f"{name}.{key}".lstrip(".")
                    raise BrokenPointError(
                        f"the layer keeps a map that is no parameter or buffer: {held}", facts(held, value)
                    )


def _finite(bench: Bench) -> None:
    cases = {"constant": torch.full_like(bench.x(), 3.0), "zero": torch.zeros_like(bench.x()), "large": bench.x() * 1e4}
    for training in (True, False):
        for name, values in cases.items():
            layer, x = bench.layer().train(training), values.clone().requires_grad_()
            out = bench.output(layer, x, bench.maps())
            must_be_finite(f"output for {name} input", out)
            (out * bench.x(count=1, seed=3)).sum().backward()
            for key, leaf in (("x", x), *layer.named_parameters()):
                if leaf.grad is not None:
                    must_be_finite(f"gradient of {key} for {name} input", leaf.grad)


@torch.no_grad()
def _state_dict(bench: Bench) -> None:
    layer, fresh = bench.layer(), bench.start(bench.seed + 1)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, map_location=bench.device, weights_only=True))
    x, maps = bench.x(), bench.maps()
    for training in (False, True):
        found, wanted = (bench.output(each.train(training), x, maps) for each in (fresh, layer))
        mode = "training" if training else "eval"
        must_equal("output", found, wanted, f"a layer loaded from the state dict gives another output in {mode}")


@dataclass(frozen=True)
class _Made:
    map: LabelMap
    tensor: Tensor


class _Watched(LabelMap):
    """A label map that hands out one one-hot tensor per size, as generators share it, and remembers them."""

    def __init__(self, source: LabelMap, made: list[_Made] | None = None) -> None:
        super().__init__(source.indices, source.spec, source.edges)
        self.made: list[_Made] = [] if made is None else made

    def resized(self, height: int, width: int) -> LabelMap:
        return _Watched(super().resized(height, width), self.made)

    def one_hot(self, dtype: torch.dtype = torch.float32) -> Tensor:
        self.made.append(_Made(self, super().one_hot(dtype)))
        return self.made[-1].tensor


def _state(layer: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in (*layer.named_parameters(), *layer.named_buffers())}


def _must_stay(before: Mapping[str, Tensor], layer: nn.Module, what: str) -> None:
    for name, value in (*layer.named_parameters(), *layer.named_buffers()):
        must_equal(name, value, before[name], f"{name} {what}")


POINTS: tuple[tuple[str, str, Callable[[Bench], None]], ...] = (
    ("shape", "(N, C, h, w) in, the same shape out; label maps of another size are resized", _shape),
    ("dtype", "float32 in, float32 out", _dtype),
    ("gradient", "x and every parameter get a finite gradient that is not all 0", _gradient),
    ("batch of 1", "one image, in training and in eval", _one),
    ("size", "sizes that are odd and not square", _size),
    ("eval", "a forward in eval moves no parameter and no buffer", _eval),
    ("train", "a forward in training moves no parameter, after the first batch", _train),
    ("same", "the same input, state and seed of torch give the same output", _same),
    ("alone", "in eval an image does not depend on the rest of its batch", _alone),
    ("input", "x, the label map and its shared one-hot form are not written to", _input),
    ("labels", "class indices with or without edges, unknown pixels; no one-hot form is stored", _labels),
    ("finite", "constant, zero and large (3e4) input gives finite output and gradients", _finite),
    ("state dict", "saved and loaded into another layer, it gives the same output", _state_dict),
)
