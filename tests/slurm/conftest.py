"""A real Slurm on this machine, one for all tests of this folder.

It is installed where this is root on Debian; elsewhere these tests are skipped, with one line that says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.slurm_on_localhost import CannotStart, running

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """The environment of commands that speak to a Slurm of two CPUs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_", "SQUEUE_"))]:
            patch.delenv(name)
        try:
            with running(cpus=2) as conf:
                yield {**os.environ, "SLURM_CONF": str(conf), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        except CannotStart as why:
            pytest.skip(f"no Slurm here: {why}")
