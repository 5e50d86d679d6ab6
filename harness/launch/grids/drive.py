"""Cells through a launcher to their ends: what is open is read from files, started, watched, and told of.

A second driver of the same folder shares the cells: what one has begun the other leaves alone and waits for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UserError
from harness.launch.cells.worker import BUSY
from harness.launch.grids.plan import CellSpec, write_spec
from harness.launch.grids.states import DONE, FAILED, LOST, RUNNING, Records, State, finished, observe, target_of
from harness.launch.launchers.launcher import Ended, Launcher
from harness.records import Store
from harness.training.interrupt import Interrupted, stop_requests

_PAUSE = 0.5
_SECONDS_BETWEEN_LINES = 20.0
# A worker that ends without a word, as one that was killed does, is started again so many times.
_TRIES = 3


class GridInterrupted(Interrupted):
    """The driver of a grid was asked to stop and did."""

    def __init__(self, line: str) -> None:
        Exception.__init__(self, line)


@dataclass
class Outcome:
    """What became of the cells, by the keys of their specs. lost: the last words of their workers."""

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


def drive(specs: Sequence[CellSpec], launcher: Launcher, say: Callable[[str], None], pause: float = _PAUSE) -> Outcome:
    """Work through the specs; returns when each is done, has failed, or was lost too often.

    What has a record of failure is not begun: forget it first. A cell whose folder cannot be written to has
    failed. Raises GridInterrupted on SIGINT or SIGTERM, and what else ends it, after the launcher was told.
    """
    try:
        return _drive(specs, launcher, say, pause)
    except GridInterrupted:
        raise
    except BaseException:  # workers must not go on without a driver
        say(launcher.interrupt())
        raise


def _drive(specs: Sequence[CellSpec], launcher: Launcher, say: Callable[[str], None], pause: float) -> Outcome:
    outcome = Outcome()
    if not specs:
        return outcome
    store = Store(Path(specs[0].how.out))
    open_ = {spec.key: spec for spec in specs}
    mine: set[str] = set()
    tries: Counter[str] = Counter()
    # Kept while the heartbeat is young: of another host only its age tells that the worker is dead.
    ended: dict[str, Ended] = {}
    told = Teller(len(specs), say)
    with stop_requests() as stop:
        while open_:
            ended |= {each.key: each for each in launcher.poll()}
            mine -= ended.keys()
            for key, state in look(open_, store).items():
                told.state(key, state, key in mine)
                if key in mine:
                    continue
                if state.state in (DONE, FAILED):
                    (outcome.done if state.state == DONE else outcome.failed).append(key)
                    told.end(key, state)
                    del open_[key]
                elif key in ended and state.state != RUNNING:
                    last = ended.pop(key)
                    tries[key] += last.code != BUSY
                    if tries[key] >= _TRIES or last.final:
                        outcome.lost[key] = _words(last) + ("" if last.final else f", {_TRIES} times")
                        told.lost(key, state, outcome.lost[key])
                        del open_[key]
            startable = [s for key, s in open_.items() if key not in mine and told.states[key].state != RUNNING]
            chosen = [spec for spec in startable[: max(0, launcher.room)] if _can_start(spec, store)]
            if chosen:
                launcher.submit(chosen)
                mine |= {spec.key for spec in chosen}
            told.now_and_then()
            if stop.is_set():
                raise GridInterrupted(launcher.interrupt())
            if open_:
                stop.wait(pause)
    return outcome


def _can_start(spec: CellSpec, store: Store) -> bool:
    """Whether a worker would find its spec and its log; where not, that is left as the cell's failure.

    Raises what it was where not even that can be written.
    """
    try:
        write_spec(spec)
        try:
            spec.log.open("ab").close()
        except OSError as error:
            raise UserError(f"cannot write: {error.strerror}", where=str(spec.log), mend="use another --out") from error
    except UserError as error:
        from harness.launch.cells.failures import failed_record  # which needs torch

        if finished(spec) is None:
            try:
                store.save_failure(failed_record(spec, error))
            except UserError:
                raise error from None
        return False
    return True


def look(open_: dict[str, CellSpec], store: Store) -> dict[str, State]:
    """How far each open cell is."""
    records = Records(store)
    return {key: observe(target_of(spec), records) for key, spec in open_.items()}


def _words(ended: Ended) -> str:
    return ended.detail or "ended without a word"


class Teller:
    """Lines for people: beginnings and ends as they come, and now and then how far the running cells are."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.states: dict[str, State] = {}
        self._total, self._say, self._ended = total, say, 0
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def state(self, key: str, state: State, ours: bool) -> None:
        before = self.states.get(key)
        self.states[key] = state
        if state.state == RUNNING and (before is None or before.state != RUNNING):
            by = "" if ours else f" by {state.detail}"
            self._say(f"{state.name}: running{by}, log {state.log}")
        elif state.state == LOST and before is not None and before.state == RUNNING:
            self._say(f"{state.name}: {state.detail}; it goes on from iteration {state.done}")

    def end(self, key: str, state: State) -> None:
        self._ended += 1
        self.states.pop(key, None)
        said = f": {state.detail}, log {state.log}" if state.state == FAILED else ""
        self._say(f"[{self._ended}/{self._total}] {state.name}: {state.state}{said}")

    def lost(self, key: str, state: State, words: str) -> None:
        self._ended += 1
        self.states.pop(key, None)
        self._say(f"[{self._ended}/{self._total}] {state.name}: lost: {words}, log {state.log}")

    def now_and_then(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
        for state in self.states.values():
            if state.state == RUNNING:
                self._say(f"[{self._ended}/{self._total}] {progress_line(state)}")


def progress_line(state: State) -> str:
    """How far a running cell is, as `spade-toyscapes-seed0: training 20/800, 1:05 left`."""
    return f"{state.name}: {state.stage} {amount(state)}".rstrip()


def amount(state: State) -> str:
    """How far a cell is, in numbers."""
    if not state.done and not state.total:
        return ""
    left = "" if state.left is None else f", {clock(state.left)} left"
    return f"{state.done}/{state.total}{left}"


def clock(seconds: float) -> str:
    """Seconds as 1:05 or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
