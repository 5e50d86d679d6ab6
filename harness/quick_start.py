"""Quicker starts: what a library imports for a question that nothing here asks is left out.

lightning_fabric asks whether torchmetrics is new enough by importing it, for a callback that is not used here.
Where it is installed, that takes torchvision and scipy with it: a third of what a `status` takes. And reference
cycles are looked for less often: looking through what torch imports took half a second of every command.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

_LEFT_OUT = "torchmetrics"
_ASKER, _ANSWER = "lightning_fabric.utilities.imports", "_TORCHMETRICS_GREATER_EQUAL_1_0_0"

# New objects between two looks, and looks between two deeper ones: Python's own are 700, 10, 10.
_CYCLES = (50_000, 20, 20)


class _Finder(MetaPathFinder):
    """Says that torchmetrics is missing while lightning_fabric asks, and to nobody else."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        asker = sys.modules.get(_ASKER)
        if fullname == _LEFT_OUT and asker is not None and not hasattr(asker, _ANSWER):
            raise ModuleNotFoundError(f"left out: {fullname}", name=fullname)


def quick_start() -> None:
    """To be called before lightning_fabric is imported; changes nothing for other imports."""
    gc.set_threshold(*_CYCLES)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
