"""The slurm launcher: cells as arrays of jobs on a cluster, through submitit.

The jobs are the cluster's: they go on when the launcher is stopped, and the next one takes them over, by the
files of harness/launch/launchers/slurm_jobs.py. What becomes of them is read from squeue, since submitit knows no state
where the cluster keeps no accounts.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.launch.grids.plan import CellSpec, write_spec
from harness.launch.launchers.launcher import Ended
from harness.launch.launchers.slurm_job import CellsJob, Start
from harness.launch.launchers.slurm_jobs import (
    FOLDER,
    Job,
    Submission,
    error_words,
    jobs_by_cell,
    read_note,
    squeue,
    submissions,
)
from harness.launch.launchers.slurm_options import SlurmOptions

# The usual MaxArraySize is 1001.
_LONGEST_ARRAY = 1000
_FILES_EVERY, _SQUEUE_EVERY = 1.0, 10.0
# A job goes back into the queue at each time limit; one that makes no progress fails long before this.
_TIME_LIMITS = 1000
_PROGRAMS = ("sbatch", "srun", "squeue", "scontrol")


class SlurmLauncher:
    """Runs cells as jobs of the cluster that this machine belongs to. out: folder of results, on a disk that all
    nodes see. Raises UserError where submitit or Slurm are missing."""

    def __init__(
        self,
        out: Path,
        options: SlurmOptions,
        say: Callable[[str], None],
        squeue_every: float = _SQUEUE_EVERY,
        files_every: float = _FILES_EVERY,
    ) -> None:
        try:
            import submitit.slurm.slurm  # noqa: F401  only whether it is there
        except ModuleNotFoundError as error:
            raise UserError(
                "needs the extra 'slurm'", where="--launcher slurm", mend="pip install 'spadebench[slurm]'"
            ) from error
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        if missing:
            raise UserError(
                f"{missing[0]} was not found", where="--launcher slurm", mend="start this on a machine of the cluster"
            )
        self._out, self._options, self._say = out.resolve(), options, say
        self._mine: dict[str, tuple[Submission, int]] = {}
        self._squeue_every, self._files_every = squeue_every, files_every
        self._squeue_next = self._files_next = 0.0
        # Taken once, jobs are not given up for an hour of a busy controller.
        self._later: list[CellSpec] = []
        self._taken_once = self._mute = False

    @property
    def room(self) -> int:
        """All of them: waiting is the queue's."""
        return _LONGEST_ARRAY * self._options.cells_per_job

    def submit(self, specs: Sequence[CellSpec]) -> None:
        try:
            self._submit(specs)
        except UserError as error:
            if not self._taken_once:
                raise
            self._later += specs
            self._wait_for(error)
        self._taken_once = True
        self._squeue_next = time.monotonic() + self._squeue_every

    def _submit(self, specs: Sequence[CellSpec]) -> None:
        running = jobs_by_cell(self._out, squeue())
        known = {each.name: each for each in submissions(self._out)}
        taken = [spec for spec in specs if spec.key in running]
        for spec in taken:
            job = running[spec.key]
            self._mine[spec.key] = (known[job.name], job.task)
        if taken:
            self._say(f"{_cells(len(taken))} in jobs that an earlier run submitted: {_numbers(self._held(taken))}")
        left = [spec for spec in specs if spec.key not in running]
        size = self._options.cells_per_job
        jobs = [left[i : i + size] for i in range(0, len(left), size)]
        for i in range(0, len(jobs), _LONGEST_ARRAY):
            self._submit_array(jobs[i : i + _LONGEST_ARRAY])

    def poll(self) -> list[Ended]:
        now = time.monotonic()
        if now < self._files_next or not (self._mine or self._later):
            return []
        if self._later and now >= self._squeue_next:
            specs, self._later = self._later, []
            self.submit(specs)
        self._files_next = now + self._files_every
        # Asked before the notes are read: a job that is over has written its notes.
        jobs = self._jobs() if now >= self._squeue_next else None
        ended = []
        for key, (submission, task) in list(self._mine.items()):
            code = read_note(submission.folder, key)
            if code is not None:
                words = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
                ended.append(Ended(key, code, f"{words}, job {submission.job_id(task)}"))
            elif jobs is not None:
                job = jobs.get((submission.name, task))
                if job is None or job.over:
                    words = job.words if job is not None else f"job {submission.job_id(task)} is gone"
                    ended.append(Ended(key, None, words, final=job is not None and job.cancelled))
        for each in ended:
            del self._mine[each.key]
        return ended

    def interrupt(self) -> str:
        numbers = _numbers([submission for submission, _ in self._mine.values()])
        if not self._mine:
            return "no job is left in the cluster"
        return (
            f"{_cells(len(self._mine))} go on in the cluster, {numbers}: the same command picks them up, "
            "spadebench status shows them, scancel ends them"
        )

    def _jobs(self) -> dict[tuple[str, int], Job] | None:
        """What squeue says; None, said once, where it does not answer: the jobs go on without it."""
        self._squeue_next = time.monotonic() + self._squeue_every
        try:
            jobs = squeue()
        except UserError as error:
            self._wait_for(error)
            return None
        self._mute = False
        return jobs

    def _wait_for(self, error: UserError) -> None:
        if not self._mute:
            self._say(f"{error}; the jobs go on, and Slurm is asked again")
        self._mute = True

    def _submit_array(self, jobs: Sequence[Sequence[CellSpec]]) -> None:
        path = self._out / FOLDER / f"spadebench-{secrets.token_hex(4)}.json"
        cells = tuple(tuple(spec.key for spec in each) for each in jobs)
        submission = Submission(path, None, cells)
        submission.save()  # before sbatch: whatever happens now, its jobs are found again by their name
        try:
            number = self._sbatch(submission, jobs)
        except BaseException:
            submission.remove()
            raise
        submission = Submission(path, number, cells)
        submission.save()
        self._mine |= {key: (submission, task) for task, keys in enumerate(cells) for key in keys}
        self._say(f"{_cells(sum(map(len, jobs)))} submitted in job {number}, logs {submission.folder}")

    def _sbatch(self, submission: Submission, jobs: Sequence[Sequence[CellSpec]]) -> str:
        from submitit.core.utils import FailedJobError, FailedSubmissionError
        from submitit.slurm.slurm import SlurmExecutor

        options = self._options
        start = Start(options.minutes, options.notice, options.nodes, options.each_node)
        work = [CellsJob(tuple(str(write_spec(s)) for s in each), str(submission.folder), start) for each in jobs]
        executor: Any = SlurmExecutor(folder=submission.folder, max_num_timeout=_TIME_LIMITS)
        try:
            # submitit prints what sbatch complains of, which is raised below.
            with contextlib.redirect_stderr(io.StringIO()):
                executor.update_parameters(**options.parameters(submission.name))
                submitted = executor.submit_array(work)
        except (FailedJobError, FailedSubmissionError) as error:
            raise UserError(
                error_words(str(error)) or "failed", where="sbatch", mend="see --partition, --time, --mem, --gpus"
            ) from error
        except OSError as error:
            raise UserError(f"cannot submit: {error.strerror or error}", where=str(submission.folder)) from error
        return str(submitted[0].job_id).partition("_")[0]

    def _held(self, specs: Sequence[CellSpec]) -> list[Submission]:
        return [self._mine[spec.key][0] for spec in specs]


def _cells(count: int) -> str:
    return f"{count} cell" + ("" if count == 1 else "s")


def _numbers(held: Sequence[Submission]) -> str:
    """The numbers of the jobs, each once."""
    numbers = list(dict.fromkeys(each.job or each.name for each in held))
    return ("job " if len(numbers) == 1 else "jobs ") + ", ".join(numbers)
