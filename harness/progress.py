"""Progress on stderr: a bar with the time left on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, emoji=False)
Update = Callable[[int, int, Mapping[str, float]], None]
_SECONDS_BETWEEN_LINES = 30.0


def say(line: str) -> None:
    """A line for people, on stderr."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def bar(what: str) -> Iterator[Update]:
    """Yield update(done, total, values): values are shown behind the bar as they come."""
    with (_bar if sys.stderr.isatty() else _lines)(what) as update:
        yield update


@contextmanager
def _bar(what: str) -> Iterator[Update]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[values]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=None, values="")

        def update(done: int, total: int, values: Mapping[str, float]) -> None:
            progress.update(task, completed=done, total=total)
            if values:
                progress.update(task, values=_short(values))

        yield update


@contextmanager
def _lines(what: str) -> Iterator[Update]:
    began = time.monotonic()
    state = {"first": -1, "next": began + _SECONDS_BETWEEN_LINES, "done": 0, "total": 0}

    def update(done: int, total: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if state["first"] < 0:
            state["first"] = done - 1
        state["done"], state["total"] = done, total
        if now >= state["next"]:
            state["next"] = now + _SECONDS_BETWEEN_LINES
            rate = (done - state["first"]) / (now - began)
            say(f"{what}: {done}/{total}, {_clock((total - done) / rate)} left {_short(values)}".rstrip())

    yield update
    say(f"{what}: {int(state['done'])}/{int(state['total'])} in {_clock(time.monotonic() - began)}")


def _short(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.2f}" for name, value in values.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
