"""`run` and `status` as a user runs them: a failing cell, its retry, two suites, and a torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[3]
SUITES = """
from dataclasses import replace
from harness.registry import SUITES
from harness.suites.toyscapes import toyscapes
def few(name, count):
    known = toyscapes()
    return replace(known, name=name, data_options={**known.data_options, "count": count})
@SUITES.register_module(name="few")
def a_few():
    return few("few", 8)
@SUITES.register_module(name="fewer")
def fewer():
    return few("fewer", 4)
"""
GRID = """
suites: [few, fewer]
methods:
  - pix2pixhd
  - {name: pix2pixhd, label: diverging, set: {optimiser.lr_generator: 1.0e+30}}
set: {generator.ngf: 4, discriminator.ndf: 4, schedule.batch: 2, schedule.iterations: 2, threads: 1}
"""


def spadebench(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", words[0], str(folder / "grid.yaml"), *words[1:],
         "--import", str(folder / "suites.py"), "--out", str(folder / "out")],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    return done


def test_a_failing_cell_is_named_and_the_rest_of_all_suites_is_done(tmp_path: Path) -> None:
    (tmp_path / "suites.py").write_text(SUITES)
    (tmp_path / "grid.yaml").write_text(GRID)
    done = spadebench(tmp_path, "run", "--json", code=1)
    few, fewer = json.loads(done.stdout)
    for printed in (few, fewer):
        assert [record["status"] for record in printed["records"]] == ["done"]
        assert "no longer finite" in printed["failed"][0]["error"]["message"]
    assert "2 cells failed" in done.stderr
    assert "Traceback" not in done.stderr
    # The failed one is not tried again unless asked for, and its row stays empty.
    again = spadebench(tmp_path, "run", "--suite", "few", code=1)
    assert "--retry failed runs it again" in again.stderr
    assert "1 cell failed" in " ".join(again.stdout.split())
    found = json.loads(spadebench(tmp_path, "status", "--json").stdout)
    assert found["counts"] == {"done": 2, "running": 0, "failed": 2, "waiting": 0, "lost": 0}
    assert all(Path(cell["log"]).is_file() for cell in found["cells"] if cell["state"] == "failed")


def test_a_cell_over_two_processes_leaves_the_record_of_a_cell(tmp_path: Path) -> None:
    (tmp_path / "suites.py").write_text(SUITES)
    (tmp_path / "grid.yaml").write_text(GRID)
    words = ["--suite", "few", "--methods", "diverging", "--set", "diverging:optimiser.lr_generator=1e-4"]
    words += ["--launcher", "torchrun", "--nproc", "2", "--device", "cpu", "--json"]
    (record,) = json.loads(spadebench(tmp_path, "run", *words).stdout)["records"]
    assert record["provenance"]["training"]["processes"] == 2
    assert record["provenance"]["command"].startswith("spadebench run ")
    assert record["status"] == "done"
