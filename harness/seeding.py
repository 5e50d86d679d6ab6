"""One seed from several numbers, so that every random draw has a stream of its own."""

from __future__ import annotations

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """A seed in 0 .. 2**32 - 1, all that torch's CPU generator takes, from numbers of -1 or more."""
    return int(np.random.SeedSequence([n + 1 for n in numbers]).generate_state(1, np.uint32)[0])
