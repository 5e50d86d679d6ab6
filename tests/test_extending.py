"""docs/extending.md and docs/your-data.md, run as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from images import folder_layout
from small import SMALL_SET

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[1]


def code_and_commands(page: str) -> tuple[str, list[str]]:
    """The Python and the shell lines of a page."""
    text = (ROOT / "docs" / page).read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    commands = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert code is not None
    assert commands is not None
    lines = commands[1].strip().splitlines()
    assert len(lines) == 2
    return code[1], lines


def shell(line: str, cwd: Path, *more: str) -> str:
    """Run a line of a page, with its wildcards, and more words behind it; returns stdout."""
    command, words = line.split(" ", 1)
    assert command == "spadebench"
    done = subprocess.run(
        f"{sys.executable} -m harness.cli {words} {' '.join(more)}",
        shell=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_your_own_data_trains_and_generates(tmp_path: Path) -> None:
    code, lines = code_and_commands("your-data.md")
    (tmp_path / "my_suite.py").write_text(code)
    folder_layout(tmp_path / "my_data", {"train": 4, "val": 3}, classes=3)
    shell(lines[0], tmp_path)
    shell(lines[1], tmp_path)
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["val000.png", "val001.png", "val002.png"]


def test_the_worked_example_runs_into_a_table_without_an_edit(tmp_path: Path) -> None:
    code, lines = code_and_commands("extending.md")
    (tmp_path / "class_table.py").write_text(code)
    # As written, but for widths that fit a test.
    assert "class_table" in shell(lines[0], tmp_path)
    assert "class table" in shell(lines[1], tmp_path, *SMALL_SET)
    report = (tmp_path / "mine" / "reports" / "table1-toyscapes.md").read_text()
    assert "decoder w/ class table" in report
    assert "SPADE" in report
