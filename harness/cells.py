"""Cells: method × suite × seed × overrides, resolved to one plain config whose hash is the cell's id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args, get_type_hints

from harness.code_version import code_version
from harness.errors import UserError, did_you_mean
from harness.method import Losses, Method
from harness.option_values import filled_norm, takes_norm, typed
from harness.registry import (
    DATASETS,
    DISCRIMINATORS,
    ENCODERS,
    GENERATORS,
    METHODS,
    NORMS,
    OBJECTIVES,
    PERCEPTUAL,
    SUITES,
    Registry,
    lookup,
    options,
)
from harness.suites.base import Suite

FORMAT = 2
# How many leading parameters of an entry are the engine's and no options (see harness/method.py).
_PARTS: dict[str, tuple[Registry, int]] = {
    "generator": (GENERATORS, 2),
    "discriminator": (DISCRIMINATORS, 1),
    "encoder": (ENCODERS, 0),
    "objective": (OBJECTIVES, 8),
}
_ENGINE = (
    "harness.labels",
    "harness.seeding",
    "harness.data.encode",
    "harness.data.loading",
    "harness.training.losses",
    "harness.training.memory",
    "harness.training.networks",
    "harness.training.schedule",
    "harness.training.step",
    "harness.training.update",
)
# Keys of a config that name or describe, and decide no weight.
_DESCRIBING = ("overrides", "title")


@dataclass(frozen=True)
class Cell:
    """One training. `config` is plain nested values and holds all that decides the weights."""

    config: dict[str, Any]
    suite: Suite

    @property
    def id(self) -> str:
        """First 12 hex digits of the hash of the config, describing keys left out."""
        return config_id(self.config)

    @property
    def name(self) -> str:
        """For people: method-suite-seed."""
        return f"{self.config['method']['name']}-{self.suite.name}-seed{self.config['seed']}"

    @property
    def title(self) -> str:
        return str(self.config["title"])


def config_id(config: Mapping[str, Any]) -> str:
    """The id that a resolved config has."""
    kept = {key: value for key, value in config.items() if key not in _DESCRIBING}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, allow_nan=False).encode()).hexdigest()[:12]


def load_suite(name: str) -> Suite:
    """The suite under a name."""
    suite = lookup(SUITES, name)()
    if not isinstance(suite, Suite):
        raise UserError(f"suite '{name}' is no Suite", mend="its registered function must return one")
    return suite


def resolve(
    method_name: str,
    suite: Suite,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    init_from: str | None = None,
) -> Cell:
    """The cell of a method on a suite.

    overrides: dotted names to values (`generator.ngf`, `losses.perceptual`, `schedule.iterations`, …)
    over the suite's own. init_from: content hash of the checkpoint that training starts from.
    Raises UserError for unknown names and for values of another type than the default's.
    """
    method = lookup(METHODS, method_name)()
    assert isinstance(method, Method)
    overrides = dict(overrides or {})
    tree = _tree(method, suite)
    for key, factor in suite.scaled.items():
        if _has(tree, key):
            _set(tree, key, _scaled(tree, key, factor))
    for key, value in suite.overrides.items():
        if _has(tree, key):
            _set(tree, key, value)
    for key, value in overrides.items():
        _set(tree, key, value)
    _check_values(tree)
    title = tree["method"].pop("title")
    config = {
        "format": FORMAT,
        "title": title,
        **tree,
        "seed": seed,
        "init_from": init_from,
        "code": code_version([*_ENGINE, *_modules(tree)]),
        "overrides": overrides,
    }
    # One round through JSON: tuples become lists, so that a config read back has the same id.
    return Cell(json.loads(json.dumps(config)), replace(suite))


def _tree(method: Method, suite: Suite) -> dict[str, Any]:
    """Method and suite as one nested dict of everything that can be overridden."""
    plain = method.as_dict()
    for part, (registry, skip) in _PARTS.items():
        if plain[part] is not None:
            name = plain[part]["name"]
            every = options(registry, name, plain[part]["options"], skip)
            plain[part] = {"name": name, **_filled_norms(part, every, f"method {method.name}")}
    del plain["name"], plain["perceptual"]
    training = suite.as_dict()
    return {
        "method": {"name": method.name, **plain},
        "suite": {
            "name": suite.name,
            "data": suite.data,
            "data_options": dict(training["data_options"]),
            "train_split": suite.train_split,
            "size": list(suite.size),
            "edges": suite.edges,
            "unknown": suite.unknown,
            "augment": training["augment"],
        },
        "schedule": training["schedule"],
        "perceptual": method.perceptual.get(suite.perceptual or "", suite.perceptual),
        "threads": suite.threads,
        "precision": suite.precision,
    }


def _filled_norms(part: str, part_options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options with every norm written out: its name and all its options."""
    return {
        key: filled_norm(f"{part}.{key}", value, where) if key == "norm" else value
        for key, value in part_options.items()
    }


