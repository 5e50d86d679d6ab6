"""Cells small enough to train in a test."""

from __future__ import annotations

from typing import Any

from harness.cells import Cell, load_suite, resolve

SMALL: dict[str, Any] = {
    "generator.ngf": 4,
    "discriminator.ndf": 4,
    "schedule.batch": 2,
    "schedule.iterations": 6,
    "threads": 1,
}
# The same on a command line.
SMALL_SET = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def small_cell(method: str = "spade", **changes: Any) -> Cell:
    """A cell on toyscapes; `changes` have __ for the dots of a dotted name."""
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve(method, load_suite("toyscapes"), overrides={**SMALL, **given})
