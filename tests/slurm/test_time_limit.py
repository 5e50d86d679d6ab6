"""A cell longer than the time limit of its job, through a real Slurm: several jobs in turn end it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small import SMALL

from harness.launch.launchers.slurm_jobs import submissions
from harness.records import read_record

pytestmark = [pytest.mark.slurm, pytest.mark.system, pytest.mark.xdist_group("slurm")]
ITERATIONS = 50
DEADLINE = 900.0
# toyscapes with fewer samples to score, and a norm that takes its time in training: 50 iterations outlast the part
# of two minutes after which Slurm gives notice, on any machine.
CODE = """
import time
from dataclasses import replace
from baselines.norms.batch import Batch
from harness.registry import NORMS, SUITES
from harness.suites.toyscapes import toyscapes

@NORMS.register_module(name="slow_batch")
class SlowBatch(Batch):
    def forward(self, x, labels):
        time.sleep(0.06 if self.training else 0.0)
        return super().forward(x, labels)

@SUITES.register_module(name="toyscapes_few")
def few():
    options = {"size": [64, 64], "seed": 0, "count": 16}
    return replace(toyscapes(), name="toyscapes_few", data_options=options)
"""


def test_a_cell_longer_than_its_jobs_time_limit_ends_after_several_jobs(slurm: dict[str, str], tmp_path: Path) -> None:
    small = {**SMALL, "schedule.iterations": ITERATIONS, "generator.norm": "slow_batch"}
    grid = {"methods": ["spade"], "suites": ["toyscapes_few"], "set": small}
    (tmp_path / "grid.yaml").write_text(json.dumps(grid), encoding="utf-8")
    (tmp_path / "slow.py").write_text(CODE, encoding="utf-8")
    words = ["run", "grid.yaml", "--import", "slow.py", "--out", "out", "--features", "none", "--device", "cpu"]
    words += ["--checkpoint-every", "3", "--launcher", "slurm", "--partition", "main", "--time", "2"]
    command = [sys.executable, "-m", "harness.cli", *words, "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=slurm, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        until = time.monotonic() + DEADLINE
        while driver.poll() is None and time.monotonic() < until:
            start_waiting_jobs(slurm)
            time.sleep(2)
        driver.kill()
        stdout, said = driver.communicate()
    assert driver.returncode == 0, said
    (shown,) = json.loads(stdout)["records"]
    assert read_record(tmp_path / "out" / "records" / f"{shown['id']}.json")["source"]["iteration"] == ITERATIONS
    log = (tmp_path / "out" / "cells" / shown["cell"] / "log.txt").read_text(encoding="utf-8")
    assert log.count("stopped at iteration") >= 1, log
    assert log.count(": process ") >= 2, log
    # One submission: the job itself went back into the queue.
    assert len(submissions(tmp_path / "out")) == 1


def start_waiting_jobs(slurm: dict[str, str]) -> None:
    """A job that went back waits for two minutes, unless it is told otherwise."""
    asked = ["squeue", "--noheader", "--array", "--states=PENDING", "--format=%A"]
    waiting = subprocess.run(asked, env=slurm, capture_output=True, text=True, check=False).stdout.split()
    for job in waiting:
        update = ["scontrol", "update", f"JobId={job}", "StartTime=now"]
        subprocess.run(update, env=slurm, capture_output=True, check=False)
