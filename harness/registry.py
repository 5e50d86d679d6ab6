"""One place for all registries, each an mmengine Registry.

A registry entry is a class or a function under a name. The built-in entries live in the packages
named in `_HOMES`; their modules are imported when a registry is asked for a name that it does not
have yet, a file of the entry's own name before all others, so a new entry is a new file. A user's
package adds entries of its own: `import_plugin` (the command's `--import`), or an entry point in the
group `spadebench.plugins`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.registry import Registry

from harness.errors import UserError, did_you_mean
from harness.user_code import run_file, told

METHODS = Registry("method", scope="spadebench")
GENERATORS = Registry("generator", scope="spadebench")
DISCRIMINATORS = Registry("discriminator", scope="spadebench")
ENCODERS = Registry("encoder", scope="spadebench")
NORMS = Registry("norm", scope="spadebench")
OBJECTIVES = Registry("objective", scope="spadebench")
LAYOUTS = Registry("layout", scope="spadebench")
DATASETS = Registry("data set", scope="spadebench")
SEGMENTERS = Registry("segmenter", scope="spadebench")
FEATURES = Registry("feature net", scope="spadebench")
UNTRAINED = Registry("untrained net", scope="spadebench")
PERCEPTUAL = Registry("perceptual net", scope="spadebench")
WEIGHTS = Registry("weight file", scope="spadebench")
SUITES = Registry("suite", scope="spadebench")
PROTOCOLS = Registry("protocol", scope="spadebench")

_HOMES = {
    "method": ("baselines",),
    "generator": ("baselines",),
    "discriminator": ("baselines",),
    "encoder": ("baselines",),
    "norm": ("baselines",),
    "layout": ("baselines",),
    "objective": ("baselines", "harness.training.objectives"),
    "data set": ("harness.data",),
    "segmenter": ("harness.segmenters",),
    "feature net": ("harness.features",),
    "untrained net": ("harness.segmenters", "harness.features"),
    "perceptual net": ("harness.features",),
    "weight file": ("harness.segmenters", "harness.features"),
    "suite": ("harness.suites",),
    "protocol": ("harness.protocols",),
}
PLUGIN_GROUP = "spadebench.plugins"
_discovered: set[str] = set()


def _discover(registry: Registry) -> None:
    """Import the modules in which the entries of `registry` live, once."""
    for package in _HOMES.get(registry.name, ()):
        if package in _discovered:
            continue
        _discovered.add(package)
        home = importlib.import_module(package)
        for module in pkgutil.walk_packages(home.__path__, prefix=f"{package}."):
            importlib.import_module(module.name)
    if PLUGIN_GROUP not in _discovered:
        _discovered.add(PLUGIN_GROUP)
        for point in entry_points(group=PLUGIN_GROUP):
            point.load()


def _open_namesake(registry: Registry, name: str) -> None:
    """Import the module called as the entry, where there is one: who needs one entry starts without the rest."""
    for package in _HOMES.get(registry.name, ()):
        if package not in _discovered and name.isidentifier() and find_spec(f"{package}.{name}") is not None:
            importlib.import_module(f"{package}.{name}")


def names(registry: Registry) -> list[str]:
    """The names of a registry's entries, sorted."""
    _discover(registry)
    return sorted(registry.module_dict)


def lookup(registry: Registry, name: str) -> Any:
    """The entry under `name`. Raises UserError with the nearest names where there is none."""
    if name not in registry.module_dict:
        _open_namesake(registry, name)
    if name not in registry.module_dict:
        _discover(registry)
    entry = registry.module_dict.get(name)
    if entry is None:
        raise UserError(f"unknown {registry.name} '{name}'", mend=did_you_mean(name, registry.module_dict))
    return entry


def options(registry: Registry, name: str, given: Mapping[str, Any], skip: int = 0) -> dict[str, Any]:
    """All options of an entry: its defaults, with `given` over them.

    The first `skip` parameters of the entry are what the engine passes, and no options. Raises
    UserError for an option that the entry does not have, or lacks a value for.
    """
    known = defaults(registry, name, skip)
    for key in given:
        if key not in known:
            raise UserError(f"{registry.name} '{name}' has no option '{key}'", mend=did_you_mean(key, known))
    resolved = {**known, **given}
    for key, value in resolved.items():
        if value is inspect.Parameter.empty:
            raise UserError(f"{registry.name} '{name}' needs the option '{key}'")
    return resolved


def defaults(registry: Registry, name: str, skip: int = 0) -> dict[str, Any]:
    """The options of an entry with their defaults; `inspect.Parameter.empty` where there is none. See `options`."""
    parameters = list(inspect.signature(lookup(registry, name)).parameters.values())[skip:]
    return {p.name: p.default for p in parameters}


def import_plugin(name: str) -> None:
    """Import a user's code that registers entries: a module name, or the path of a .py file.

    This runs the code: it is called only for what the user names as code. Raises UserError where it is not
    there, or raises.
    """
    path = Path(name)
    with told(f"--import {name}", path):
        try:
            if path.suffix == ".py":
                _import_file(path)
            else:
                importlib.import_module(name)
        except KeyError as error:
            if "already registered" not in str(error):
                raise
            raise UserError(
                str(error.args[0]), where=f"--import {name}", mend="register it under another name"
            ) from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise UserError("no such file", where=str(path), mend="--import takes a module name or a .py file")
    known = sys.modules.get(path.stem)
    if known is None:
        run_file(path, path.stem)
    elif getattr(known, "__file__", None) != str(path.resolve()):
        raise UserError(f"a module '{path.stem}' is loaded already", where=str(path), mend="rename your file")
