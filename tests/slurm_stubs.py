"""A Slurm that takes every job and runs none, for tests of what is asked of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

# Each notes how it was called. What sbatch and squeue answer is in files.
_PROGRAM = """#!/bin/sh
here={folder}
echo "$0 $*" | sed 's|.*/||' >> "$here/calls"
{body}
"""
_SBATCH = """cat "$1" > "$here/script"
test ! -e "$here/refusal" || { cat "$here/refusal" >&2; exit 1; }
echo "Submitted batch job 7"
"""
_SQUEUE = """test ! -e "$here/down" || { cat "$here/down" >&2; exit 1; }
cat "$here/rows"
"""


@dataclass(frozen=True)
class FakeSlurm:
    """The folder of its programs, and what was asked of them."""

    folder: Path

    @property
    def script(self) -> list[str]:
        """The lines of the last batch script."""
        return (self.folder / "script").read_text().splitlines()

    @property
    def calls(self) -> list[str]:
        """The commands that were given."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def queue(self, *rows: str) -> None:
        """What squeue answers from now on."""
        (self.folder / "rows").write_text("".join(f"{row}\n" for row in rows))

    def answer(self, name: str, text: str) -> None:
        """`refusal` of sbatch, or `down` of squeue."""
        (self.folder / name).write_text(text)


def fake_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Put the programs first on the path."""
    folder.mkdir()
    for name, body in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("srun", ""), ("scontrol", "")):
        path = folder / name
        path.write_text(_PROGRAM.format(folder=folder, body=body))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    slurm = FakeSlurm(folder)
    slurm.queue()
    return slurm
