"""Being asked to stop: an event that SIGINT and SIGTERM set, and what a training raises once it has stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Interrupted(Exception):  # noqa: N818  # no error: it did what it was asked
    """Training was asked to stop and did, at a checkpoint."""

    def __init__(self, checkpoint: Path, iteration: int) -> None:
        self.checkpoint, self.iteration = checkpoint, iteration
        super().__init__(f"stopped at iteration {iteration}; the same command goes on from {checkpoint}")


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal is obeyed at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for s, handler in before.items():
            signal.signal(s, handler)

    def ask(number: int, frame: object) -> None:
        event.set()
        restore()

    for s in before:
        signal.signal(s, ask)
    try:
        yield event
    finally:
        restore()
