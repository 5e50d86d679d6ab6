"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# As for the command: torch's threads must not spin while they wait, with a test process on each core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The golden figures that travel with the project."""
    return GOLDEN


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder with real photos, weights and golden values beside the checkout (or SPADEBENCH_SHARED).

    Tests that need it are skipped where it is absent: the project works without it.
    """
    given = os.environ.get("SPADEBENCH_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no folder of real data beside the checkout")
    return folder
