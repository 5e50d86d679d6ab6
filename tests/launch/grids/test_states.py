"""States of cells, read from folders made by hand."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from launch_stubs import TOTAL, done_record, failure, put, spec_of

from harness.errors import UserError
from harness.launch.cells.claims import HEARTBEAT, LOST_AFTER, Busy, Claim, read_beat
from harness.launch.grids.plan import CellSpec, write_spec
from harness.launch.grids.states import (
    Records,
    State,
    Target,
    counts,
    observe,
    observe_all,
    photos_target,
    target_of,
)
from harness.records import Store

HOLD = (
    "from harness.launch.cells.claims import Claim; import pathlib, sys, time\n"
    "with Claim(pathlib.Path(sys.argv[1])) as c:\n"
)


def state(out: Path, target: Target | None = None) -> State:
    return observe(target or target_of(spec_of(out)), Records(Store(out)))


def beat(out: Path, age: float = 0.0, **fields: object) -> None:
    folder = spec_of(out).folder
    folder.mkdir(parents=True, exist_ok=True)
    known = {"host": "elsewhere", "pid": 1, "ticks": 1, "started": "", "stage": "training", "done": 5, "total": 20}
    (folder / HEARTBEAT).write_text(json.dumps({**known, **fields}))
    os.utime(folder / HEARTBEAT, (time.time() - age,) * 2)


def holder(folder: Path, then: str = "    time.sleep(60)") -> subprocess.Popen[bytes]:
    """Another process that holds the cell."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", HOLD + then, str(folder)])
    deadline = time.monotonic() + 60
    while read_beat(folder / HEARTBEAT) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_a_cell_without_anything_is_waiting_and_knows_its_last_checkpoint(tmp_path: Path) -> None:
    assert (state(tmp_path).state, state(tmp_path).done) == ("waiting", 0)
    checkpoints = spec_of(tmp_path).folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("iteration_00000004.pt", "iteration_00000012.pt", ".iteration_00000016.1.pt"):
        (checkpoints / name).touch()
    found = state(tmp_path)
    assert (found.state, found.done, found.total) == ("waiting", 12, TOTAL)


def test_a_finished_record_is_done_and_goes_before_every_sign_of_work(tmp_path: Path) -> None:
    beat(tmp_path)
    put(done_record(spec_of(tmp_path)), tmp_path)
    assert state(tmp_path).state == "done"


def test_a_failed_record_is_failed_with_its_error(tmp_path: Path) -> None:
    put(failure(spec_of(tmp_path), "no\nluck"), tmp_path)
    assert (state(tmp_path).state, state(tmp_path).detail) == ("failed", "RuntimeError: no luck")


def test_another_host_is_believed_while_its_heartbeat_is_young(tmp_path: Path) -> None:
    beat(tmp_path, age=1, left=12.5, job="77")
    found = state(tmp_path)
    assert (found.state, found.stage, found.done, found.left) == ("running", "training", 5, 12.5)
    assert "job 77" in found.detail
    with pytest.raises(Busy, match="elsewhere"), Claim(spec_of(tmp_path).folder):
        pass
    beat(tmp_path, age=LOST_AFTER + 1)
    assert state(tmp_path).state == "lost"
    with Claim(spec_of(tmp_path).folder):
        assert state(tmp_path).state == "running"
    assert state(tmp_path).state == "waiting"


def test_a_number_that_another_process_has_now_is_not_taken_for_the_worker(tmp_path: Path) -> None:
    beat(tmp_path, host=socket.gethostname(), pid=os.getpid(), ticks=1)
    assert state(tmp_path).state == "lost"


def test_a_killed_worker_is_lost_at_once_and_its_lock_blocks_nobody(tmp_path: Path) -> None:
    folder = spec_of(tmp_path).folder
    process = holder(folder)
    assert state(tmp_path).state == "running"
    with pytest.raises(Busy, match=f"process {process.pid}"), Claim(folder):
        pass
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while state(tmp_path).state == "running":  # a zombie until it is waited for, and no longer at work
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert state(tmp_path).state == "lost"
    process.wait()
    with Claim(folder):
        pass


