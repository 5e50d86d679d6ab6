"""docs/extending.md, run as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small import SMALL_SET

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[1]


def test_the_worked_example_runs_into_a_table_without_an_edit(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "extending.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert code is not None
    assert commands is not None
    (tmp_path / "class_table.py").write_text(code[1])
    lines = commands[1].strip().splitlines()
    assert len(lines) == 2
    for line in lines:
        words = line.split()
        assert words[0] == "spadebench"
        # As written, but for widths that fit a test.
        small = SMALL_SET if words[1] == "run" else []
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *words[1:], *small],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "160"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "class_table" in done.stdout or "class table" in done.stdout, done.stdout
    report = (tmp_path / "mine" / "reports" / "table1-toyscapes.md").read_text()
    assert "decoder w/ class table" in report
    assert "SPADE" in report
