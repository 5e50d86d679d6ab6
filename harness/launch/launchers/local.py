"""The local launcher: a process a cell, so many at a time, a GPU each where there are any."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.launch.cells.worker import MODULE
from harness.launch.grids.plan import CellSpec, write_spec
from harness.launch.launchers.launcher import Ended

Command = Callable[[Path], list[str]]
# A worker that is told to stop ends with its step; this long is waited, then it is killed.
_STOPPING = 600.0


def worker_command(spec: Path) -> list[str]:
    """The command of one worker process."""
    return [sys.executable, "-m", MODULE, str(spec)]


@dataclass
class _Running:
    spec: CellSpec
    process: subprocess.Popen[bytes]
    slot: int


class LocalLauncher:
    """Runs `jobs` cells at a time on this machine.

    gpus: names of GPUs as in CUDA_VISIBLE_DEVICES, of which a cell sees `gpus_each`; empty leaves all to all.
    command: of a cell's process, given its spec's file.
    """

    def __init__(
        self, jobs: int, gpus: Sequence[str] = (), gpus_each: int = 1, command: Command = worker_command
    ) -> None:
        self._jobs, self._gpus, self._gpus_each, self._command = jobs, list(gpus), gpus_each, command
        self._running: dict[str, _Running] = {}

    @property
    def room(self) -> int:
        return self._jobs - len(self._running)

    def submit(self, specs: Sequence[CellSpec]) -> None:
        for spec in specs:
            taken = {each.slot for each in self._running.values()}
            slot = min(set(range(self._jobs)) - taken)
            path = write_spec(spec)
            try:
                with spec.log.open("ab") as log:
                    # A session of its own: a terminal's ctrl-C reaches the driver alone, which passes it on once.
                    process = subprocess.Popen(
                        self._command(path),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=self._environment(slot),
                        start_new_session=True,
                    )
            except OSError as error:
                raise UserError(f"cannot start a worker: {error.strerror}", where=spec.name) from error
            self._running[spec.key] = _Running(spec, process, slot)

    def poll(self) -> list[Ended]:
        ended = []
        for key, each in list(self._running.items()):
            code = each.process.poll()
            if code is not None:
                del self._running[key]
                ended.append(Ended(key, code, f"killed by signal {-code}" if code < 0 else f"exit code {code}"))
        return ended

    def interrupt(self) -> str:
        """Tell the workers to stop, each at a checkpoint, and wait; asked once more, kill them."""
        for each in self._running.values():
            with suppress(OSError):
                each.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOPPING
        try:
            for each in self._running.values():
                with suppress(subprocess.TimeoutExpired):
                    each.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for each in self._running.values():
                if each.process.poll() is None:
                    with suppress(OSError):
                        os.killpg(each.process.pid, signal.SIGKILL)
        return "the workers stopped at a checkpoint each; the same command goes on"

    def _environment(self, slot: int) -> dict[str, str]:
        if not self._gpus:
            return {**os.environ}
        count = len(self._gpus)
        chosen = [self._gpus[(slot * self._gpus_each + i) % count] for i in range(min(self._gpus_each, count))]
        return {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(chosen)}


def visible_gpus() -> list[str]:
    """The GPUs of this machine that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(i) for i in range(count)]