def test_a_broken_heartbeat_is_none(tmp_path: Path) -> None:
    beat(tmp_path)
    (spec_of(tmp_path).folder / HEARTBEAT).write_text('{"host": ')
    assert state(tmp_path).state == "waiting"


def test_without_a_record_id_any_record_of_the_protocol_by_name_counts(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    other = {**done_record(spec), "id": f"{spec.cell}-{'f' * 12}"}
    put(other, tmp_path)
    assert state(tmp_path).state == "waiting"
    asked = Target(spec.cell, spec.name, spec.folder, TOTAL, protocol="native")
    assert state(tmp_path, asked).state == "done"
    assert state(tmp_path, Target(spec.cell, spec.name, spec.folder, TOTAL, protocol="ours")).state == "waiting"
    put(failure(spec), tmp_path)
    assert state(tmp_path, asked).state == "done"


def test_the_cell_in_micro_batches_stands_for_the_one_that_ran_out_of_memory(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    spec.folder.mkdir(parents=True)
    (spec.folder / "out_of_memory.json").write_text(json.dumps({"micro_batches": 2, "cell": "b" * 12}))
    put(done_record(spec_of(tmp_path, "b" * 12)), tmp_path)
    assert state(tmp_path).state == "done"
    asked = Target(spec.cell, spec.name, spec.folder, TOTAL, protocol="native")
    assert state(tmp_path, asked).state == "done"


def test_a_failure_is_no_finished_record_and_is_forgotten_alone(tmp_path: Path) -> None:
    store, spec = Store(tmp_path), spec_of(tmp_path)
    store.save_failure(failure(spec))
    assert store.load(spec.record) is None
    assert store.failure(spec.record) is not None
    store.forget_failure(spec.record)
    assert store.failure(spec.record) is None
    put(done_record(spec), tmp_path)
    store.forget_failure(spec.record)
    assert store.load(spec.record) is not None
    broken = failure(spec)
    del broken["error"]
    put(broken, tmp_path)
    with pytest.raises(UserError, match=r"lacks 'error\.type'"):
        store.failure(spec.record)


def test_counts_name_every_state(tmp_path: Path) -> None:
    specs = [spec_of(tmp_path, f"{i:012x}", i) for i in range(3)]
    put(done_record(specs[0]), tmp_path)
    put(failure(specs[1]), tmp_path)
    found = counts(observe_all([target_of(spec) for spec in specs], Store(tmp_path)))
    assert found == {"done": 1, "running": 0, "failed": 1, "waiting": 1, "lost": 0}


def photos_spec(out: Path, suite: str = "toyscapes", content: str = "0" * 12) -> CellSpec:
    """A spec of a suite's photos."""
    spec, cell = spec_of(out), f"photos-{content}"
    record = f"{cell}-{spec.described['hash']}"
    return replace(spec, cell=cell, record=record, suite=suite, method="photos", seed=None, config=None, total=0)


def test_photos_are_found_by_what_a_run_or_a_scoring_has_left(tmp_path: Path) -> None:
    def of(suite: str = "toyscapes", protocol: str = "native") -> State:
        return state(tmp_path, photos_target(Store(tmp_path), suite, protocol))

    assert (of().state, of().name, of().cell) == ("waiting", "real photos of toyscapes", "photos")
    spec, other = photos_spec(tmp_path), photos_spec(tmp_path, "camvid", "1" * 12)
    put({**failure(spec), "cell": None}, tmp_path)
    put({**done_record(other), "cell": None}, tmp_path)
    assert (of().state, of().cell) == ("failed", spec.cell)
    assert (of("camvid").state, of("camvid").record) == ("done", other.record)
    assert of(protocol="bicubic").state == of("cityscapes").state == "waiting"
    put({**done_record(spec), "cell": None}, tmp_path)
    assert of().state == "done"
    # What is planned now is of other data than what was scored once.
    again = photos_spec(tmp_path, content="2" * 12)
    write_spec(again)
    assert (of().state, of().cell) == ("waiting", again.cell)
    process = holder(again.folder)
    try:
        assert (of().state, of("camvid").state) == ("running", "done")
    finally:
        process.kill()
        process.wait()
    assert of().state == "lost"
    again.path.write_text("{")
    assert (of().state, of().cell) == ("done", spec.cell)
