"""A grid stated in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.grid import load_grid
from harness.errors import UserError

ROWS = """
WIDTHS = (16, 32)
GRID = {
    "title": "Width",
    "methods": [{"name": "spade", "label": f"ngf {n}", "set": {"generator.ngf": n}} for n in WIDTHS],
    "suites": ("toyscapes",),
    "seeds": range_of_seeds(),
}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "widths.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_made_by_a_loop_are_the_grid_that_yaml_would_give(tmp_path: Path) -> None:
    code = written(tmp_path, "def range_of_seeds():\n    return [0, 1]\n" + ROWS)
    text = tmp_path / "widths.yaml"
    text.write_text(
        "title: Width\nsuites: [toyscapes]\nseeds: [0, 1]\nmethods:\n"
        "  - {name: spade, label: ngf 16, set: {generator.ngf: 16}}\n"
        "  - {name: spade, label: ngf 32, set: {generator.ngf: 32}}\n",
        encoding="utf-8",
    )
    ours, theirs = load_grid(str(code)), load_grid(str(text))
    assert ours.origin == str(code)
    assert (ours.name, ours.title, ours.methods, ours.suites, ours.seeds) == (
        theirs.name,
        theirs.title,
        theirs.methods,
        theirs.suites,
        theirs.seeds,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import absent_package\n", "cannot import 'absent_package'"),
        ("GRID = 1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit\n", "does not load: SystemExit"),
        ("grid = {}\n", "this file has no GRID"),
        ("GRID = {'methods': [object()]}\n", "no plain data"),
        ("GRID = {'methods': []}\n", "at least one method"),
        ("GRID = {'methods': ['spade'], 'seed': [0]}\n", "unknown field 'seed'"),
    ],
)
def test_a_file_that_states_no_grid_is_one_error_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_grid(str(path))
    line = str(caught.value)
    assert said in line
    assert str(path) in line
    assert "\n" not in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such grid file"):
        load_grid(str(tmp_path / "absent.py"))
