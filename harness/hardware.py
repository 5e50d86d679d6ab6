"""What a run ran on: device, memory peaks, library versions, git commit."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from harness.errors import UserError, first_line

_CPU = "cpu always works"

_LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "lightning-fabric", "mmengine", "pillow")


def clock(device: torch.device) -> float:
    """Seconds from some moment on, read when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new peak. On a CPU this resets the process's high-water mark where Linux allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    # Where there is no such file, the mark is the process's since its start.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak: of the GPU's allocator, or resident memory of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def pick_device(name: str | None) -> torch.device:
    """The device asked for, else a GPU where there is one, else the CPU. Raises UserError for one that is not there."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(first_line(error), where=f"device {name}", mend=_CPU) from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"devices of type {device.type} are not supported", where=f"device {name}", mend=_CPU)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"there are {torch.cuda.device_count()} GPUs", where=f"device {name}", mend=_CPU)
    return device


def describe(device: torch.device) -> dict[str, str | int]:
    """The machine, in a record's words."""
    found: dict[str, str | int] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "platform": platform.system(),
    }
    return found


def provenance(device: torch.device) -> dict[str, Any]:
    """What code ran on what machine: `versions`, `hardware`, `git_commit`."""
    return {"versions": versions(), "hardware": describe(device), "git_commit": git_commit()}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that touch the numbers."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    found["torch"] = torch.__version__  # with its build, which the package's metadata leaves out
    return found


def git_commit() -> str | None:
    """Commit of the checkout this code runs from, `-dirty` where it has changes; None outside one."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if not git("ls-files", "errors.py"):
            return None  # an installed copy inside somebody else's checkout
        commit = git("rev-parse", "HEAD")
        return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
