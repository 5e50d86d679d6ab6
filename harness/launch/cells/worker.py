"""One cell in a process of its own: `python -m harness.launch.cells.worker SPEC.json`, for launchers.

What it has to say goes to the log of the cell's folder. It may be killed at any time: the next one goes on
from the last checkpoint. Exit codes: 0 done, 1 failed (with a record), 2 a spec or a folder that cannot be
used, 3 another process of its torchrun was lost (no record), 75 another process works on the cell, 130 told to stop.
"""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import UserError
from harness.launch.grids.plan import CellSpec, read_spec
from harness.quick_start import quick_start

DONE, FAILED, UNUSABLE, PEER_LOST, BUSY, STOPPED = 0, 1, 2, 3, 75, 130
MODULE = "harness.launch.cells.worker"
STOPPED_LINE = "stopped; the next run goes on from the last checkpoint"


def main(words: list[str]) -> int:
    """Work on the spec in the file words[0]; returns the exit code."""
    # As for the command: torch's threads must not spin while they wait. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    quick_start()
    try:
        spec = read_spec(Path(words[0]))
        log_to(spec.log)
    except (UserError, OSError, IndexError) as error:
        print(f"{MODULE}: error: {error if words else 'name the file of a spec'}", file=sys.stderr)
        return UNUSABLE
    print(first_words(spec), file=sys.stderr)
    sys.argv[1:] = spec.how.command  # which is what records say they were made by
    try:
        return run(spec)
    except KeyboardInterrupt:
        print(STOPPED_LINE, file=sys.stderr)
        return STOPPED
    except Exception:  # what no record could be left of; the log has it
        traceback.print_exc()
        return UNUSABLE


def run(spec: CellSpec) -> int:
    """Train and score the cell of a spec in this process; returns the exit code."""
    from harness.launch.cells.prepare import prepare
    from harness.launch.cells.work import BUSY as BUSY_CELL
    from harness.launch.cells.work import DONE as DONE_CELL
    from harness.launch.cells.work import LOST as LOST_CELL
    from harness.launch.cells.work import stoppable, work
    from harness.progress import bar, say
    from harness.training.interrupt import Interrupted

    with stoppable():
        try:
            outcome = work(spec, lambda: prepare(spec, say), bar, say)
        except Interrupted as stopped:
            say(str(stopped))
            return STOPPED
    if outcome == BUSY_CELL:
        say("another process works on this cell")
    return {DONE_CELL: DONE, BUSY_CELL: BUSY, LOST_CELL: PEER_LOST}.get(outcome, FAILED)


def first_words(spec: CellSpec) -> str:
    """The line of a cell's log with which this process begins."""
    return f"{datetime.now(UTC).isoformat(timespec='seconds')} {spec.name}: process {os.getpid()}"


def log_to(path: Path) -> None:
    """Send what this process writes to stdout and stderr to the end of a file, what libraries write too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
