"""The torchrun launcher: a cell over several processes of this machine, a GPU each where there are any.

Training runs through DistributedDataParallel; the first process scores. Cells are taken one after another,
or several at a time where there are GPUs for them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.launch.cells.worker import MODULE
from harness.launch.launchers.local import LocalLauncher


def torchrun_launcher(processes: int, jobs: int = 1, gpus: Sequence[str] = ()) -> LocalLauncher:
    """A launcher of cells of `processes` processes each, `jobs` cells at a time."""
    if gpus and len(gpus) < processes * jobs:
        raise UserError(
            f"{jobs * processes} processes need as many GPUs, and there are {len(gpus)}",
            where="--nproc",
            mend="take fewer, or --device cpu",
        )

    def command(spec: Path) -> list[str]:
        # --standalone: a port of its own, so that several cells run beside one another.
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return [*start, "-m", MODULE, str(spec)]

    return LocalLauncher(jobs, gpus, processes, command)