def _place(tree: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The dict and the last key that a dotted name means."""
    parts = key.split(".")
    at: Any = tree["method"] if parts[0] in tree["method"] and parts[0] != "name" else tree
    if parts[0] == "suite":
        raise UserError(f"'{key}' cannot be overridden", where="--set", mend="a suite's data and size are the suite's")
    for depth, part in enumerate(parts):
        if not isinstance(at, dict) or part not in at:
            known = [".".join([*parts[:depth], k]) for k in at] if isinstance(at, dict) else []
            if depth == 0:
                known = [k for k in (*tree["method"], *tree) if k not in ("method", "suite", "name", "title")]
            raise UserError(f"nothing is called '{key}' in this cell", where="--set", mend=did_you_mean(key, known))
        if depth < len(parts) - 1:
            at = at[part]
    return at, parts[-1]


def _has(tree: dict[str, Any], key: str) -> bool:
    try:
        _place(tree, key)
    except UserError:
        return False
    return True


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    at, last = _place(tree, key)
    before = at[last]
    if key in _PARTS:
        raise UserError(
            f"'{key}' cannot be overridden as a whole", where="--set", mend=f"set one option, as in {key}.ngf=32"
        )
    if takes_norm(last, before, value):
        filled = filled_norm(key, value, "--set")
        at[last] = filled if last == "norm" else value
        return
    if key == "perceptual":
        at[last] = _perceptual(value)
        return
    if key == "precision":
        value = str(value)  # --set precision=32 is read as a number
    if last == "name":
        raise UserError(f"'{key}' cannot be overridden", where="--set", mend="set the whole norm, or register a method")
    at[last] = typed(key, before, value, "--set")


def _scaled(tree: dict[str, Any], key: str, factor: float) -> int:
    """A method's own width times a suite's factor, at least 1."""
    at, last = _place(tree, key)
    return max(1, round(at[last] * factor))


def _perceptual(value: Any) -> str | None:
    """The name of a perceptual net; `none` leaves the loss out."""
    if value is None or value == "none":
        return None
    lookup(PERCEPTUAL, str(value))
    return str(value)


def _check_values(tree: dict[str, Any]) -> None:
    """Raise UserError for values of the right type that mean nothing."""
    for name, hint in get_type_hints(Losses).items():
        value, choices = tree["method"]["losses"][name], get_args(hint)
        if choices and value not in choices:
            raise UserError(f"losses.{name} cannot be {value!r}", mend=did_you_mean(str(value), choices))
    if (tree["method"]["losses"]["gan"] == "none") != (tree["method"]["discriminator"] is None):
        raise UserError("losses.gan is 'none' for a method without a discriminator, and for no other")
    for part, key in (
        (p, k) for p in _PARTS for k in ("ngf", "ndf", "width", "hidden") if tree["method"][p] is not None
    ):
        if tree["method"][part].get(key, 1) < 1:
            raise UserError(f"{part}.{key} must be 1 or more, not {tree['method'][part][key]}")
    schedule = tree["schedule"]
    for key in ("iterations", "batch"):
        if schedule[key] < 1:
            raise UserError(f"schedule.{key} must be 1 or more, not {schedule[key]}")
    if not 0 <= schedule["flat"] <= 1:
        raise UserError(f"schedule.flat is a share between 0 and 1, not {schedule['flat']}")
    if tree["threads"] < 1:
        raise UserError(f"threads must be 1 or more, not {tree['threads']}")
    if tree["precision"] not in ("32", "bf16"):
        raise UserError(f"precision is '32' or 'bf16', not {tree['precision']!r}")


def _modules(tree: Mapping[str, Any]) -> list[str]:
    """The modules in which the registry entries of a cell are defined."""
    found = [lookup(DATASETS, tree["suite"]["data"]).__module__]
    if tree["perceptual"] is not None:
        found.append(lookup(PERCEPTUAL, tree["perceptual"]).__module__)
    for part, (registry, _) in _PARTS.items():
        if tree["method"][part] is not None:
            found.append(lookup(registry, tree["method"][part]["name"]).__module__)
            found += _norm_modules(tree["method"][part].get("norm"))
    return found


def _norm_modules(norm: Any) -> list[str]:
    """The modules of a norm and of the norms in its options."""
    if isinstance(norm, str):
        return [lookup(NORMS, norm).__module__] if norm in NORMS.module_dict else []
    if isinstance(norm, Mapping):
        return [module for value in norm.values() for module in _norm_modules(value)]
    return []
