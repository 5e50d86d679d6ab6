"""What a launcher is: something that runs planned cells in processes of their own, here or on a cluster.

A launcher is told of specs (harness/launch/grids/plan.py), each of which is trained and scored by
`python -m harness.launch.cells.worker SPEC.json`. What becomes of a cell is read from files alone
(harness/launch/grids/states.py), so a launcher says only which of its processes have ended, and two
launchers may share one folder of results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.launch.grids.plan import CellSpec


@dataclass(frozen=True)
class Ended:
    """A process of a launcher that ended. key: of its spec. code: exit code, negative for a signal, None
    where the launcher cannot tell. detail: words for people, as `killed by signal 9`. final: somebody ended it
    on purpose, so this driver does not start it again."""

    key: str
    code: int | None
    detail: str = ""
    final: bool = False


class Launcher(Protocol):
    """Runs specs. One method is called at a time, from one thread."""

    @property
    def room(self) -> int:
        """How many more specs `submit` takes now."""
        ...

    def submit(self, specs: Sequence[CellSpec]) -> None:
        """Start these, at most `room`. One that an earlier launcher of this kind still runs is taken over.

        Raises UserError where they cannot be started.
        """
        ...

    def poll(self) -> list[Ended]:
        """Those that ended since the last call. Returns at once."""
        ...

    def interrupt(self) -> str:
        """The driver is told to stop: pass it on, or leave the work running; returns a line that says which."""
        ...
