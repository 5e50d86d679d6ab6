"""The work on a cell in this process: what it leaves where it fails, is stopped, or is taken."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from launch_stubs import done_record, failure, put, spec_of
from torch.distributed import DistBackendError, DistNetworkError

from harness.cells import load_suite, resolve
from harness.errors import UserError
from harness.launch.cells import work as module
from harness.launch.cells import worker
from harness.launch.cells.beforehand import check_synchronised
from harness.launch.cells.claims import HEARTBEAT, Claim, read_beat
from harness.launch.cells.failures import describe_error, error_line, says_peer_lost
from harness.launch.cells.work import BUSY, DONE, FAILED, LOST, Bars, Ready, stoppable, work
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


GLOO = "[../third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:4711"
RESET = "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Read error [127.0.0.1]:4711: Connection reset by peer"
NCCL = "NCCL error: ncclRemoteError: A call failed possibly due to a network error or a remote process exiting"
USAGE = "NCCL error: ncclInvalidUsage: Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1000"


def test_the_loss_of_another_process_is_told_from_an_error_of_this_one() -> None:
    lost = [RuntimeError(GLOO), RuntimeError(RESET), DistBackendError(NCCL), DistNetworkError("recvValue failed")]
    assert all(says_peer_lost(error) for error in lost)
    own = [RuntimeError("shapes differ"), DistBackendError(USAGE), UserError(RESET), ValueError(RESET)]
    assert not any(says_peer_lost(error) for error in own)


def test_a_cell_whose_other_process_was_killed_has_not_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, said = spec_of(tmp_path), []

    def reset() -> Ready:
        raise RuntimeError(RESET)

    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert run(spec, reset, said) == LOST
    assert len(said) == 2
    assert all("another process of this cell was lost" in line for line in said)
    assert observe(target_of(spec), Records(Store(tmp_path))).state == "waiting"
    # An error that came before it stays, and alone a process has nobody to lose.
    put(failure(spec), tmp_path)
    assert run(spec, reset, said) == LOST
    assert Store(tmp_path).failure(spec.record) is not None
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert run(spec, reset) == FAILED


def test_a_worker_that_lost_another_ends_with_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset(spec: CellSpec, say: Any) -> Ready:
        raise RuntimeError(GLOO)

    monkeypatch.setattr("harness.launch.cells.prepare.prepare", reset)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert worker.run(spec_of(tmp_path)) == worker.PEER_LOST
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert worker.run(spec_of(tmp_path)) == worker.FAILED


def test_a_cell_whose_folder_cannot_be_made_has_failed_and_the_rest_goes_on(tmp_path: Path, trained: list[str]) -> None:
    specs, said = [spec_of(tmp_path, f"{i:012x}", i) for i in range(2)], []
    specs[0].folder.parent.mkdir()
    specs[0].folder.write_text("a file")
    outcome = work_here(specs, lambda spec: Ours, quiet, said.append)  # type: ignore[arg-type, return-value]
    assert (outcome.failed, outcome.done) == ([specs[0].key], [specs[1].key])
    failed = Store(tmp_path).failure(specs[0].record)
    assert failed is not None
    assert "cannot make this folder" in failed["error"]["message"]
    assert any(line.startswith("[1/2]") and "failed" in line for line in said)


def test_a_cell_worked_on_here_leaves_the_log_that_a_worker_leaves(tmp_path: Path, trained: list[str]) -> None:
    spec = spec_of(tmp_path)
    asked: list[type[Exception]] = [ZeroDivisionError, Interrupted, KeyboardInterrupt]  # type: ignore[list-item]

    def prepare(spec: CellSpec) -> Any:
        if not asked:
            return Ours
        kind = asked.pop(0)
        raise kind(Path("x.pt"), 3) if kind is Interrupted else kind("by nought")

    assert work_here([spec], prepare, quiet, [].append).failed == [spec.key]
    for stopped in (Interrupted, KeyboardInterrupt):
        with pytest.raises(stopped):
            work_here([spec], prepare, quiet, [].append)
    work_here([spec], prepare, quiet, [].append)
    written = spec.log.read_text()
    put(done_record(spec), tmp_path)
    work_here([spec], prepare, quiet, [].append)  # nothing to do is nothing to log
    assert spec.log.read_text() == written
    assert written.count(f"{spec.name}: process {os.getpid()}") == 4
    for words in ("Traceback", f"{spec.name}: failed: ZeroDivisionError", "stopped at iteration 3", "stopped; the"):
        assert words in written
    assert f"{spec.name} scoring: 1/2 in 0:00" in written
    assert observe(target_of(spec), Records(Store(tmp_path))).log == str(spec.log)


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("spade", "--set generator.norm.base=batch, or "),
        ("pix2pixhdpp", "--set 'generator.norm={name: batch, affine: true}', or "),
    ],
)
def test_synchronised_batch_norm_over_processes_on_cpus_is_refused_with_a_mend(method: str, option: str) -> None:
    small = {"generator.ngf": 4, "discriminator.ndf": 4}
    with pytest.raises(UserError, match="the generator has synchronised batch norm") as raised:
        check_synchronised(resolve(method, load_suite("toyscapes"), 0, small))
    assert raised.value.mend == f"{option}train on GPUs, or in one process"
    for fine, more in (("spade", {"generator.norm.base": "batch"}), ("pix2pixhd", {})):
        check_synchronised(resolve(fine, load_suite("toyscapes"), 0, {**small, **more}))
