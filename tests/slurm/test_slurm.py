"""A toyscapes grid through a real Slurm of one node on this machine, with jobs cancelled, killed and requeued.

Slurm is installed where this is root on Debian; elsewhere these tests are skipped, with one line that says why.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import SMALL

from harness.launch.cells.claims import Beat, read_beat
from harness.launch.launchers.slurm_jobs import submissions
from harness.metrics.confusion import Confusion

pytestmark = [pytest.mark.slurm, pytest.mark.system, pytest.mark.xdist_group("slurm")]
ROOT = Path(__file__).resolve().parents[2]
ITERATIONS = 30
DEADLINE = 900.0
# toyscapes, with fewer samples to score; the job imports it as a user's code.
SUITE = """
from dataclasses import replace
from harness.registry import SUITES
from harness.suites.toyscapes import toyscapes

@SUITES.register_module(name="toyscapes_few")
def few():
    options = {"size": [64, 64], "seed": 0, "count": 16}
    return replace(toyscapes(), name="toyscapes_few", title="Few toyscapes", data_options=options)
"""


Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]


@pytest.fixture(scope="session")
def started() -> Iterator[Started]:
    """Takes note of a process, and ends it at last where a test did not."""
    with ExitStack() as stack:

        def note(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield note


@dataclass
class Grid:
    """A grid in a folder of its own, and what becomes of it."""

    root: Path
    out: Path
    environment: dict[str, str]
    jobs: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)

    def words(self, *more: str) -> list[str]:
        command = [
            sys.executable,
            "-m",
            "harness.cli",
            "run",
            "grid.yaml",
            "--import",
            "few.py",
            "--out",
            str(self.out),
        ]
        return [*command, "--features", "none", "--device", "cpu", "--checkpoint-every", "3", *more]

    def start(self, *more: str, stderr: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        words, environment = self.words(*more), self.environment
        return subprocess.Popen(words, cwd=self.root, env=environment, stderr=stderr, stdout=subprocess.PIPE, text=True)

    def training(self, among: Callable[[Path], bool]) -> tuple[Path, Beat]:
        """The folder of a cell in mid-training that `among` takes, and its heartbeat."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            for folder in (self.out / "cells").glob("*"):
                reached = sorted(path.stem for path in (folder / "checkpoints").glob("iteration_*.pt"))
                beat = read_beat(folder / "heartbeat.json")
                if among(folder) and beat is not None and reached and reached[-1] < f"iteration_{ITERATIONS - 6:08}":
                    return folder, beat
            time.sleep(0.05)
        raise TimeoutError("no cell is in mid-training")

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < until
        time.sleep(0.2)


def a_grid(root: Path, environment: dict[str, str]) -> Grid:
    root.mkdir()
    small = {**SMALL, "schedule.iterations": ITERATIONS}
    grid = {"methods": ["spade", "pix2pixhd"], "suites": ["toyscapes_few"], "seeds": [0, 1, 2], "set": small}
    (root / "grid.yaml").write_text(json.dumps(grid), encoding="utf-8")
    (root / "few.py").write_text(SUITE, encoding="utf-8")
    return Grid(root, root / "out", environment)


