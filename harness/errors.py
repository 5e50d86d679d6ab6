"""The one exception a user meets: what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. The command prints it as one line and ends with exit code 2."""

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(": ".join(part for part in (where, what) if part) + (f" ({mend})" if mend else ""))


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, its kind where it says nothing."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def error_line(error: BaseException) -> str:
    """An exception in one line: its kind, and the first line of what it says."""
    kind, line = type(error).__name__, first_line(error)
    return line if line == kind else f"{kind}: {line}"


def did_you_mean(name: str, known: Iterable[str], most: int = 8) -> str:
    """Advice for a name that is not in `known`: the nearest names, else the first few known ones."""
    everything = sorted(known)
    near = difflib.get_close_matches(name, everything, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    shown = ", ".join(everything[:most]) + (", …" if len(everything) > most else "")
    return f"known: {shown}" if everything else "none is known"
