"""A Table laid out as text, before any format's escaping: every renderer shows the same words and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.table import MISSING, Cell, Column, Mark, Row, Table, delta, interval_text, measured_text

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Kind = Literal["measured", "published", "delta"]


@dataclass(frozen=True)
class Entry:
    """One printed figure. marks: numbers of its footnotes, from 1. cell: what is behind it.

    mark: `best` or `second` of its column, on measured figures alone.
    """

    text: str
    kind: Kind
    cell: Cell
    marks: tuple[int, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True)
class Line:
    """One printed row. marks: of its title."""

    title: str
    entries: tuple[Entry, ...]
    ceiling: bool
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Group:
    """A column with the kinds of figures that it shows: one alone where nothing is published or measured."""

    column: Column
    kinds: tuple[Kind, ...]

    def head(self, kind: Kind) -> str:
        """Header of one kind where a format has a single header line."""
        if kind == self.kinds[0]:
            return self.column.header
        return "published" if kind == "published" else "Δ"


@dataclass(frozen=True)
class Layout:
    """groups: the columns. lines: the rows. footnotes: the first has mark 1."""

    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    footnotes: tuple[str, ...]

    @property
    def heads(self) -> list[str]:
        """A single header line, without the row titles' header."""
        return [group.head(kind) for group in self.groups for kind in group.kinds]

    @property
    def compared(self) -> bool:
        """Whether any column shows published figures."""
        return any(len(group.kinds) > 1 for group in self.groups)


def lay_out(table: Table) -> Layout:
    """The table as text. Equal footnotes share a mark; marks count in reading order."""
    groups = tuple(_group(column, [row.cells[i] for row in table.rows]) for i, column in enumerate(table.columns))
    marks: dict[str, int] = {}
    lines = tuple(_line(row, groups, marks, table.intervals) for row in table.rows)
    return Layout(groups, lines, tuple(marks))


def several(tables: Table | Sequence[Table]) -> Sequence[Table]:
    """What renderers take, one table or several, as a sequence."""
    return [tables] if isinstance(tables, Table) else tables


def split_interval(text: str) -> tuple[str, str]:
    """A printed figure and the interval behind it with its space, or an empty text: marks are of the figure alone."""
    figure, bracket, ends = text.partition(" [")
    return figure, bracket + ends


def superscript(marks: tuple[int, ...]) -> str:
    """Footnote marks as Unicode superscripts, for formats without any of their own."""
    return ",".join(str(mark).translate(_SUPERSCRIPT) for mark in marks)


def full_caption(table: Table) -> str:
    """Caption with the suite."""
    return f"{table.caption} Suite: {table.suite}.".strip()


def _group(column: Column, cells: list[Cell]) -> Group:
    if not column.measured:
        return Group(column, ("published",))
    compared = any(cell.published is not None for cell in cells)
    return Group(column, ("measured", "published", "delta") if compared else ("measured",))


def _line(row: Row, groups: tuple[Group, ...], marks: dict[str, int], intervals: bool) -> Line:
    title_marks = _number(row.notes, marks)
    entries: list[Entry] = []
    for group, cell in zip(groups, row.cells, strict=True):
        numbers = _number(cell.notes, marks)
        for kind in group.kinds:
            # A cell's footnotes stand at its last figure before Δ: they mostly speak of the published one.
            at = "published" if "published" in group.kinds and cell.published is not None else group.kinds[0]
            text = "" if row.published and kind == "measured" else _text(cell, group.column, kind, intervals)
            mark = cell.mark if kind == "measured" else None
            entries.append(Entry(text, kind, cell, numbers if kind == at else (), mark))
    return Line(row.title, tuple(entries), row.ceiling, title_marks)


def _number(notes: tuple[str, ...], marks: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted({marks.setdefault(note, len(marks) + 1) for note in notes}))


def _text(cell: Cell, column: Column, kind: Kind, intervals: bool) -> str:
    if kind == "measured":
        interval = interval_text(cell, column) if intervals else ""
        return measured_text(cell, column) + (f" {interval}" if interval else "")
    if kind == "published":
        absent = "" if column.measured else MISSING
        return absent if cell.published is None else cell.published.text
    difference = delta(cell, column)
    return "" if difference is None else column.text(difference, signed=True)
