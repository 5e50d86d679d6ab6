"""The work on a cell in this process: what it leaves where it fails, is stopped, or is taken."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from launch_stubs import done_record, put, spec_of

from harness.errors import UserError
from harness.launch.cells import work as module
from harness.launch.cells.claims import HEARTBEAT, Claim, read_beat
from harness.launch.cells.failures import describe_error, error_line
from harness.launch.cells.work import BUSY, DONE, FAILED, Bars, Ready, stoppable, work
from harness.launch.grids.here import work_here
from harness.launch.grids.plan import CellSpec
from harness.launch.grids.states import Records, observe, target_of
from harness.records import Store, read_record
from harness.training.interrupt import Interrupted


@contextmanager
def quiet(what: str) -> Iterator[Any]:
    yield lambda done, total, values: None


class Ours:
    """Stands for Ready: a cell and nothing that could train it."""

    cell, bench, machine = "cell", type("Bench", (), {"places": None}), None


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trains nothing; gathers what was scored."""
    scored: list[str] = []

    def score(cell: Any, checkpoint: Path, bench: Any, store: Store, machine: Any, progress: Any, halves: Any) -> None:
        progress(1, 2, {})
        scored.append(checkpoint.name)

    monkeypatch.setattr(module, "train_cell", lambda *given: Path("last.pt"))
    monkeypatch.setattr(module, "score_cell", score)
    return scored


def run(spec: CellSpec, prepare: Any = Ours, said: list[str] | None = None, bars: Bars = quiet) -> str:
    return work(spec, prepare, bars, [].append if said is None else said.append)


def test_a_done_cell_opens_nothing(tmp_path: Path) -> None:
    put(done_record(spec_of(tmp_path)), tmp_path)
    assert run(spec_of(tmp_path), prepare=None) == DONE


def test_an_error_becomes_a_record_and_a_log_and_lets_go_of_the_cell(tmp_path: Path, trained: list[str]) -> None:
    spec, said = spec_of(tmp_path), []

    def broken() -> Ready:
        raise ZeroDivisionError("by nought")

    assert run(spec, broken, said) == FAILED
    record = read_record(tmp_path / "records" / f"{spec.record}.json")
    assert {key: record[key] for key in ("cell", "method", "suite", "seed", "status", "config", "protocol")} == {
        "cell": spec.cell, "method": "stub", "suite": "toyscapes", "seed": 0, "status": "failed",
        "config": spec.config, "protocol": spec.described,
    }  # fmt: skip
    error = record["error"]
    assert (error["type"], error["message"]) == ("ZeroDivisionError", "by nought")
    assert error["where"].startswith("test_work.py:")
    assert error["traceback"] in spec.log.read_text()
    assert any("ZeroDivisionError: by nought" in line for line in said)
    assert not (spec.folder / HEARTBEAT).exists()
    # Tried once more, the failure makes way.
    assert run(spec) == DONE
    assert trained == ["last.pt"]
    assert Store(tmp_path).failure(spec.record) is None


def test_bad_input_is_recorded_by_its_line() -> None:
    record = {"error": describe_error(UserError("no such file", "here.yaml", "write it"))}
    assert error_line(record) == "here.yaml: no such file (write it)"
    assert error_line({"error": describe_error(ValueError("two\nlines"))}) == "ValueError: two lines ()"


def test_a_cell_that_another_process_holds_is_left_to_it(tmp_path: Path, trained: list[str]) -> None:
    spec = spec_of(tmp_path)
    spec.folder.mkdir(parents=True)
    with Claim(spec.folder):
        assert run(spec) == BUSY
    assert not trained


def test_a_taken_cell_comes_last_and_is_waited_for(tmp_path: Path, trained: list[str]) -> None:
    specs, said = [spec_of(tmp_path, f"{i:012x}", i) for i in range(2)], []
    specs[0].folder.mkdir(parents=True)
    claim = Claim(specs[0].folder)
    claim.__enter__()
    prepared: list[int] = []

    def prepare(spec: CellSpec) -> Any:
        assert spec.seed is not None
        prepared.append(spec.seed)
        claim.__exit__()
        return Ours

    outcome = work_here(specs, prepare, quiet, said.append, pause=0.01)
    assert prepared == [1, 0]
    assert outcome.done == [specs[1].key, specs[0].key]
    assert sum("waiting" in line for line in said) == 1


def test_a_stop_is_no_failure(tmp_path: Path, trained: list[str]) -> None:
    spec = spec_of(tmp_path)

    def stopped() -> Ready:
        raise Interrupted(Path("x.pt"), 3)

    with pytest.raises(Interrupted):
        run(spec, stopped)

    def terminated() -> Ready:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)
        raise AssertionError("still here")

    with pytest.raises(KeyboardInterrupt), stoppable():
        run(spec, terminated)
    assert observe(target_of(spec), Records(Store(tmp_path))).state == "waiting"


def test_where_not_even_the_failure_can_be_written_the_error_itself_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, record: Any) -> Path:
        raise UserError("cannot write: No space left on device")

    def broken() -> Ready:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "save_failure", full)
    with pytest.raises(OSError, match="No space"):
        run(spec_of(tmp_path), broken)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make this folder"):
        run(spec_of(tmp_path / "file"), broken)


def test_the_heartbeat_says_how_far_the_work_is(tmp_path: Path) -> None:
    folder = spec_of(tmp_path).folder
    folder.mkdir(parents=True)
    with Claim(folder, every=0.02) as claim:
        claim.progress("training", 11, 20)  # resumed at 10
        claim.progress("training", 15, 20)
        claim._stop.wait(0.2)
        beat = read_beat(folder / HEARTBEAT)
    assert beat is not None
    assert (beat.stage, beat.done, beat.total) == ("training", 15, 20)
    assert beat.left is not None


def test_in_a_torchrun_the_first_process_holds_the_cell_and_scores(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tmp_path)
    spec.folder.mkdir(parents=True)
    monkeypatch.setenv("RANK", "1")
    with Claim(spec.folder):
        assert run(spec) == DONE
    assert not trained

    def broken() -> Ready:
        raise RuntimeError(os.environ["RANK"])

    # The error that came first is the one that stays.
    for rank in ("1", "2"):
        monkeypatch.setenv("RANK", rank)
        assert run(spec, broken) == FAILED
    failed = Store(tmp_path).failure(spec.record)
    assert failed is not None
    assert failed["error"]["message"] == "1"
