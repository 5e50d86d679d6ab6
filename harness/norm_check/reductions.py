"""Which known norm a norm is equal to at some setting of its parameters: found by fitting, said only when verified.

The known ones normalise by a base and then scale and shift, by one value per channel (`batch` and its like), by
the classes of the image (`conditional_batch`), or by the class of each pixel (`clade`, and `spade` with kernel 1,
whose convs look classes up). So a norm's answers to uniform label maps are fitted by a scale and a shift per
class and channel; a rival is filled with these and both are run on activations that the fit has not seen.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.labels import LabelSpec
from harness.norm_check.layers import activation, built, random_maps, spread, uniform_maps

# 12 channels: groups of group norm are then neither single channels nor all.
CLASSES, CHANNELS, SIDE = 5, 12, 20
MARGIN = SIDE // 4
PIXELWISE = ("clade", "spade")
BASES = ("batch", "instance", "layer", "group", "none")
# Greatest difference, absolute and relative to the greatest output, that float32 may leave. Of the norms that ship
# it leaves up to a tenth of this.
SAME = 1e-5
SPEC = LabelSpec(CLASSES)


@dataclass(frozen=True)
class Reduction:
    """`at` this setting of its parameters the norm equals `rival`.

    rival: registry name with the options that matter. maps: `any` label maps or `uniform` ones only.
    inner: whether only away from the border, where a padded conv sees zeros. modes: `training and eval` or one.
    gap: the greatest difference seen.
    """

    at: str
    rival: str
    maps: str
    inner: bool
    modes: str
    gap: float

    def line(self) -> str:
        """For people."""
        where = " on uniform label maps" if self.maps == "uniform" else ""
        where += " away from borders" if self.inner else ""
        return f"with {self.at} it equals {self.rival}{where}, in {self.modes} (within {self.gap:.1g})"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "line": self.line()}


@torch.no_grad()
def reductions(norm: Mapping[str, Any], seed: int = 0) -> tuple[Reduction, ...]:
    """All that were found and verified, on the CPU; empty where none was. norm: as a config has it."""
    found: list[Reduction] = []
    for at, layer in _settings(norm, seed):
        shared = _same_parameters(at, norm, layer, seed) if not found else ()
        for each in (*shared, *_fitted(at, norm, layer, seed)):
            if not any(_covers(earlier, each) for earlier in found):
                found.append(each)
    return tuple(found)


def _covers(earlier: Reduction, later: Reduction) -> bool:
    """Whether a later, more special setting says nothing new."""
    same = earlier.rival == later.rival and earlier.inner <= later.inner
    return same and earlier.maps in ("any", later.maps)


def _settings(norm: Mapping[str, Any], seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Layers that have seen no batch, the most general setting first."""

    def drawn(value: Mapping[str, Any]) -> nn.Module:
        return spread(built(value, CHANNELS, SPEC, seed), seed, by=0.3)

    layer = drawn(norm)
    parameters = list(layer.parameters())
    yield "random parameters" if parameters else "no parameters", layer
    kernel = norm.get("kernel")
    if isinstance(kernel, int) and kernel > 1:
        yield "kernel 1 and random parameters", drawn({**norm, "kernel": 1})
    weights = [m.weight for m in layer.modules() if isinstance(m, nn.Conv2d | nn.Linear) and m.weight.requires_grad]
    if weights:
        constant = copy.deepcopy(layer)
        for module in constant.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.zero_()
        yield "all weights 0, biases kept", constant
    inside = {id(weight) for weight in weights}
    others = [(name, p) for name, p in layer.named_parameters() if id(p) not in inside]
    tables = [name for name, p in others if p.dim() > 1 and p.shape[0] == CLASSES]
    if tables:
        one_row = copy.deepcopy(layer)
        for name in tables:
            table = one_row.get_parameter(name)
            table.copy_(table[:1].expand_as(table).clone())
        yield "one row for all classes", one_row
    if parameters:
        zero = copy.deepcopy(layer)
        for parameter in zero.parameters():
            parameter.zero_()
        yield "all parameters 0", zero


def _same_parameters(at: str, norm: Mapping[str, Any], layer: nn.Module, seed: int) -> Iterator[Reduction]:
    """Rivals whose parameters have the same names and shapes, given the same values."""
    own = {name: value.shape for name, value in layer.named_parameters()}
    for rival in ("spade", "clade", "conditional_batch") if own else ():
        if rival == norm["name"]:
            continue
        for base in BASES:
            other = built({"name": rival, "base": base}, CHANNELS, SPEC, seed)
            if {name: value.shape for name, value in other.named_parameters()} != own:
                break
            other.load_state_dict(dict(layer.named_parameters()), strict=False)
            if (same := _compared(layer, other, 0, seed)) is not None:
                yield Reduction(f"{at}, the same in both,", f"{rival} (base {base})", *same)
                break


