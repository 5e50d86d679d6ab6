"""Cells in this process, one after another, with progress bars. One that fails leaves its record, the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from harness.launch.cells.claims import HEARTBEAT, read_beat
from harness.launch.cells.work import BUSY, DONE, Bars, Ready, Update, work
from harness.launch.cells.worker import STOPPED_LINE, first_words
from harness.launch.grids.drive import Outcome, clock
from harness.launch.grids.plan import CellSpec
from harness.training.interrupt import Interrupted

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
    """Work on one cell; its log says what a worker's would, but for how far it is every so often."""

    def log(line: str) -> None:
        with suppress(OSError), spec.log.open("a", encoding="utf-8") as file:  # work itself says what is wrong
            file.write(line + "\n")

    def begin() -> Ready:  # not before the cell is ours
        log(first_words(spec))
        return prepare(spec)

    def tell(line: str) -> None:
        log(line)
        say(number + line)

    try:
        return work(spec, begin, lambda what: _logged(what, bars(number + what), log), tell)
    except Interrupted as stopped:
        log(str(stopped))
        raise
    except KeyboardInterrupt:
        log(STOPPED_LINE)
        raise


@contextmanager
def _logged(what: str, bar: AbstractContextManager[Update], log: Callable[[str], None]) -> Iterator[Update]:
    """A bar whose end is logged too: how far it came, and in what time."""
    came, began = (0, 0), time.monotonic()
    with bar as shown:

        def update(done: int, total: int, values: Mapping[str, float]) -> None:
            nonlocal came
            came = (done, total)
            shown(done, total, values)

        yield update
    log(f"{what}: {came[0]}/{came[1]} in {clock(time.monotonic() - began)}")
