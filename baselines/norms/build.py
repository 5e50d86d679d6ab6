"""One way to build a norm from the plain value that stands in a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from harness.errors import UserError
from harness.labels import LabelSpec
from harness.registry import NORMS, lookup, options

# A norm in a config: its registry name, or {"name": ..., option: value, ...}. Options not given have
# the entry's defaults.
NormValue = str | Mapping[str, Any]


def norm_name(norm: NormValue) -> str:
    """The registry name in a norm's config value. Raises UserError where there is none."""
    name = norm if isinstance(norm, str) else norm.get("name") if isinstance(norm, Mapping) else None
    if not isinstance(name, str):
        raise UserError(
            f"{norm!r} names no norm", where="option 'norm'", mend='give a name, or {"name": ..., option: value}'
        )
    return name


def build_norm(norm: NormValue, channels: int, labels: LabelSpec) -> nn.Module:
    """The norm layer for feature maps of `channels` channels; forward(x, labels: LabelMap | None).

    Raises UserError for an unknown norm or option.
    """
    name = norm_name(norm)
    given = {} if isinstance(norm, str) else {key: value for key, value in norm.items() if key != "name"}
    return lookup(NORMS, name)(channels, labels, **options(NORMS, name, given, skip=2))


def build_base(norm: NormValue, channels: int, labels: LabelSpec, where: str) -> nn.Module:
    """The norm inside a conditional norm, which brings its own scale and shift.

    where: the conditional norm, for messages. Raises UserError for a norm that has parameters, or as build_norm.
    """
    base = build_norm(norm, channels, labels)
    if any(True for _ in base.parameters()):
        raise UserError(
            f"the base {norm!r} has parameters",
            where=where,
            mend="scale and shift come from the label map: take a base without its own",
        )
    return base
