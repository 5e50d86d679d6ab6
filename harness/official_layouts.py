"""Which method a state dict with certain names and shapes belongs to; no weight is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from harness.cells import resolve
from harness.errors import UserError
from harness.labels import LabelSpec
from harness.method import Method
from harness.official_weights import Shapes, restorable, superfluous
from harness.registry import GENERATORS, LAYOUTS, METHODS, NORMS, lookup, names, options
from harness.suites.base import Suite
from harness.training.checkpoints import misfits
from harness.training.networks import build_generator

# Names that only other networks have, and what those are.
_OTHERS = {
    "model1_1.": "pix2pixHD's LocalEnhancer (label2city_1024p), which is not supported",
    "discriminator_0.": "a discriminator",
    "scale0_layer0.": "a discriminator",
    "fc_mu.": "an image encoder",
}


@dataclass(frozen=True)
class Recognised:
    """What a state dict is, for a suite.

    config: what is known of a cell's config: `method` (its generator, no other network), `suite`,
    `threads`, the `seed` of noise. from_suite: the generator's options that names and shapes do not tell.
    """

    method: str
    title: str
    config: dict[str, Any]
    from_suite: dict[str, Any]


def recognise(shapes: Shapes, suite: Suite, spec: LabelSpec, where: str) -> Recognised:
    """The method and options of a state dict with these names and shapes, for a suite's label maps `spec`.

    Raises UserError for another network's names, for label maps of another number of channels, and
    for what fits no method: then it names the closest one and what differs.
    """
    for key in shapes:
        for beginning, what in _OTHERS.items():
            if key.startswith(beginning):
                raise UserError(f"the weights of {what}", where=where, mend="give a generator, latest_net_G.pth")
    fitting: list[Recognised] = []
    near: list[tuple[int, str, str]] = []
    channels: set[int] = set()
    for name in names(GENERATORS):
        told = _told(name, shapes, suite, where)
        found = None if told is None else _recognised(name, told, suite)
        if told is None or found is None:
            continue
        if told.get("labels", spec.channels) != spec.channels:
            channels.add(told["labels"])
            continue
        wrong = _misfits(_own_shapes(found.config, spec, suite), shapes)
        if not wrong:
            fitting.append(found)
        near.append((len(wrong), found.method, _listed(wrong)))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        both = " and ".join(found.method for found in fitting)
        raise UserError(f"these weights fit more than one method: {both}", where=where)
    if channels:
        raise UserError(
            f"this network reads {min(channels)} channels, suite {suite.name} gives {spec.channels}",
            where=where,
            mend="name the suite that it was trained for",
        )
    raise UserError(
        f"these weights fit no method; {_closest(near, shapes, suite, spec)}",
        where=where,
        mend="give latest_net_G.pth of SPADE, pix2pixHD++ or pix2pixHD's global generator",
    )


def _told(name: str, shapes: Shapes, suite: Suite, where: str) -> dict[str, Any] | None:
    """What a generator says of a state dict: its options, or None."""
    if name not in names(LAYOUTS):
        return None
    try:
        told: dict[str, Any] | None = lookup(LAYOUTS, name)(shapes, suite.size)
    except UserError as error:
        raise UserError(error.what, where=f"{where}, suite {suite.name}", mend=error.mend) from error
    return told


def _recognised(generator: str, told: dict[str, Any], suite: Suite) -> Recognised | None:
    """A generator with these options as the method that is nearest to it; None where no method has it."""
    methods = [lookup(METHODS, name)() for name in names(METHODS)]
    methods = [method for method in methods if method.generator.name == generator]
    if not methods:
        return None
    method = min(methods, key=lambda method: _distance(method, told))
    # The suite's factors on widths are for trainings of its own.
    full = resolve(method.name, replace(suite, scaled={})).config
    told = {key: value for key, value in told.items() if key != "labels"}
    built = {**full["method"]["generator"], **told}
    kept = ("name", "data", "data_options", "train_split", "size", "edges", "unknown")
    config = {
        "title": method.title,
        "method": {"name": method.name, "generator": built, "discriminator": None, "encoder": None},
        "suite": {key: full["suite"][key] for key in kept},
        "threads": full["threads"],
        "seed": 0,
        "overrides": {},
    }
    from_suite = {key: value for key, value in built.items() if key not in told and key != "name"}
    return Recognised(method.name, method.title, config, from_suite)


def _distance(method: Method, told: Mapping[str, Any]) -> tuple[int, bool, bool, str]:
    """How far a method's generator is from the options told; of equal ones, the plain method comes first."""
    own = options(GENERATORS, method.generator.name, method.generator.options, skip=2)
    differing = sum(_plain(own[key]) != _plain(value) for key, value in told.items() if key in own)
    return differing, method.name != method.generator.name, method.encoder is None, method.name


def _plain(value: Any) -> Any:
    """An option's value, a norm's with all its options."""
    if isinstance(value, str) and value in NORMS.module_dict:
        value = {"name": value}
    if not isinstance(value, Mapping):
        return value
    given = {key: each for key, each in value.items() if key != "name"}
    return {"name": value["name"], **options(NORMS, value["name"], given, skip=2)}


def _own_shapes(config: Mapping[str, Any], spec: LabelSpec, suite: Suite) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the generator of a config."""
    with torch.device("meta"):
        state = build_generator(config, spec, suite.size).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


def _misfits(wanted: Shapes, shapes: Shapes) -> list[str]:
    """What keeps a state dict from fitting a generator; nothing where it fits, or can be made to."""
    given = {key: shape for key, shape in shapes.items() if key in wanted or not superfluous(key, shapes)}
    given |= {key: shape for key, shape in wanted.items() if key not in shapes and restorable(key, shapes)}
    return misfits(wanted, given)


def _listed(wrong: Sequence[str]) -> str:
    return "; ".join(wrong[:3]) + (f"; {len(wrong) - 3} more" if len(wrong) > 3 else "")


def _closest(near: list[tuple[int, str, str]], shapes: Shapes, suite: Suite, spec: LabelSpec) -> str:
    """Which method comes closest and what differs: by the options told, else by the names shared."""
    if near:
        _, method, wrong = min(near)
        return f"closest is {method}: {wrong}"
    shared = []
    for name in names(GENERATORS):
        found = _recognised(name, {}, suite) if name in names(LAYOUTS) else None
        if found is not None:
            own = _own_shapes(found.config, spec, suite)
            shared.append((-len(own.keys() & shapes.keys()), found.method, _listed(_misfits(own, shapes))))
    count, method, wrong = min(shared)
    if not count:
        return f"none has a name like {', '.join(list(shapes)[:3])}"
    return f"closest is {method}: {wrong}"
