"""Debian packages that a test or a script needs: installed where this is root on Debian, else one line says why not.

So tests with a real LaTeX, a browser or a Slurm run wherever they can, and are skipped with a reason elsewhere.
Several processes may ask at once: one installs, the others wait and then find what they need.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_INSTALLING = 600.0
# So long a failure is taken as still true: on a machine without a network each of many tests would wait anew.
_FAILED_FOR = 900.0


class CannotInstall(Exception):  # noqa: N818  # a fact about the machine, for one line
    """What is needed is not here and cannot be put here; the words say why."""


def install(packages: Sequence[str], missing: Callable[[], str | None]) -> None:
    """Install Debian packages unless nothing is missing.

    missing: names one thing that is needed and not here, or returns None; asked before and after. Raises
    CannotInstall where this is not root on Debian, and where apt fails or takes longer than 10 minutes.
    """
    name = missing()
    if name is None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotInstall(f"{name} is missing, and only root on Debian installs it here")
    with _lock(packages) as past:
        name = missing()
        if name is None:
            return
        if reason := _failed_before(past):
            raise CannotInstall(reason)
        try:
            _apt(packages)
            if name := missing():
                raise CannotInstall(f"{name} is missing after the installation of {' and '.join(packages)}")
        except CannotInstall as why:
            _remember(past, str(why))
            raise


def program(name: str) -> str | None:
    """The path of a program; daemons are often not on a user's path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no word of why")


def _apt(packages: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    waiting = f"DPkg::Lock::Timeout={_INSTALLING:.0f}"  # somebody else's apt
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        command = ["apt-get", "-o", waiting, *words]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_INSTALLING, check=False
            )
        except subprocess.TimeoutExpired:
            raise CannotInstall(f"apt-get {words[0]} took longer than {_INSTALLING:.0f} s") from None
        if done.returncode != 0:
            raise CannotInstall(f"apt-get {words[0]} failed: {last_line(done.stderr)}")


@contextmanager
def _lock(packages: Sequence[str]) -> Iterator[TextIO]:
    """The lock file of these packages, held: what stands in it is why they could not be installed last time."""
    path = Path(tempfile.gettempdir()) / f"debian-packages-{'-'.join(packages)}.lock"
    with path.open("a+", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield held


def _failed_before(past: TextIO) -> str:
    past.seek(0)
    reason = past.read().strip()
    return reason if time.time() - os.fstat(past.fileno()).st_mtime < _FAILED_FOR else ""


def _remember(past: TextIO, reason: str) -> None:
    past.truncate(0)
    past.write(reason)
    past.flush()