@pytest.fixture(scope="session")
def disturbed(slurm: dict[str, str], started: Started, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """The grid through Slurm: a job cancelled, a worker killed, a job told that its time is up, the driver stopped;
    then run again."""
    grid = a_grid(tmp_path_factory.mktemp("slurm") / "disturbed", slurm)
    options = ("--launcher", "slurm", "--partition", "main", "--time", "30", "--mem", "500M")
    driver = started(grid.start(*options))
    hit: dict[Path, str] = {}

    folder, beat = grid.training(lambda folder: True)
    assert beat.job is not None
    hit[folder] = "cancelled"
    grid.ask("scancel", beat.job)

    folder, beat = grid.training(lambda folder: folder not in hit)
    assert beat.job is not None
    hit[folder] = "killed"
    os.kill(beat.pid, signal.SIGKILL)

    folder, beat = grid.training(lambda folder: folder not in hit)
    assert beat.job is not None
    hit[folder] = "requeued"
    # In the background: scancel waits for the job to come back from its way into the queue.
    notice = subprocess.Popen(["scancel", "--signal=USR2", beat.job], env=slurm, stderr=subprocess.DEVNULL)
    grid.jobs = {what: folder.name for folder, what in hit.items()}

    driver.send_signal(signal.SIGINT)
    stdout, grid.said["first"] = driver.communicate(timeout=DEADLINE)
    assert driver.returncode == 130, grid.said["first"]
    grid.said["queue"] = grid.ask("squeue", "--noheader", "--array", "--format=%i %T")
    # Held until the next driver has seen it there.
    wait_until(lambda: "PENDING" in grid.ask("squeue", "--noheader", f"--jobs={beat.job}", "--format=%T"))
    grid.ask("scontrol", "hold", beat.job)
    words = ("--suite", "toyscapes_few", "--import", "few.py", "--out", str(grid.out))
    status = [sys.executable, "-m", "harness.cli", "status", "grid.yaml", *words]
    shown = subprocess.run(status, cwd=grid.root, env=slurm, capture_output=True, text=True, check=True)
    grid.said["status"] = shown.stdout

    said = grid.root / "second.txt"
    with said.open("w", encoding="utf-8") as stderr:
        again = started(grid.start(*options, "--json", stderr=stderr))
    wait_until(lambda: "submitted" in said.read_text(encoding="utf-8") or again.poll() is not None)
    # A job that went back waits for two minutes, unless it is told otherwise.
    grid.ask("scontrol", "release", beat.job)
    grid.ask("scontrol", "update", f"JobId={beat.job}", "StartTime=now")
    stdout, _ = again.communicate(timeout=DEADLINE)
    grid.said["second"] = said.read_text(encoding="utf-8")
    assert again.returncode == 0, grid.said["second"]
    grid.table = json.loads(stdout)["records"]
    notice.wait(DEADLINE)
    return grid


@pytest.fixture(scope="session")
def undisturbed(slurm: dict[str, str], started: Started, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """The same grid by the local launcher."""
    grid = a_grid(tmp_path_factory.mktemp("local") / "undisturbed", slurm)
    local = started(grid.start("--jobs", "2", "--json"))
    stdout, said = local.communicate(timeout=DEADLINE)
    assert local.returncode == 0, said
    grid.table = json.loads(stdout)["records"]
    return grid


def same(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("id", "cell", "seed", "status", "config", "protocol", "scores")}


def test_records_equal_those_of_the_local_launcher(disturbed: Grid, undisturbed: Grid) -> None:
    assert len(disturbed.table) == 6
    assert [same(record) for record in disturbed.table] == [same(record) for record in undisturbed.table]
    for record in disturbed.table:
        ours, theirs = (Confusion.load(g.out / "records" / record["confusion"]) for g in (disturbed, undisturbed))
        for part in ("names", "classes", "image", "label", "prediction", "count"):
            assert np.array_equal(getattr(ours, part), getattr(theirs, part)), part


def test_a_stopped_launcher_leaves_the_jobs_and_the_next_picks_them_up(disturbed: Grid) -> None:
    assert "go on in the cluster" in disturbed.said["first"]
    assert "the same command picks them up" in disturbed.said["first"]
    assert any(state in disturbed.said["queue"] for state in ("RUNNING", "PENDING"))
    assert "in jobs that an earlier run submitted" in disturbed.said["second"]


def test_a_cancelled_job_is_left_to_the_user_and_a_killed_worker_starts_again(disturbed: Grid) -> None:
    jobs: dict[str, int] = {}
    for submission in submissions(disturbed.out):
        for keys in submission.cells:
            for key in keys:
                cell = key.partition("-")[0]
                jobs[cell] = jobs.get(cell, 0) + 1
    again = {disturbed.jobs["cancelled"], disturbed.jobs["killed"]}
    assert jobs.keys() == {record["cell"] for record in disturbed.table}
    assert all(count >= 2 if cell in again else count == 1 for cell, count in jobs.items()), jobs


def test_each_disturbed_cell_went_on_from_a_checkpoint(disturbed: Grid) -> None:
    for what, cell in disturbed.jobs.items():
        log = (disturbed.out / "cells" / cell / "log.txt").read_text(encoding="utf-8")
        # More than two where Slurm starts a requeued job while its last process still holds the cell.
        assert log.count(": process ") >= 2, (what, log)
    requeued = (disturbed.out / "cells" / disturbed.jobs["requeued"] / "log.txt").read_text(encoding="utf-8")
    assert "stopped at iteration" in requeued


def test_status_names_the_jobs(disturbed: Grid) -> None:
    line = next(line for line in disturbed.said["status"].splitlines() if disturbed.jobs["requeued"] in line)
    assert "job " in line


def test_an_error_of_sbatch_is_one_line(slurm: dict[str, str], started: Started, tmp_path: Path) -> None:
    grid = a_grid(tmp_path / "refused", slurm)
    driver = started(grid.start("--launcher", "slurm", "--partition", "absent", "--methods", "spade", "--seeds", "1"))
    _, said = driver.communicate(timeout=DEADLINE)
    assert driver.returncode == 2
    errors = [line for line in said.splitlines() if "error" in line]
    assert len(errors) == 1, said
    assert "Invalid partition name specified" in errors[0]
    assert list((grid.out / "slurm").glob("*")) == []
