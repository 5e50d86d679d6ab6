"""Tables as Markdown (GitHub's tables)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.layout import Entry, full_caption, lay_out, several, split_interval, superscript
from reports.table import FILLED_BY, Table, clean

# A colon or an at sign is only special before a word (:smile:, @somebody).
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$]|[:@](?=\w))")
_LINE_START = re.compile(r"^(?:([-+=#])(?=[-=#\s]|$)|(\d+)([.)])(?=\s|$))")


def render_markdown(tables: Table | Sequence[Table]) -> str:
    """Title, caption, the table, footnotes, and the protocol signatures in code spans; best bold, second underlined."""
    return "\n".join(_one(table) for table in several(tables))


def _one(table: Table) -> str:
    layout = lay_out(table)
    heads = ["Method", *(escape(head) for head in layout.heads)]
    lines = [f"**{escape(table.title)}** {escape(full_caption(table))}", ""]
    lines.append("| " + " | ".join(heads) + " |")
    lines.append("|" + "|".join([":--", *("--:" for _ in heads[1:])]) + "|")
    for line in layout.lines:
        title = escape(line.title) + superscript(line.marks)
        figures = [_figure(entry) + superscript(entry.marks) for entry in line.entries]
        lines.append("| " + " | ".join([f"*{title}*" if line.ceiling else title, *figures]) + " |")
    lines.append("")
    lines += [f"- {superscript((i,))} {escape(note)}" for i, note in enumerate(layout.footnotes, 1)]
    lines += [f"- {_note(note)}" for note in table.notes]
    lines += [f"- {code(signature)}" for signature in table.signatures]
    return "\n".join(lines).rstrip() + "\n"


def _figure(entry: Entry) -> str:
    figure, interval = (escape(part) for part in split_interval(entry.text))
    shown = {"best": f"**{figure}**", "second": f"<u>{figure}</u>", None: figure}[entry.mark]
    return f"{shown} {interval}" if interval else shown


def _note(note: str) -> str:
    """A note of the table; a command in it as code, to be copied as it is."""
    before, said, command = note.partition(FILLED_BY)
    return f"{escape(said.strip())} {code(command)}" if said and not before else escape(note)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, inside a paragraph, a list item or a table cell."""
    escaped = _SPECIAL.sub(r"\\\1", clean(text))
    return _LINE_START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", escaped)


def code(text: str) -> str:
    """A code span whose fence is longer than any run of backticks in it."""
    text = clean(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
