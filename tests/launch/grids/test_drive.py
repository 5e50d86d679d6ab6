"""The driver and the local launcher, with workers that make their records up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launch_stubs import done_record, failure, put, spec_of, stub_command

from harness.errors import UserError
from harness.launch.grids.drive import GridInterrupted, Outcome, drive
from harness.launch.grids.plan import CellSpec
from harness.launch.launchers.launcher import Ended
from harness.launch.launchers.local import LocalLauncher
from harness.launch.launchers.opening import LaunchOptions, open_launcher
from harness.launch.launchers.torchrun import torchrun_launcher
from harness.records import Store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))


def plans(out: Path, cells: int, **of_seed: Any) -> list[CellSpec]:
    """Specs, and what their workers are to do: `s2={"fails": True}` for seed 2."""
    (out / "plan.json").write_text(json.dumps({key[1:]: value for key, value in of_seed.items()}))
    return [spec_of(out, f"{i:012x}", i) for i in range(cells)]


def driven(specs: list[CellSpec], jobs: int = 2, said: list[str] | None = None) -> Outcome:
    say: Callable[[str], None] = (lambda line: None) if said is None else said.append
    return drive(specs, LocalLauncher(jobs, command=stub_command), say, pause=0.05)


def begun(out: Path) -> list[int]:
    return sorted(int(line) for line in (out / "begun.txt").read_text().split())


def test_a_failed_cell_is_told_of_and_the_rest_goes_on(tmp_path: Path) -> None:
    specs, said = plans(tmp_path, 4, s1={"fails": True}), []
    outcome = driven(specs, said=said)
    assert sorted(outcome.done) == [specs[i].key for i in (0, 2, 3)]
    assert outcome.failed == [specs[1].key]
    assert any("no luck" in line and str(specs[1].log) in line for line in said)
    assert begun(tmp_path) == [0, 1, 2, 3]


def test_what_ended_before_is_not_begun_again(tmp_path: Path) -> None:
    specs = plans(tmp_path, 3)
    put(done_record(specs[0]), tmp_path)
    put(failure(specs[1]), tmp_path)
    outcome = driven(specs)
    assert outcome.failed == [specs[1].key]
    assert begun(tmp_path) == [2]


def test_a_killed_worker_is_started_again_and_one_that_always_dies_is_lost(tmp_path: Path) -> None:
    specs, said = plans(tmp_path, 3, s0={"kills": 1}, s1={"kills": 99}), []
    outcome = driven(specs, said=said)
    assert sorted(outcome.done) == [specs[0].key, specs[2].key]
    assert outcome.lost == {specs[1].key: "killed by signal 9, 3 times"}
    assert begun(tmp_path) == [0, 0, 1, 1, 1, 2]
    assert sum("lost" in line for line in said) == 1


def test_two_drivers_of_one_folder_share_the_cells(tmp_path: Path) -> None:
    specs = plans(tmp_path, 6, **{f"s{i}": {"steps": 4} for i in range(6)})
    outcomes: list[Outcome] = []
    # Not in the main thread, so that neither takes the signals of the other.
    both = [threading.Thread(target=lambda: outcomes.append(driven(specs, jobs=1))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(120)
    assert [sorted(outcome.done) for outcome in outcomes] == [[spec.key for spec in specs]] * 2
    assert begun(tmp_path) == list(range(6))


def test_a_stopped_driver_tells_its_workers_and_says_so(tmp_path: Path) -> None:
    specs = plans(tmp_path, 2, s0={"steps": 600}, s1={"steps": 600})
    threading.Thread(target=lambda: (_wait(tmp_path), os.kill(os.getpid(), signal.SIGINT))).start()
    began = time.monotonic()
    with pytest.raises(GridInterrupted, match="goes on"):
        driven(specs)
    assert time.monotonic() - began < 50
    assert not list(tmp_path.glob("records/*"))


def test_a_cell_that_cannot_be_started_has_failed_and_the_rest_goes_on(tmp_path: Path) -> None:
    specs, said = plans(tmp_path, 3), []
    specs[0].folder.parent.mkdir()
    specs[0].folder.write_text("a file")
    specs[1].log.mkdir(parents=True)
    outcome = driven(specs, said=said)
    assert outcome.failed == [specs[0].key, specs[1].key]
    assert outcome.done == [specs[2].key]
    for spec in specs[:2]:
        failed = Store(tmp_path).failure(spec.record)
        assert failed is not None
        assert "cannot write" in failed["error"]["message"]
    assert sum("failed" in line for line in said) == 2
    assert any("use another --out" in line for line in said)


def test_a_driver_that_an_error_ends_stops_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs, said = plans(tmp_path, 2, s0={"steps": 600}, s1={"steps": 600}), []
    launcher = LocalLauncher(2, command=stub_command)
    poll = launcher.poll

    def fails() -> list[Ended]:
        if (tmp_path / "begun.txt").exists():
            raise ZeroDivisionError
        return poll()

    monkeypatch.setattr(launcher, "poll", fails)
    with pytest.raises(ZeroDivisionError):
        drive(specs, launcher, said.append, pause=0.05)
    assert launcher.room == 0  # nobody has polled since
    assert len(poll()) == 2
    assert "the same command goes on" in said[-1]


def _wait(out: Path) -> None:
    deadline = time.monotonic() + 60
    while not (out / "begun.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_each_worker_sees_a_gpu_of_its_own(tmp_path: Path) -> None:
    code = "import os, sys; open(sys.argv[1] + '.gpus', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])"
    specs = plans(tmp_path, 4)
    launcher = LocalLauncher(2, ["3", "5", "6", "7"], 2, lambda spec: [sys.executable, "-S", "-c", code, str(spec)])
    assert launcher.room == 2
    launcher.submit(specs[:2])
    assert launcher.room == 0
    ended = []
    while len(ended) < 2:
        ended += launcher.poll()
        time.sleep(0.02)
    assert {each.key: each.code for each in ended} == {spec.key: 0 for spec in specs[:2]}
    assert sorted(path.read_text() for path in tmp_path.glob("cells/*/*.gpus")) == ["3,5", "6,7"]


def test_a_torchrun_starts_the_worker_in_several_processes() -> None:
    command = torchrun_launcher(2)._command(Path("spec.json"))
    assert command[-4:] == ["--nproc-per-node=2", "-m", "harness.launch.cells.worker", "spec.json"]
    with pytest.raises(UserError, match="3 processes need as many GPUs, and there are 2"):
        torchrun_launcher(3, gpus=["0", "1"])


def test_launchers_are_opened_by_name() -> None:
    assert open_launcher(LaunchOptions(device="cpu")) is None
    assert open_launcher(LaunchOptions(jobs=3, device="cpu")).room == 3
    assert open_launcher(LaunchOptions("torchrun", device="cpu")).room == 1
    with pytest.raises(UserError, match="did you mean local"):
        open_launcher(LaunchOptions("locale"))
    with pytest.raises(UserError, match="only a torchrun has processes"):
        open_launcher(LaunchOptions(processes=2, device="cpu"))


def test_a_worker_without_a_spec_says_so(tmp_path: Path) -> None:
    for words, said in (([], "name the file of a spec"), ([str(tmp_path / "none.json")], "cannot read this spec")):
        done = subprocess.run(
            [sys.executable, "-m", "harness.launch.cells.worker", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
