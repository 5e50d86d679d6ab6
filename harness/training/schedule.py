"""The learning rate over a training, and the budget words that shorten one."""

from __future__ import annotations

import re

from harness.errors import UserError


def rate_factor(iteration: int, iterations: int, flat: float) -> float:
    """Factor on the learning rate at a step: 1 for the flat share, then linear to 0 (paper.md, Training).

    iteration: 0-based. The last step still has a positive rate.
    """
    decay_from = round(iterations * flat)
    if iteration < decay_from:
        return 1.0
    return (iterations - iteration) / (iterations - decay_from + 1)


def budget_iterations(text: str, samples: int, batch: int) -> int:
    """`2000it` or `50ep` (epochs over `samples`) -> iterations."""
    found = re.fullmatch(r"\s*(\d+)\s*(it|ep)\s*", text)
    if found is None or int(found[1]) < 1:
        raise UserError(f"'{text}' is no budget", where="--budget", mend="write 2000it (iterations) or 50ep (epochs)")
    count = int(found[1])
    return count if found[2] == "it" else count * max(1, samples // batch)
