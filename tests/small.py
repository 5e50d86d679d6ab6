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
# Widths, for the methods that have the option.
SMALL_WIDTHS: dict[str, Any] = {
    "generator.ngf": 4,
    "generator.width": 16,
    "generator.blocks": 2,
    "generator.z_dim": 8,
    "generator.norm.hidden": 6,
    "discriminator.ndf": 4,
    "encoder.ndf": 4,
    "encoder.z_dim": 8,
}
# SMALL on a command line.
SMALL_SET = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def fitting(method: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Those of the overrides for which the method has an option."""
    tree = resolve(method, load_suite("toyscapes")).config
    return {key: value for key, value in overrides.items() if _has(tree["method"], key) or _has(tree, key)}


def small_cell(method: str = "spade", **changes: Any) -> Cell:
    """A cell on toyscapes; `changes` have __ for the dots of a dotted name."""
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve(method, load_suite("toyscapes"), overrides={**fitting(method, SMALL), **given})


def _has(tree: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True
