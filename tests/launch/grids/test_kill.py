"""A grid whose driver and workers are killed at random moments ends with the records of one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.launch.cells.claims import HEARTBEAT, LOCK, Claim, is_alive, read_beat
from harness.metrics.confusion import Confusion
from harness.records import read_record

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("SPADEBENCH_KILLS", "3"))
SEED = int(os.environ.get("SPADEBENCH_KILL_SEED", "0"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
# The scored split is toyscapes' own, only shorter, so that kills fall into trainings as well as scorings.
SUITE = """
from dataclasses import replace
from harness.registry import SUITES
from harness.suites.toyscapes import toyscapes
@SUITES.register_module(name="few_toyscapes")
def few_toyscapes():
    known = toyscapes()
    return replace(known, name="few_toyscapes", data_options={**known.data_options, "count": 40})
"""
GRID = """
title: Killed
suites: [few_toyscapes]
methods: [spade, pix2pixhd]
seeds: [0, 1]
set: {generator.ngf: 4, discriminator.ndf: 4, schedule.batch: 2, schedule.iterations: 20, threads: 1}
ceiling: true
"""


def command(folder: Path, out: Path) -> list[str]:
    words = ["run", str(folder / "grid.yaml"), "--import", str(folder / "few_toyscapes.py"), "--jobs", "2"]
    words += ["--checkpoint-every", "2", "--out", str(out)]
    return [sys.executable, "-m", "harness.cli", *words]


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(folder, out), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def workers(out: Path) -> list[int]:
    """Processes that work on a cell."""
    beats = [(read_beat(path), path) for path in sorted(out.glob(f"*/*/{HEARTBEAT}"))]
    return [beat.pid for beat, path in beats if beat is not None and is_alive(beat, path)]


def killed(process: subprocess.Popen[str], out: Path, which: str, wait: float) -> bool:
    """Kill the driver or one of its workers after a while; False where the grid was done before."""
    time.sleep(wait)
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        victims = [process.pid] if which == "driver" else workers(out)
        if victims:
            os.kill(random.Random(wait).choice(victims), signal.SIGKILL)
            return True
        time.sleep(0.1)
    assert time.monotonic() < deadline
    return False


def compared(out: Path) -> dict[str, Any]:
    """What must be equal in every record: all but times, machine and command."""
    found = {}
    for path in sorted((out / "records").glob("*.json")):
        record = read_record(path)
        confusion = Confusion.load(out / "records" / record["confusion"])
        arrays = [np.asarray(value).tolist() for value in vars(confusion).values()]
        kept = {key: record[key] for key in ("status", "config", "protocol", "scores", "notes", "source", "cell")}
        found[record["id"]] = json.dumps([kept, arrays], sort_keys=True, default=str)
    return found


def test_killed_at_random_moments_a_grid_ends_with_the_records_of_one_left_alone(tmp_path: Path) -> None:
    (tmp_path / "few_toyscapes.py").write_text(SUITE)
    (tmp_path / "grid.yaml").write_text(GRID)
    calm, out = tmp_path / "calm", tmp_path / "killed"
    chance = random.Random(SEED)
    began = time.monotonic()
    printed, _ = (process := start(tmp_path, calm)).communicate(timeout=1200)
    assert process.returncode == 0, printed
    length = time.monotonic() - began
    kills = 0
    for number in range(KILLS * 3):  # a kill that came too late is made up for
        if kills == KILLS:
            break
        which = ("driver", "worker")[number % 2]
        process = start(tmp_path, out)
        # A share of a whole grid's time that leaves something for the kills to come.
        kills += killed(process, out, which, chance.uniform(0.1, 1.2) * length / max(4, KILLS))
        if which == "driver" or process.poll() is not None:
            process.communicate(timeout=600)
        else:  # it starts the worker anew; then it goes too, so that the next kill finds something to do
            process.kill()
            process.communicate()
    print(f"{kills} kills")
    printed, _ = (process := start(tmp_path, out)).communicate(timeout=1200)
    assert process.returncode == 0, printed
    assert compared(out) == compared(calm)
    assert len(list((out / "records").glob("*.json"))) == 5
    assert sorted(path.name for path in out.glob("cells/*")) == sorted(path.name for path in calm.glob("cells/*"))
    assert not [path for path in (out / "records").iterdir() if path.name.startswith(".")]
    assert not list(out.glob(f"*/*/{HEARTBEAT}"))
    for lock in out.glob(f"*/*/{LOCK}"):
        with Claim(lock.parent):
            pass
