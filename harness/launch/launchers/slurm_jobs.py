"""The jobs of a folder of results: which cells were submitted in which, on file, and what squeue says of them.

A submission is one array of jobs: `slurm/<name>.json` says what it holds, and the folder `slurm/<name>/` has
submitit's files and a note for each cell whose process ended. Jobs are told apart by their name, which no other
submission has: numbers come again where a cluster is set up anew. Needs neither submitit nor accounting.
"""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import write_json
from harness.launch.grids.states import LOST, WAITING, State

FORMAT = 1
FOLDER = "slurm"
# States in which a job stays; in all others it runs, will run, or will be queued again.
_CANCELLED = "CANCELLED"
_OVER = {_CANCELLED, "BOOT_FAIL", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
_OVER |= {"PREEMPTED", "REVOKED", "TIMEOUT"}
_SQUEUE_DEADLINE = 30.0


@dataclass(frozen=True)
class Job:
    """A row of squeue. id: as 12 or 12_3. task: its place in the array. reason: why it waits."""

    id: str
    state: str
    name: str
    reason: str = ""

    @property
    def task(self) -> int:
        return int(self.id.partition("_")[2] or 0)

    @property
    def over(self) -> bool:
        return self.state in _OVER

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it on purpose."""
        return self.state == _CANCELLED

    @property
    def words(self) -> str:
        """For people, as `job 12_3 pending (Priority)`."""
        reason = f" ({self.reason})" if self.state == "PENDING" and self.reason not in ("", "None") else ""
        return f"job {self.id} {self.state.lower().replace('_', ' ')}{reason}"


@dataclass(frozen=True)
class Submission:
    """An array of jobs. job: its number, None until sbatch has told. cells: keys of the specs, by task."""

    path: Path
    job: str | None
    cells: tuple[tuple[str, ...], ...]
    submitted: str = ""

    @property
    def name(self) -> str:
        """The name that its jobs have in the queue, and no others."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        return self.path.with_suffix("")

    def save(self) -> None:
        """Write it by rename."""
        submitted = self.submitted or datetime.now(UTC).isoformat(timespec="seconds")
        cells = [list(keys) for keys in self.cells]
        write_json(self.path, {"slurm": FORMAT, "job": self.job, "submitted": submitted, "cells": cells})

    def remove(self) -> None:
        """Forget it: sbatch took no job of it."""
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def job_id(self, task: int) -> str:
        """The number of one of its jobs, as 12_3; submitit makes no array of one."""
        return f"{self.job or '?'}" + (f"_{task}" if len(self.cells) > 1 else "")


def submissions(out: Path) -> list[Submission]:
    """What was submitted from a folder of results, the latest last. Files that cannot be read are left out."""
    found = []
    for path in (out / FOLDER).glob("*.json"):
        if path.name.startswith("."):
            continue
        try:
            plain: Any = json.loads(path.read_text(encoding="utf-8"))
            if plain["slurm"] == FORMAT:
                cells = tuple(tuple(str(key) for key in keys) for keys in plain["cells"])
                found.append(Submission(path, plain["job"], cells, plain["submitted"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda each: (each.submitted, each.name))


def note_path(folder: Path, key: str) -> Path:
    """Where a job notes how the process of a cell ended. folder: of the submission."""
    return folder / f"{key}.ended.json"


def read_note(folder: Path, key: str) -> int | None:
    """The exit code of a cell's process, None where it has not ended."""
    try:
        code = json.loads(note_path(folder, key).read_text(encoding="utf-8"))["code"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, int) else None


def parse_squeue(text: str) -> list[Job]:
    """The jobs of `squeue --format=%i|%T|%j|%r`; rows that are none are left out."""
    jobs = []
    for line in text.splitlines():
        parts = line.strip().split("|")
        # A name may hold a bar: number and state come first, the reason last.
        if len(parts) >= 4 and parts[0].replace("_", "").isdigit():
            jobs.append(Job(parts[0], parts[1], "|".join(parts[2:-1]), parts[-1]))
    return jobs


def squeue(deadline: float = _SQUEUE_DEADLINE) -> dict[tuple[str, int], Job]:
    """This user's jobs by name and task, those that ended of late too.

    Raises UserError where squeue is missing, fails, or takes longer than `deadline` seconds.
    """
    # Not by number: squeue fails on the number of a job that it has forgotten.
    asked = ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T|%j|%r"]
    return {(job.name, job.task): job for job in parse_squeue(ask(asked, deadline))}


def ask(command: Sequence[str], deadline: float) -> str:
    """What a command of the scheduler prints. Raises UserError with its last line where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"no answer within {deadline:.0f} s", where=command[0], mend="is the controller up? see scontrol ping"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot be run: {error.strerror}", where=command[0], mend="work on a machine of the cluster"
        ) from error
    if done.returncode != 0:
        raise UserError(error_words(done.stderr) or f"exit code {done.returncode}", where=command[0])
    return done.stdout


def error_words(stderr: str) -> str:
    """What a command of the scheduler complains of, in one line: its last, without the names before it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].rpartition("error: ")[2] if lines else ""


def jobs_by_cell(out: Path, jobs: Mapping[tuple[str, int], Job]) -> dict[str, Job]:
    """The job of each cell that is queued or runs, by the keys of the specs."""
    found: dict[str, Job] = {}
    for each in submissions(out):
        for task, keys in enumerate(each.cells):
            job = jobs.get((each.name, task))
            if job is not None and not job.over:
                found |= {key: job for key in keys if read_note(each.folder, key) is None}
    return found


def with_jobs(states: Sequence[State], out: Path, deadline: float = 10.0) -> list[State]:
    """The states, those of cells that have a job in the queue with its number and state. Where squeue cannot be
    asked they are as they were."""
    if not submissions(out) or shutil.which("squeue") is None:
        return list(states)
    try:
        found = jobs_by_cell(out, squeue(deadline))
    except UserError:
        return list(states)
    # A key is that of a record, which begins with the cell's.
    words = {key.rpartition("-")[0]: job.words for key, job in found.items()}
    return [
        replace(state, detail=words[state.cell]) if state.state in (WAITING, LOST) and state.cell in words else state
        for state in states
    ]
