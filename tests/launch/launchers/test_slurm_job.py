"""What runs in a job: workers one after another, put back into the queue at its end; no cluster is needed."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from launch_stubs import spec_of
from slurm_stubs import FakeSlurm, fake_slurm

from harness.launch.grids.plan import CellSpec, write_spec
from harness.launch.launchers import slurm_job
from harness.launch.launchers.slurm_job import CellsJob, Job, Start, marks_of
from harness.launch.launchers.slurm_jobs import read_note
from harness.records import Store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A job's environment, and workers that make their records up."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    monkeypatch.setattr(slurm_job, "MODULE", "launch_stubs")
    for name, value in {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_ID": "9",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_NODEID": "0",
        "SLURM_JOB_NODELIST": "n[01-02]",
    }.items():
        monkeypatch.setenv(name, value)
    return fake_slurm(tmp_path / "bin", monkeypatch)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def job_of(out: Path, cells: int, minutes: int = 60, **of_seed: Any) -> tuple[CellsJob, list[CellSpec]]:
    """A job of some cells, and what their workers do."""
    out.mkdir(exist_ok=True)
    (out / "plan.json").write_text(json.dumps({key[1:]: value for key, value in of_seed.items()}))
    specs = [spec_of(out, f"{i:012x}", i) for i in range(cells)]
    return CellsJob(tuple(str(write_spec(spec)) for spec in specs), str(out / "slurm"), Start(minutes, 20.0)), specs


def after(seconds: float, number: int) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)


def at_notice(job: CellsJob, began: Path) -> CellsJob | None:
    """Run a job and tell it, once the file is there, that its time is up, as submitit does."""
    successor: list[Any] = []

    def tell(number: int, frame: Any) -> None:
        successor.append(job.checkpoint())
        raise SystemExit(-1)

    signal.signal(signal.SIGUSR2, tell)
    threading.Thread(target=lambda: (wait_for(began), os.kill(os.getpid(), signal.SIGUSR2))).start()
    with pytest.raises(SystemExit):
        job()
    return None if successor[0] is None else successor[0].function


def test_a_job_works_through_its_cells_and_notes_how_each_ended(slurm: FakeSlurm, tmp_path: Path) -> None:
    job, specs = job_of(tmp_path / "out", 3, s1={"fails": True}, s2={"kills": 1})
    with pytest.raises(SystemExit) as ended:
        job()
    assert ended.value.code == 1
    assert [read_note(Path(job.folder), spec.key) for spec in specs] == [0, 1, -signal.SIGKILL]
    done, _ = job_of(tmp_path / "out", 3)
    replace(done, specs=done.specs[:1])()


def test_at_the_notice_the_worker_stops_and_the_job_goes_back(slurm: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job, specs = job_of(out, 1, s0={"steps": 600})
    successor = at_notice(job, out / "begun.txt")
    assert successor is not None
    assert successor.specs == job.specs
    assert successor.marks == marks_of(specs[0])
    assert read_note(Path(job.folder), specs[0].key) is None
    assert Store(out).failure(specs[0].record) is None


def test_a_cell_that_comes_no_further_in_a_whole_time_limit_fails(slurm: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job, specs = job_of(out, 1, minutes=0, s0={"steps": 600})
    job = replace(job, marks=marks_of(specs[0]))
    assert at_notice(job, out / "begun.txt") is None
    record = Store(out).failure(specs[0].record)
    assert record is not None
    assert "no checkpoint within the time limit of 0 minutes" in record["error"]["message"]
    assert read_note(Path(job.folder), specs[0].key) == 1


def test_a_checkpoint_in_between_counts_as_progress(slurm: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job, specs = job_of(out, 1, minutes=0, s0={"steps": 600})
    job = replace(job, marks=marks_of(specs[0]))
    (specs[0].folder / "checkpoints").mkdir()
    (specs[0].folder / "checkpoints" / "iteration_00000004.pt").touch()
    assert at_notice(job, out / "begun.txt") is not None


@pytest.mark.parametrize(("state", "back"), [("RUNNING", True), ("COMPLETING", False), ("CANCELLED", False)])
def test_a_preempted_job_goes_back_and_a_cancelled_one_does_not(
    slurm: FakeSlurm, tmp_path: Path, state: str, back: bool
) -> None:
    out = tmp_path / "out"
    job, specs = job_of(out, 2, s0={"steps": 3})
    slurm.queue(state)
    threading.Thread(target=lambda: (wait_for(out / "begun.txt"), os.kill(os.getpid(), signal.SIGTERM))).start()
    job()
    assert [read_note(Path(job.folder), spec.key) for spec in specs] == [None, None]
    assert ("scontrol requeue 7_1" in slurm.calls) is back


def test_the_workers_of_a_cell_over_several_nodes_meet(slurm: FakeSlurm) -> None:
    job = slurm_job.this_job()
    assert job == Job("7_1", 9, 0, ("n01", "n02"))
    words = Start(60, 120, nodes=2, each_node=4).command(Path("spec.json"), replace(job, node=1))
    assert words[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert {"--nnodes=2", "--node-rank=1", "--master-addr=n01", "--master-port=20009", "--nproc-per-node=4"} <= set(
        words
    )
    assert "--standalone" in Start(60, 120, each_node=2).command(Path("spec.json"), job)
    assert Start(60, 120).command(Path("spec.json"), job) == [sys.executable, "-m", "launch_stubs", "spec.json"]
