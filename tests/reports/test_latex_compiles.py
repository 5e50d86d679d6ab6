"""The standalone LaTeX compiles, nasty names included. Skipped where no LaTeX with booktabs is installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.grid import Grid
from reports.build import build_table
from reports.render_latex import render_latex


def _has_latex() -> bool:
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty"], check=False, capture_output=True).returncode == 0


@pytest.mark.system
@pytest.mark.skipif(not _has_latex(), reason="no pdflatex with booktabs on this machine")
@pytest.mark.parametrize("title", ["SPADE", r"*\a_b^c~d%$#&{e}<f>|g\"h'i`--,,[j]", "[x] Δ ± é — −"])
def test_a_standalone_table_compiles(tmp_path: Path, full: list[dict[str, Any]], table1: Grid, title: str) -> None:
    table = build_table(table1, "cityscapes", full)
    table = replace(table, rows=(replace(table.rows[0], title=title), *table.rows[1:]))
    (tmp_path / "table.tex").write_text(render_latex(table, standalone=True), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")
