"""One place for all registries, each an mmengine Registry.

A registry entry is a class or a function under a name. The built-in entries live in the packages
named in `_HOMES`; their modules are imported the first time a registry is asked, so a new entry is
a new file. A user's package adds entries of its own: `import_plugin` (the command's `--import`), or
an entry point in the group `spadebench.plugins`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mmengine.registry import Registry

from harness.errors import UserError, did_you_mean

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
GRIDS = Registry("grid", scope="spadebench")

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
    "grid": ("ablations",),
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


def names(registry: Registry) -> list[str]:
    """The names of a registry's entries, sorted."""
    _discover(registry)
    return sorted(registry.module_dict)


def lookup(registry: Registry, name: str) -> Any:
    """The entry under `name`. Raises UserError with the nearest names where there is none."""
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
    try:
        if path.suffix == ".py":
            if not path.is_file():
                raise UserError("no such file", where=name, mend="--import takes a module name or a .py file")
            module_name = path.stem
            known = sys.modules.get(module_name)
            if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
                return
            if known is not None:
                raise UserError(f"a module '{module_name}' is loaded already", where=name, mend="rename your file")
            spec = importlib.util.spec_from_file_location(module_name, path.resolve())
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[module_name]  # half of a module is none: asked again, it must fail again
                raise
        else:
            importlib.import_module(name)
    except (UserError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise UserError(
            f"cannot import '{error.name}'", where=f"--import {name}", mend="install it, or run where it can be found"
        ) from error
    except Exception as error:  # it is code, and may raise anything
        if isinstance(error, KeyError) and "already registered" in str(error):
            raise UserError(
                str(error.args[0]), where=f"--import {name}", mend="register it under another name"
            ) from error
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"this code does not load: {said}", where=name, mend=_last_line(error, path)) from error


def _last_line(error: Exception, path: Path) -> str:
    """The last line of a user's file that was run before an error, for people; empty where none is known."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
    return f"see line {lines[-1]}" if lines else ""