def _fitted(at: str, norm: Mapping[str, Any], layer: nn.Module, seed: int) -> Iterator[Reduction]:
    """For each base the plainest rival that is equal on any label map, and else one that is on uniform maps."""
    for base in BASES:
        for margin in (0, MARGIN):
            fit = _fit(copy.deepcopy(layer), base, margin, seed)
            if fit is None:
                continue
            same = [
                Reduction(at, title, *how)
                for title, rival in _rivals(base, *fit, seed)
                if (how := _compared(layer, rival, margin, seed)) is not None
            ]
            everywhere = [each for each in same if each.maps == "any"]
            # Pixel-wise rivals that are constant over all pixels are the plain one again.
            plain = [each for each in everywhere if not each.rival.startswith(PIXELWISE)]
            uniform = [] if plain else [each for each in same if each.maps == "uniform"]
            yield from (r for r in (*(plain[:1] or everywhere), *uniform[:1]) if r.rival.split()[0] != norm["name"])
            if same:
                break


def _fit(layer: nn.Module, base: str, margin: int, seed: int) -> tuple[Tensor, Tensor] | None:
    """Scale and shift per class and channel, (CLASSES, CHANNELS) each; None where they do not describe the layer."""
    x, maps = activation((CLASSES, CHANNELS, SIDE, SIDE), seed + 1), uniform_maps(SIDE, SIDE, SPEC)
    u, y = (_crop(each.train()(x, maps), margin).flatten(2).double() for each in (_plain(base, seed), layer))
    u_mean, y_mean = u.mean(2, keepdim=True), y.mean(2, keepdim=True)
    scale = ((u - u_mean) * (y - y_mean)).sum(2, keepdim=True) / (u - u_mean).square().sum(2, keepdim=True)
    shift = y_mean - scale * u_mean
    away = float((scale * u + shift - y).abs().max())
    # A scale of 0 fits every base, and says nothing.
    if not away <= SAME * (1 + float(y.abs().max())) or not bool((scale.abs() > SAME).any()):
        return None
    return scale[:, :, 0].float(), shift[:, :, 0].float()


def _plain(base: str, seed: int) -> nn.Module:
    return built({"name": base}, CHANNELS, SPEC, seed)


def _rivals(base: str, scale: Tensor, shift: Tensor, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Title, that begins with the registry name, and layer of each rival, filled; the plainest first."""

    def rival(name: str, **given: Any) -> Any:
        return built({"name": name, **given}, CHANNELS, SPEC, seed)

    constant = max(float((t - t[:1]).abs().max()) for t in (scale, shift)) < SAME * (1 + float(scale.abs().max()))
    if constant and base != "none":
        affine = rival(base, affine=True)
        affine.weight.copy_(scale[0])
        affine.bias.copy_(shift[0])
        as_it_is = float((scale - 1).abs().max()) < SAME and float(shift.abs().max()) < SAME
        yield base if as_it_is else f"{base} (affine)", affine
    for name in ("conditional_batch", "clade"):
        tables = rival(name, base=base)
        tables.scale.copy_(scale)
        tables.shift.copy_(shift)
        one = " with one row for all classes" if constant else ""
        yield f"{name} (base {base}){one}", tables
    spade = rival("spade", kernel=1, hidden=CLASSES, base=base)
    spade.mlp_shared[0].weight.copy_(torch.eye(CLASSES)[:, :, None, None])
    spade.mlp_shared[0].bias.zero_()
    for conv, table in ((spade.mlp_gamma, scale - 1), (spade.mlp_beta, shift)):
        conv.weight.copy_(table.t()[:, :, None, None])
        conv.bias.zero_()
    yield f"spade (kernel 1, base {base})", spade


def _compared(one: nn.Module, other: nn.Module, margin: int, seed: int) -> tuple[str, bool, str, float] | None:
    """maps, inner, modes and gap of a Reduction.

    None where the layers differ on uniform maps, or where `other` gives one value per channel there: it then has
    nothing left of x, and any base would do.
    """
    one, other = copy.deepcopy(one), copy.deepcopy(other)
    # Of another mean and spread than what was fitted, so that a constant does not stand for a statistic of x.
    x = 2 * activation((2 * CLASSES, CHANNELS, SIDE, SIDE), seed + 2) + 3
    # A first batch may set parameters from its own statistics.
    for each in (one, other):
        each.train()(3 * x[:CLASSES] - 2, uniform_maps(SIDE, SIDE, SPEC))
    cases = {"uniform": uniform_maps(SIDE, SIDE, SPEC), "any": random_maps(CLASSES, 2 * SIDE, 2 * SIDE, SPEC, seed, 5)}
    gaps: dict[tuple[str, str], float] = {}
    for mode in ("training", "eval"):
        for i, (maps_name, maps) in enumerate(cases.items()):
            part = x[i * CLASSES : (i + 1) * CLASSES]
            a, b = (_crop(each.train(mode == "training")(part, maps), margin) for each in (one, other))
            if maps_name == "uniform" and float((b.amax((2, 3)) - b.amin((2, 3))).max()) <= SAME:
                return None
            gap = float((a - b).abs().max())
            gaps[maps_name, mode] = gap if gap <= SAME * (1 + float(b.abs().max())) else torch.inf
    for maps_name, needed in (("any", ("any", "uniform")), ("uniform", ("uniform",))):
        modes = [m for m in ("training", "eval") if all(gaps[n, m] < torch.inf for n in needed)]
        if modes:
            worst = max(gaps[n, m] for n in needed for m in modes)
            return maps_name, margin > 0, " and ".join(modes), worst
    return None


def _crop(x: Tensor, margin: int) -> Tensor:
    return x[:, :, margin : x.shape[2] - margin, margin : x.shape[3] - margin]
