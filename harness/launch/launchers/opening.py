"""Launchers by name, with what the command line says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError, did_you_mean
from harness.launch.launchers.launcher import Launcher
from harness.launch.launchers.slurm_options import SlurmOptions

LAUNCHERS = ("local", "torchrun", "slurm")


@dataclass(frozen=True)
class LaunchOptions:
    """What runs the cells. jobs: cells at a time, None for one on each GPU of several, else one. processes: of a
    torchrun, None for one on each GPU, else 2. device: as asked for, None for a GPU where there is one.
    slurm: what the jobs of a cluster ask for."""

    launcher: str = "local"
    jobs: int | None = None
    processes: int | None = None
    device: str | None = None
    slurm: SlurmOptions | None = None


def open_launcher(
    options: LaunchOptions, out: Path = Path("runs"), say: Callable[[str], None] = print
) -> Launcher | None:
    """The launcher, or None where cells are worked on in this process, one after another with progress bars.

    out: folder of results. Raises UserError for an unknown name, and for options that it does not have.
    """
    if options.launcher not in LAUNCHERS:
        raise UserError(
            f"unknown launcher '{options.launcher}'",
            where="--launcher",
            mend=did_you_mean(options.launcher, LAUNCHERS),
        )
    if options.launcher == "slurm":
        from harness.launch.launchers.slurm import SlurmLauncher

        return SlurmLauncher(out, options.slurm or SlurmOptions(), say)
    if options.processes is not None and options.launcher != "torchrun":
        raise UserError("only a torchrun has processes", where="--nproc", mend="add --launcher torchrun")
    gpus = _gpus(options.device)
    if options.launcher == "torchrun":
        from harness.launch.launchers.torchrun import torchrun_launcher

        return torchrun_launcher(options.processes or len(gpus) or 2, options.jobs or 1, gpus)
    jobs = options.jobs or max(1, len(gpus))
    if jobs == 1:
        return None
    from harness.launch.launchers.local import LocalLauncher

    return LocalLauncher(jobs, gpus)


def _gpus(device: str | None) -> list[str]:
    """The GPUs to share out; none where one is named, or the CPU."""
    if device not in (None, "cuda"):
        return []
    from harness.launch.launchers.local import visible_gpus

    return visible_gpus()
