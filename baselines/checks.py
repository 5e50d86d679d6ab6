"""Checks of options that several networks share, made before torch would fail on them in its own words."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import UserError


def at_least_one(where: str, options: Mapping[str, int]) -> None:
    """Raise UserError for the first option below 1."""
    for name, value in options.items():
        if value < 1:
            raise UserError(f"{name} must be 1 or more, not {value}", where=where)
