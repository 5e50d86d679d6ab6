"""`--set` pairs: dotted names and values."""

from __future__ import annotations

from typing import Any

import yaml

from harness.errors import UserError


def parse_set(pairs: list[str]) -> dict[str, Any]:
    """`--set generator.ngf=32` pairs to dotted names and values; a value is read as YAML."""
    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UserError(f"'{pair}' is no override", where="--set", mend="write NAME=VALUE, as in generator.ngf=32")
        try:
            parsed[key.strip()] = _number(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise UserError(
                f"cannot read the value of '{pair}'", where="--set", mend="a number, word or [list]"
            ) from error
    return parsed


def _number(value: Any) -> Any:
    """1e-4 as a number, which YAML 1.1 takes for a word; in lists and mappings too."""
    if isinstance(value, dict):
        return {key: _number(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_number(each) for each in value]
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
