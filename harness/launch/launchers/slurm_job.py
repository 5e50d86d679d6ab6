"""What runs in a job of the cluster: one worker after another, and the checkpoint when the time is up.

submitit pickles a `CellsJob` at submission, calls it in the job, and asks it for its successor at SIGUSR2,
which Slurm sends ahead of the time limit. The worker is told to stop, which writes a checkpoint, and the job
goes back into the queue. A cell that comes no further in a whole time limit fails instead of going round.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from harness.errors import UserError
from harness.files import write_json
from harness.launch.cells.claims import LOST_AFTER
from harness.launch.cells.worker import BUSY, DONE, MODULE
from harness.launch.grids.plan import CellSpec, read_spec
from harness.launch.grids.states import finished, stand_in
from harness.launch.launchers.slurm_jobs import ask, note_path, read_note
from harness.records import Store

_PAUSE = 0.2
# A process that was killed on another host keeps its cell for this long, and the job comes back for it.
_BUSY_FOR, _BUSY_PAUSE = LOST_AFTER + 30.0, 10.0
# Seconds kept of the notice for going back into the queue.
_RESERVE = 15.0
_DEADLINE = 60.0


@dataclass(frozen=True)
class Start:
    """How a job starts its workers. minutes: its time limit. notice: seconds of warning before it.

    each_node: processes of a cell on each of `nodes` nodes; more than one in all run under torchrun.
    """

    minutes: int
    notice: float
    nodes: int = 1
    each_node: int = 1

    def command(self, spec: Path, job: Job) -> list[str]:
        """The command of this node's processes of a cell."""
        if self.nodes * self.each_node == 1:
            return [sys.executable, "-m", MODULE, str(spec)]
        # One node needs no address that others know, and two jobs may be on it.
        meet = ["--standalone"]
        if self.nodes > 1:
            meet = [f"--nnodes={self.nodes}", f"--node-rank={job.node}", f"--master-addr={job.hosts[0]}"]
            meet += [f"--master-port={20_000 + job.number % 20_000}"]
        each = f"--nproc-per-node={self.each_node}"
        return [sys.executable, "-m", "torch.distributed.run", *meet, each, "-m", MODULE, str(spec)]


@dataclass(frozen=True)
class Job:
    """Where this process is. id: for scontrol. number: of this very job. node: rank of this node of `hosts`."""

    id: str
    number: int
    node: int
    hosts: tuple[str, ...]


@dataclass
class CellsJob:
    """The specs in these files, one after another. folder: of the submission, for notes of how each ended.

    start: how workers are started. marks: how far the cells were when the job was last put back, None at first.
    """

    specs: tuple[str, ...]
    folder: str
    start: Start
    marks: list[str] | None = None
    _process: Any = field(default=None, repr=False)
    _current: CellSpec | None = field(default=None, repr=False)
    _stopped: bool = field(default=False, repr=False)
    _began: float = field(default=0.0, repr=False)

    def __call__(self) -> None:
        """Work; ends the process with exit code 1 where a worker failed."""
        job = this_job()
        self._began = time.monotonic()
        # Slurm tells all processes of a cancelled job, the worker among them: it needs no second word.
        signal.signal(signal.SIGTERM, self._stop)
        codes = []
        for path in self.specs:
            self._current = spec = read_spec(Path(path))
            code = self._until_free(Path(path), job)
            if self._stopped:
                _back_if_preempted(job)
                return
            codes.append(code)
            if job.node == 0:
                write_json(note_path(Path(self.folder), spec.key), {"code": code, "job": job.id})
        if any(code not in (DONE, BUSY) for code in codes):
            raise SystemExit(1)

    def checkpoint(self) -> Any:
        """Stop the worker at a checkpoint; returns what the job does when its turn comes again.

        None, and a record of failure, where the whole time limit brought the cell no further.
        """
        from submitit.helpers import DelayedSubmission

        self._end_worker()
        timed_out = time.monotonic() - self._began > 0.5 * (self.start.minutes * 60 - self.start.notice)
        marks = [mark for path in self.specs for mark in marks_of(read_spec(Path(path)))]
        if timed_out and marks == self.marks and self._current is not None:
            self._fail(self._current)
            return None
        left = replace(self, marks=marks, _process=None, _current=None, _stopped=False, _began=0.0)
        return DelayedSubmission(left)

    def _until_free(self, path: Path, job: Job) -> int:
        """The exit code of the worker; one that finds the cell busy is started again for a while."""
        until = time.monotonic() + _BUSY_FOR
        while True:
            code = self._run(self.start.command(path, job))
            if code != BUSY or self._stopped or time.monotonic() > until:
                return code
            time.sleep(_BUSY_PAUSE)

    def _run(self, command: list[str]) -> int:
        # The notice goes to all processes of the job: it is for this one alone, and would end the worker.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        while not _ended(self._process.pid):
            time.sleep(_PAUSE)
        code: int = self._process.wait()
        self._process = None
        return code

    def _end_worker(self) -> None:
        """Tell the worker to stop and wait for it; kill it where that takes too long."""
        if self._process is None:
            return
        with suppress(OSError):
            os.kill(self._process.pid, signal.SIGTERM)
        deadline = time.monotonic() + max(1.0, self.start.notice - _RESERVE)
        # Not by the process's own wait: this runs in a signal handler, maybe in the midst of one.
        while not _ended(self._process.pid) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        if not _ended(self._process.pid):
            self._process.kill()
        while not _ended(self._process.pid):
            time.sleep(_PAUSE)
        self._process.poll()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True

    def _fail(self, spec: CellSpec) -> None:
        from harness.launch.cells.failures import failed_record

        error = UserError(
            f"no checkpoint within the time limit of {self.start.minutes} minutes",
            where=spec.name,
            mend="ask for a longer --time, or write checkpoints more often: --checkpoint-every",
        )
        if finished(spec) is None:
            Store(Path(spec.how.out)).save_failure(failed_record(spec, error))
        if read_note(Path(self.folder), spec.key) is None:
            write_json(note_path(Path(self.folder), spec.key), {"code": 1, "job": this_job().id})


def this_job() -> Job:
    """The job that this process is in, by what submitit reads off the environment."""
    from submitit import JobEnvironment

    environment = JobEnvironment()
    return Job(
        environment.job_id,
        int(environment.raw_job_id),
        environment.node,
        tuple(environment.hostnames) or ("localhost",),
    )


def marks_of(spec: CellSpec) -> list[str]:
    """How far a cell is: its checkpoints, those of the cell that stands for it, and whether it is done."""
    folders = [spec.folder]
    if (other := stand_in(spec.folder)) is not None:
        folders.append(spec.folder.parent / other)
    names = sorted(f"{f.name}/{path.name}" for f in folders for path in (f / "checkpoints").glob("[!.]*.pt"))
    return [*names, f"{spec.key} {finished(spec) is not None}"]


def _back_if_preempted(job: Job) -> None:
    """Put a job that was told to end, and whose worker has stopped, back into the queue, unless it was cancelled.

    A preempted job has time to end by itself; one that does is over and would not be queued again.
    """
    with suppress(UserError):
        state = ask(["squeue", "--noheader", f"--jobs={job.number}", "--format=%T"], _DEADLINE).strip()
        if state == "RUNNING" and job.node == 0:
            ask(["scontrol", "requeue", job.id], _DEADLINE)


def _ended(pid: int) -> bool:
    """Whether a child has ended; leaves its exit code for `wait`."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
