"""Who works on a cell: a lock, and a heartbeat that says how far, both files of the cell's folder. Needs no torch.

The lock is the kernel's: it ends with its process, however that ends. Other hosts of a shared file system,
where a lock may not reach, go by the age of the heartbeat.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import UserError
from harness.files import write_json

LOCK, HEARTBEAT = "worker.lock", "heartbeat.json"
BEAT_EVERY = 3.0
# A heartbeat of another host that is older than this is that of a dead worker.
LOST_AFTER = 60.0


class Busy(Exception):  # noqa: N818  # no error: somebody else does the work
    """Another process works on this cell."""


@dataclass(frozen=True)
class Beat:
    """A heartbeat: who works on a cell and how far it is.

    ticks: when the process started, in the kernel's count, which tells it from a later one of its number.
    job: the cluster's job, where there is one. stage: `opening`, `training` or `scoring`. left: seconds.
    """

    host: str
    pid: int
    ticks: int
    started: str
    job: str | None = None
    stage: str = "opening"
    done: int = 0
    total: int = 0
    left: float | None = None

    @property
    def who(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", job {self.job}" if self.job else "")


class Claim:
    """Hold a cell while working on it: `with Claim(folder) as claim`. Raises Busy where another process does."""

    def __init__(self, folder: Path, every: float = BEAT_EVERY) -> None:
        self._path, self._every = folder / HEARTBEAT, every
        self._lock = FileLock(folder / LOCK)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._beat = _own()
        self._since = (0, time.monotonic())

    def __enter__(self) -> Claim:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            beat = read_beat(self._path)
            raise Busy(beat.who if beat is not None else "another process") from None
        try:
            other = read_beat(self._path)
            # Of this host none but us can be alive, since we have the lock.
            if other is not None and other.host != self._beat.host and is_alive(other, self._path):
                raise Busy(other.who)
            self._write()
        except BaseException:
            self._lock.release()
            raise
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._lock.release()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Note how far the work is; the next beat says so."""
        now = time.monotonic()
        if stage != self._beat.stage:
            self._since = (done - 1, now)
        first, began = self._since
        rate = (done - first) / (now - began) if now > began else 0.0
        left = round((total - done) / rate, 1) if rate > 0 else None
        self._beat = Beat(**{**asdict(self._beat), "stage": stage, "done": done, "total": total, "left": left})

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            with suppress(UserError):  # a full disk is for the work itself to say
                self._write()

    def _write(self) -> None:
        write_json(self._path, asdict(self._beat))


def read_beat(path: Path) -> Beat | None:
    """The heartbeat in a file; None where there is none, or none that can be read."""
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
        return Beat(**plain)
    except (OSError, ValueError, TypeError):
        return None


def is_alive(beat: Beat, path: Path) -> bool:
    """Whether the process of a heartbeat still runs: looked up on this host, by the beat's age for another."""
    if beat.host == socket.gethostname():
        return _ticks(beat.pid) == beat.ticks
    try:
        return time.time() - path.stat().st_mtime < LOST_AFTER
    except OSError:
        return False


def _own() -> Beat:
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    started = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    return Beat(socket.gethostname(), pid, _ticks(pid) or 0, started, job)


def _ticks(pid: int) -> int | None:
    """When a process of this host started; None where it ended, 0 where the system does not tell."""
    try:
        # The name, in brackets, may hold spaces.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if stat[0] in "ZX" else int(stat[19])  # ended, and only not yet waited for
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0
