r"""The figures of a table as cells of siunitx's `S` columns: aligned at the decimal point, marks and all.

A number stands in an `S` column as it is; other text (N/A, a dash) stands in braces. Bold is kept by siunitx, an
underline is drawn beneath the number from its end, so that neither moves it. siunitx 2 and 3 name some options
differently, and version 3 sets what follows a number behind the room of its uncertainty even where it has none: such
a cell is laid over an empty one of full width.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reports.latex_text import escape
from reports.layout import Entry

_NUMBER = re.compile(r"([+−]?)(\d+)(?:\.(\d+))?(?: ± (\d+)(?:\.(\d+))?)?(?: \[(.*)\])?")

# Local to each table. siunitx 3 has \complexnum, siunitx 2 has not.
SETUP = r"""% What marks look like. siunitx 2 and 3 name these options differently.
\protected\def\tbold{\bfseries}
\def\tbest#1{\tbold #1}
\def\tsecond#1{#1{\llap{\underline{\phantom{\num{#1}}}}}}
\def\tnote#1{{\mdseries\textsuperscript{#1}}}
\def\tinterval#1{{\mdseries\ [#1]}}
\sisetup{mode=text, retain-explicit-plus}
\ifdefined\complexnum
  \sisetup{reset-text-series=false, retain-zero-uncertainty, uncertainty-mode=separate, table-align-text-after=false}
\else
  \sisetup{detect-weight, detect-inline-weight=text, separate-uncertainty, table-align-text-post=false}
\fi"""


@dataclass(frozen=True)
class _Number:
    """The parts of a printed figure. tail: the ends of its interval, as printed."""

    sign: str
    whole: str
    decimals: str
    spread: str
    tail: str

    @property
    def source(self) -> str:
        sign = {"−": "-", "+": "+"}.get(self.sign, "")
        decimals = f".{self.decimals}" if self.decimals else ""
        return f"{sign}{self.whole}{decimals}" + (f" +- {self.spread}" if self.spread else "")


@dataclass(frozen=True)
class Figures:
    """A printed column. spec: its part of the tabular's. cells: its source, one for each row. characters: its width."""

    spec: str
    cells: tuple[str, ...]
    characters: int


def figures(entries: Sequence[Entry]) -> Figures:
    """One printed column of a layout as an `S` column, or as a centred one where it holds no number."""
    parsed = [_parse(entry.text) for entry in entries]
    numbers = [number for number in parsed if number is not None]
    notes = max((note_text(entry.marks) for entry in entries), key=len, default="")
    longest = max((len(entry.text) for entry in entries), default=0) + (len(notes) + 1) // 2
    if not numbers:
        cells = [_braced(entry, "") if entry.text or entry.marks else "" for entry in entries]
        return Figures("c", tuple(cells), longest)
    tail = max((number.tail for number in numbers), key=len)
    room = (rf"\tinterval{{{escape(tail)}}}" if tail else "") + (rf"\tnote{{{notes}}}" if notes else "")
    widest = _widest(numbers)
    options = f"table-format={_format(widest)}" + (f", table-space-text-post={{{room}}}" if room else "")
    cells = [_cell(entry, number, widest, room) for entry, number in zip(entries, parsed, strict=True)]
    return Figures(f"S[{options}]", tuple(cells), longest)


def note_text(marks: Sequence[int]) -> str:
    """Footnote marks as they stand in a superscript."""
    return ",".join(str(mark) for mark in marks)


def _parse(text: str) -> _Number | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, decimals, spread, spread_decimals, tail = (part or "" for part in found.groups())
    return _Number(sign, whole, decimals, spread + (f".{spread_decimals}" if spread_decimals else ""), tail)


def _widest(numbers: Sequence[_Number]) -> _Number:
    """A number of eights as wide as the column's widest in each of its parts."""

    def eights(parts: Sequence[str]) -> str:
        return "8" * max(len(part) for part in parts)

    spreads = [number.spread for number in numbers if number.spread]
    spread = ""
    if spreads:
        whole, decimals = (eights([s.partition(".")[i] for s in spreads]) for i in (0, 2))
        spread = whole + (f".{decimals}" if decimals else "")
    sign = "+" if any(number.sign for number in numbers) else ""
    return _Number(sign, eights([n.whole for n in numbers]), eights([n.decimals for n in numbers]), spread, "")


def _format(widest: _Number) -> str:
    """siunitx's table-format: digits before and after the point, and those of the uncertainty in brackets."""
    spread = f"({len(widest.spread.replace('.', ''))})" if widest.spread else ""
    return f"{widest.sign}{len(widest.whole)}.{len(widest.decimals)}{spread}"


def _cell(entry: Entry, number: _Number | None, widest: _Number, room: str) -> str:
    if number is None:
        return _braced(entry, room) if entry.text or entry.marks else ""
    behind = (rf"\tinterval{{{escape(number.tail)}}}" if number.tail else "") + _note(entry)
    short = widest.spread and not number.spread
    if short and (behind or entry.mark == "second"):
        return _overlaid(entry, number, widest, behind, room)
    command = {"best": r"\tbest", "second": r"\tsecond", None: ""}[entry.mark]
    return (f"{command}{{{number.source}}}" if command else number.source) + behind


def _overlaid(entry: Entry, number: _Number, widest: _Number, behind: str, room: str) -> str:
    """A number without an uncertainty in a column that has some, laid over an empty cell of full width."""
    digits = rf"\num{{{number.source}}}"
    line = rf"\rlap{{\underline{{\phantom{{{digits}}}}}}}"
    shown = {"best": r"\bfseries ", "second": line, None: ""}[entry.mark] + digits
    before = "8" * (len(widest.whole) - len(number.whole))
    before = rf"\phantom{{{before}}}" if before else ""
    return rf"{{\rlap{{{before}{shown}{behind}}}\phantom{{\num{{{widest.source}}}{room}}}}}"


def _braced(entry: Entry, room: str) -> str:
    """Text, centred where the numbers stand."""
    note = _note(entry)
    return f"{{{escape(entry.text)}" + (rf"\rlap{{{note}}}" if note else "") + _phantom(room) + "}"


def _phantom(room: str) -> str:
    return rf"\phantom{{{room}}}" if room else ""


def _note(entry: Entry) -> str:
    return rf"\tnote{{{note_text(entry.marks)}}}" if entry.marks else ""
