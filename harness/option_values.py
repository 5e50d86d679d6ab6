"""Whether a value is of an option's kind, which its default tells; norms with all their options."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from harness.errors import UserError
from harness.registry import NORMS, defaults, names, options

# How many leading parameters of a norm are the engine's and no options (see harness/method.py).
_NORM_SKIP = 2


def typed(key: str, default: Any, value: Any, where: str) -> Any:
    """`value` for the option `key`, a whole number as a float where the default is one.

    A default of None takes any value. Raises UserError for a value of another type than the default's,
    an empty one, and a number that is not finite.
    """
    mend = f"its default is {default!r}"
    if default is not None and value is None:
        raise UserError(f"{key} cannot be empty", where=where, mend=mend)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} must be a finite number", where=where, mend=mend)
    if default is None:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    both_lists = isinstance(default, list | tuple) and isinstance(value, list | tuple)
    if type(value) is not type(default) and not both_lists:
        raise UserError(f"{key} takes {_kind(default)}, not {value!r}", where=where, mend=mend)
    return value


def takes_norm(name: str, default: Any, value: Any) -> bool:
    """Whether an option is a norm: it is called so, or its default and the value given are norms."""
    if name == "norm":
        return True
    called = default.get("name") if isinstance(default, Mapping) else default
    is_norm = isinstance(called, str) and called in names(NORMS)
    return is_norm and (name == "base" or isinstance(value, Mapping))


def filled_norm(key: str, value: Any, where: str) -> dict[str, Any]:
    """A norm of a config with its name and all its options, checked; norms inside it are checked, and left as given.

    value: a registry name, or a mapping of `name` and options. Raises UserError where it names no norm,
    has an option that the norm does not have, or one of another kind than its default.
    """
    if not isinstance(value, str | Mapping):
        raise UserError(f"{key} takes the name of a norm, not {value!r}", where=where)
    given = {"name": value} if isinstance(value, str) else {str(option): each for option, each in value.items()}
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{key} names no norm", where=where, mend="write it as in {name: spade, kernel: 1}")
    resolved = options(NORMS, name, given, _NORM_SKIP)
    own = defaults(NORMS, name, _NORM_SKIP)
    for option, each in given.items():
        if takes_norm(option, own[option], each):
            filled_norm(f"{key}.{option}", each, where)
        elif own[option] is not inspect.Parameter.empty:
            resolved[option] = typed(f"{key}.{option}", own[option], each, where)
    return {"name": name, **resolved}


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    return kinds.get(type(value), f"a {type(value).__name__}")
