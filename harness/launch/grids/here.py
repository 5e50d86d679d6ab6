"""Cells in this process, one after another, with progress bars. One that fails leaves its record, the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from harness.launch.cells.claims import HEARTBEAT, read_beat
from harness.launch.cells.work import BUSY, DONE, Bars, Ready, work
from harness.launch.grids.drive import Outcome
from harness.launch.grids.plan import CellSpec

_PAUSE = 2.0


def work_here(
    specs: Sequence[CellSpec],
    prepare: Callable[[CellSpec], Ready],
    bars: Bars,
    say: Callable[[str], None],
    pause: float = _PAUSE,
) -> Outcome:
    """Work through the specs. Those that another process works on come last, and are waited for.

    prepare: opens what a spec needs. Raises Interrupted or KeyboardInterrupt where asked to stop.
    """
    outcome = Outcome()
    left = list(enumerate(specs, start=1))
    waited_for: set[str] = set()
    while left:
        busy = []
        for number, spec in left:
            state = _one(spec, f"[{number}/{len(specs)}] ", prepare, bars, say)
            if state != BUSY:
                (outcome.done if state == DONE else outcome.failed).append(spec.key)
                continue
            busy.append((number, spec))
            if spec.key not in waited_for:
                beat = read_beat(spec.folder / HEARTBEAT)
                who = "another process" if beat is None else beat.who
                say(f"[{number}/{len(specs)}] {spec.name}: waiting: {who} works on this cell")
            waited_for.add(spec.key)
        left = busy
        if left:
            time.sleep(pause)
    return outcome


def _one(
    spec: CellSpec,
    number: str,
    prepare: Callable[[CellSpec], Ready],
    bars: Bars,
    say: Callable[[str], None],
) -> str:
    return work(spec, lambda: prepare(spec), lambda what: bars(number + what), lambda line: say(number + line))
