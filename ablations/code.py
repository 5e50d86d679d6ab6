"""A user's grid as Python, for rows that a loop makes: a .py file that holds the fields of a grid as GRID.

GRID = {
    "title": "Width",
    "methods": [{"name": "spade", "label": f"ngf {n}", "set": {"generator.ngf": n}} for n in (16, 32, 64)],
    "suites": ["toyscapes"],
}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.user_code import run_file, told

NAME = "GRID"


def run_grid_file(path: Path, origin: str) -> dict[str, Any]:
    """The fields that a .py file states, which runs its code. Raises UserError where it states none or fails."""
    with told(origin, path):
        module = run_file(path, f"spadebench_grid_{path.stem}")
    fields = getattr(module, NAME, None)
    if not isinstance(fields, dict):
        raise UserError(f"this file has no {NAME}", where=origin, mend=f'{NAME} = {{"methods": ["spade"]}}')
    try:
        # As in YAML: plain values with text as names, tuples as lists.
        plain: dict[str, Any] = json.loads(json.dumps(fields))
    except (TypeError, ValueError) as error:
        mend = "use text, numbers, true, false, lists, mappings"
        raise UserError(f"{NAME} is no plain data: {error}", where=origin, mend=mend) from error
    return plain
