"""What a norm layer costs beside SPADE's: counted, and measured side by side on one machine.

Alone a time says little: the two are run in turns, forward and backward, and compared by their medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from harness.cells import resolve
from harness.cost import method_cost
from harness.hardware import clock
from harness.labels import LabelMap, LabelSpec
from harness.norm_check.layers import activation, built, random_maps
from harness.norm_check.live_bytes import peak_bytes
from harness.registry import NORMS, lookup
from harness.suites.base import Suite
from harness.training.networks import build_networks, construct, z_dim_of

METHOD, RIVAL = "spade", "spade"


@dataclass(frozen=True)
class Run:
    """What was counted and measured of a layer, or of a generator with it in place of its norm.

    parameters; multiply_adds: of convolutions and matrix products, for one image, in eval mode.
    forward, backward: seconds in training mode, the median of the repeats. memory: bytes at the peak of one
    forward and backward, beside weights and input; None where it could not be measured.
    """

    parameters: int
    multiply_adds: int
    forward: float
    backward: float
    memory: int


@dataclass(frozen=True)
class Beside:
    """A Run of the norm and one of SPADE in the same place."""

    own: Run
    spade: Run

    def ratios(self) -> dict[str, float | None]:
        """Own over SPADE's; None where SPADE's is 0."""
        own, spade = asdict(self.own), asdict(self.spade)
        return {key: own[key] / spade[key] if spade[key] else None for key in own}


@dataclass(frozen=True)
class NormCost:
    """channels, size: of the layer's input: the largest that a norm has in the suite's generator.

    spade: SPADE's own options on the suite. batch: images in what was timed. device: where. repeats: of each, in turns.
    """

    layer: Beside
    generator: Beside
    spade: dict[str, Any]
    channels: int
    size: tuple[int, int]
    batch: int
    repeats: int
    device: str
    measured: str

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values, the ratios with them."""
        plain = asdict(self)
        for key in ("layer", "generator"):
            plain[key]["ratio"] = getattr(self, key).ratios()
        return plain


def rounds(repeats: int) -> int:
    """How often norm_cost times the two beside each other: layers and generators, each after a warm-up."""
    return 2 * (1 + repeats)


def norm_cost(
    norm: Mapping[str, Any],
    suite: Suite,
    spec: LabelSpec,
    device: torch.device,
    seed: int = 0,
    batch: int = 1,
    repeats: int = 5,
    tick: Callable[[], None] = lambda: None,
) -> NormCost:
    """Cost of `norm` (as a config has it) against SPADE as the suite has it, both in SPADE's generator.

    spec: of the suite's label maps. tick is called after each of `rounds(repeats)` timed rounds.
    Raises UserError for an option that cannot be, and whatever the layer raises.
    """
    own = resolve(METHOD, suite, seed, {"generator.norm": dict(norm)}).config
    theirs = resolve(METHOD, suite, seed).config
    spade = theirs["method"]["generator"]["norm"]
    channels, size = _largest(theirs, spec)
    height, width = suite.size
    maps = random_maps(batch, height, width, spec, seed, square=max(1, height // 8), device=device)
    x = activation((batch, channels, *size), seed, device)
    layers = [built(each, channels, spec, seed).to(device).train() for each in (norm, spade)]
    counts = [_layer_counts(each, channels, size, spec, suite.size) for each in (norm, spade)]
    layer = Beside(*_runs([_layer_forward(each, x, maps) for each in layers], layers, counts, device, repeats, tick))

    generators = [build_networks(config, spec).generator.to(device).train() for config in (own, theirs)]
    whole = [method_cost(config, spec).generator for config in (own, theirs)]
    counts = [(each.parameters, each.multiply_adds) for each in whole]
    forwards = [_generator_forward(each, maps) for each in generators]
    generator = Beside(*_runs(forwards, generators, counts, device, repeats, tick))
    return NormCost(
        layer,
        generator,
        spade,
        channels,
        size,
        batch,
        repeats,
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "seconds, median of the repeats, the two in turns after a warm-up; memory: "
        + (
            "the allocator's peak"
            if device.type == "cuda"
            else "the tensors alive at the peak, scratch of kernels left out"
        ),
    )


def _largest(config: Mapping[str, Any], spec: LabelSpec) -> tuple[int, tuple[int, int]]:
    """Channels and (h, w) of the largest activation that a norm of SPADE's generator gets, the first of these."""
    found: list[torch.Size] = []
    with FakeTensorMode(), torch.no_grad():
        generator = construct(config, spec).generator.eval()
        kind = lookup(NORMS, RIVAL)
        for module in generator.modules():
            if isinstance(module, kind):
                module.register_forward_pre_hook(lambda _, args: found.append(args[0].shape))
        generator(_blank_maps(config["suite"]["size"], spec), _noise(generator, 1))
    shape = max(found, key=lambda each: each.numel())
    return shape[1], (shape[2], shape[3])


def _layer_counts(
    norm: Mapping[str, Any], channels: int, size: tuple[int, int], spec: LabelSpec, maps: tuple[int, int]
) -> tuple[int, int]:
    """Parameters and multiply-adds of a layer for one image."""
    with FakeTensorMode(), torch.no_grad():
        layer = built(norm, channels, spec, 0).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            layer(torch.zeros(1, channels, *size), _blank_maps(maps, spec))
        # The counter has two operations to a multiply-add.
        return sum(p.numel() for p in layer.parameters()), counter.get_total_flops() // 2


def _blank_maps(size: tuple[int, int], spec: LabelSpec) -> LabelMap:
    edges = torch.zeros(1, *size, dtype=torch.bool) if spec.edges else None
    return LabelMap(torch.zeros(1, *size, dtype=torch.int64), spec, edges)


def _noise(generator: nn.Module, count: int, device: torch.device | str = "cpu") -> Tensor | None:
    z_dim = z_dim_of(generator)
    return torch.zeros(count, z_dim, device=device) if z_dim else None


def _layer_forward(layer: nn.Module, x: Tensor, maps: LabelMap) -> Callable[[], Tensor]:
    # A fresh copy of the label map: in a generator the resized one is shared, but each layer may be the first.
    return lambda: layer(x.clone().requires_grad_(), maps[:])


def _generator_forward(generator: nn.Module, maps: LabelMap) -> Callable[[], Tensor]:
    z = _noise(generator, len(maps), maps.device)
    return lambda: generator(maps[:], z)


def _runs(
    forwards: list[Callable[[], Tensor]],
    networks: list[nn.Module],
    counts: list[tuple[int, int]],
    device: torch.device,
    repeats: int,
    tick: Callable[[], None],
) -> list[Run]:
    """Time the forwards in turns; the first round warms up, and memory is measured after the last."""
    times: list[list[tuple[float, float]]] = [[] for _ in forwards]
    for forward, network in zip(forwards, networks, strict=True):
        _once(forward, network, device)
    tick()
    for _ in range(repeats):
        for i, forward in enumerate(forwards):
            times[i].append(_once(forward, networks[i], device))
        tick()
    runs = []
    for i, forward in enumerate(forwards):
        with peak_bytes(device) as peak:
            _once(forward, networks[i], device)
        ahead, back = (statistics.median(column) for column in zip(*times[i], strict=True))
        runs.append(Run(*counts[i], ahead, back, peak.bytes))
    return runs


def _once(forward: Callable[[], Tensor], network: nn.Module, device: torch.device) -> tuple[float, float]:
    """Seconds of a forward and of the backward behind it."""
    network.zero_grad(set_to_none=True)
    began = clock(device)
    out = forward()
    middle = clock(device)
    out.square().mean().backward()
    return middle - began, clock(device) - middle
