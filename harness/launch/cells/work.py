"""The work on one cell from where it stands to its record, in this process; a cell that fails leaves its error."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from harness.cells import Cell
from harness.errors import UserError, first_line
from harness.evaluation.bench import Bench
from harness.evaluation.spread import halves_told
from harness.files import make_folder
from harness.launch.cells.cell import Machine, Watch, score_cell, score_photos, train_cell
from harness.launch.cells.claims import Busy, Claim
from harness.launch.cells.failures import error_line, failed_record, says_peer_lost
from harness.launch.grids.plan import CellSpec, write_spec
from harness.launch.grids.states import finished
from harness.records import Store
from harness.training.interrupt import Interrupted
from harness.training.loop import LoopOptions

DONE, FAILED, BUSY, LOST = "done", "failed", "busy", "lost"
Update = Callable[[int, int, Mapping[str, float]], None]
Bars = Callable[[str], AbstractContextManager[Update]]


@dataclass(frozen=True)
class Ready:
    """What a cell is worked on with. cell: None where photos are scored."""

    cell: Cell | None
    bench: Bench
    machine: Machine


def work(spec: CellSpec, prepare: Callable[[], Ready], bars: Bars, say: Callable[[str], None]) -> str:
    """Train and score a cell where that is not done; returns DONE, FAILED, BUSY or LOST.

    prepare: opens what is needed; what it raises is the cell's failure. bars: progress bars, by their words.
    FAILED leaves a record with the error, BUSY means that another process works on the cell, LOST that another
    process of the same torchrun ended without a word: no failure, so it leaves no record. Raises Interrupted
    and KeyboardInterrupt where asked to stop, a checkpoint written first, and whatever was raised where not even
    the failure can be written. Under torchrun every process calls this: the first holds the cell and scores,
    the others train with it.
    """
    if finished(spec) is not None:
        return DONE
    first = _is_first()
    store = Store(Path(spec.how.out))
    with ExitStack() as held:  # still while a failure is written
        try:
            make_folder(spec.folder)
            claim = held.enter_context(Claim(spec.folder)) if first else None
            if first and finished(spec) is not None:  # by a process that has just ended
                return DONE
            if first:
                store.forget_failure(spec.record)
            if first and spec.config is None:
                write_spec(spec)  # by which a status knows whose photos these are
            _train_and_score(spec, prepare(), store, claim, bars, say)
        except Interrupted:
            raise
        except Busy:
            return BUSY
        except Exception as error:  # whatever it is: it goes into the cell's record, and the rest goes on
            if _is_one_of_several() and says_peer_lost(error):
                say(f"{spec.name}: another process of this cell was lost: {first_line(error)}")
                return LOST
            _leave(spec, store, error, say)
            return FAILED
    return DONE


def _train_and_score(
    spec: CellSpec, ready: Ready, store: Store, claim: Claim | None, bars: Bars, say: Callable[[str], None]
) -> None:
    checkpoint = None
    if ready.cell is not None:
        loop = LoopOptions(spec.how.checkpoint_every, spec.how.keep, workers=spec.how.workers)
        with bars(f"{spec.name} training") as bar:
            watch = Watch(_both(bar, claim, "training"), say)
            checkpoint = train_cell(ready.cell, store, ready.bench.places, ready.machine, loop, watch)
    if not _is_first():
        return
    with bars(f"{spec.name} scoring") as bar:
        update = _both(bar, claim, "scoring")
        asked = spec.how.halves
        halves = None if asked is None else halves_told(asked, len(ready.bench.dataset), update)
        if ready.cell is None:
            score_photos(ready.bench, store, ready.machine, update, halves)
        else:
            assert checkpoint is not None
            score_cell(ready.cell, checkpoint, ready.bench, store, ready.machine, update, halves)


def _both(bar: Update, claim: Claim | None, stage: str) -> Update:
    """An update for the bar and for the heartbeat."""

    def update(done: int, total: int, values: Mapping[str, float]) -> None:
        bar(done, total, values)
        if claim is not None:
            claim.progress(stage, done, total)

    return update


def _leave(spec: CellSpec, store: Store, error: Exception, say: Callable[[str], None]) -> None:
    """Write the record of a failure, unless another process of the same torchrun has: its error came first."""
    record = failed_record(spec, error)
    try:
        if store.failure(spec.record) is None:
            store.save_failure(record)
    except (UserError, OSError):
        raise error from None
    with suppress(OSError):  # a cell without a folder has no log either
        _add_to_log(spec, "".join(traceback.format_exception(error)))
    say(f"{spec.name}: failed: {error_line(record)}")


def _add_to_log(spec: CellSpec, text: str) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    with spec.log.open("a", encoding="utf-8") as log:
        log.write(f"{stamp} failed in process {os.getpid()}\n{text}")


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM as a KeyboardInterrupt, so that it too lets go of the cell; a training stops at a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _is_one_of_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
