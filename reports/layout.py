"""A Table laid out as text, before any format's escaping: every renderer shows the same words and marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reports.table import Cell, Column, Row, Table, delta, measured_text

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Kind = Literal["measured", "published", "delta"]


@dataclass(frozen=True)
class Entry:
    """One printed figure. marks: numbers of its footnotes, from 1. cell: what is behind it."""

    text: str
    kind: Kind
    cell: Cell
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """One printed row. marks: of its title."""

    title: str
    entries: tuple[Entry, ...]
    ceiling: bool
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Group:
    """A column with the kinds of figures that it shows: measured alone where nothing is published."""

    column: Column
    kinds: tuple[Kind, ...]

    def head(self, kind: Kind) -> str:
        """Header of one kind where a format has a single header line."""
        return {"measured": self.column.header, "published": "published", "delta": "Δ"}[kind]


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
    lines = tuple(_line(row, groups, marks) for row in table.rows)
    return Layout(groups, lines, tuple(marks))


def superscript(marks: tuple[int, ...]) -> str:
    """Footnote marks as Unicode superscripts, for formats without any of their own."""
    return ",".join(str(mark).translate(_SUPERSCRIPT) for mark in marks)


def full_caption(table: Table) -> str:
    """Caption with the suite."""
    return f"{table.caption} Suite: {table.suite}.".strip()


def _group(column: Column, cells: list[Cell]) -> Group:
    compared = any(cell.published is not None for cell in cells)
    return Group(column, ("measured", "published", "delta") if compared else ("measured",))


def _line(row: Row, groups: tuple[Group, ...], marks: dict[str, int]) -> Line:
    title_marks = _number(row.notes, marks)
    entries: list[Entry] = []
    for group, cell in zip(groups, row.cells, strict=True):
        numbers = _number(cell.notes, marks)
        for kind in group.kinds:
            # A cell's footnotes stand at its last figure before Δ: they mostly speak of the published one.
            at = "published" if len(group.kinds) > 1 and cell.published is not None else "measured"
            entries.append(Entry(_text(cell, group.column, kind), kind, cell, numbers if kind == at else ()))
    return Line(row.title, tuple(entries), row.ceiling, title_marks)


def _number(notes: tuple[str, ...], marks: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted({marks.setdefault(note, len(marks) + 1) for note in notes}))


def _text(cell: Cell, column: Column, kind: Kind) -> str:
    if kind == "measured":
        return measured_text(cell, column)
    if kind == "published":
        return "" if cell.published is None else cell.published.text
    difference = delta(cell, column)
    return "" if difference is None else column.text(difference, signed=True)
