"""A Table as LaTeX: a booktabs table to include, or a file that compiles on its own."""

from __future__ import annotations

import re

from reports.layout import Group, Layout, full_caption, lay_out
from reports.table import Table, clean

_ESCAPES = {
    "\0": "{}",  # put in by escape() alone: clean() lets no control character through
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # no optional argument behind \\
    "]": "{]}",
    "*": "{*}",  # no starred \\
    "±": r"$\pm$",
    "−": r"$-$",
    "—": "---",
    "Δ": r"$\Delta$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
}
_PACKAGES = ("booktabs", "textcomp")


def render_latex(table: Table, standalone: bool = False) -> str:
    r"""A `table` environment with caption, label, footnotes and signatures.

    It needs \usepackage{booktabs,textcomp} and the T1 font encoding; `standalone` is a whole
    document with them. Letters beyond Latin script need XeLaTeX or LuaLaTeX.
    """
    layout = lay_out(table)
    body = "\n".join([*_comment(), *_environment(table, layout)]) + "\n"
    if not standalone:
        return body
    head = [
        r"\documentclass{article}",
        r"\usepackage{iftex}",
        r"\iftutex\else\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\fi",
        r"\usepackage[a4paper,margin=2cm]{geometry}",
        *(rf"\usepackage{{{name}}}" for name in _PACKAGES),
        r"\pagestyle{empty}",
        r"\begin{document}",
    ]
    return "\n".join([*head, body + r"\end{document}"]) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, outside of mathematics."""
    apart = re.sub(r"([-,])(?=\1)", "\\1\0", clean(text))  # two hyphens would join to a dash, two commas to a quote
    return "".join(_ESCAPES.get(character, character) for character in apart)


def _comment() -> list[str]:
    return [r"% \usepackage{" + ",".join(_PACKAGES) + r"} \usepackage[T1]{fontenc}"]


def _environment(table: Table, layout: Layout) -> list[str]:
    label = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.name}-{table.suite}").strip("-")
    columns = "l" + "".join("r" * len(group.kinds) for group in layout.groups)
    lines = [r"\begin{table}[t]", r"\centering"]
    # LaTeX numbers its tables itself: a title such as "Table 1" would stand there twice.
    heading = full_caption(table) if table.caption else f"{table.title}. {full_caption(table)}"
    lines.append(rf"\caption{{{escape(heading)}}}")
    lines += [rf"\label{{tab:{label}}}", r"\small", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += _heads(layout.groups, layout.compared)
    lines.append(r"\midrule")
    for i, line in enumerate(layout.lines):
        if line.ceiling and i:
            lines.append(r"\midrule")
        title = rf"\textit{{{escape(line.title)}}}" if line.ceiling else escape(line.title)
        figures = [escape(entry.text) + _marks(entry.marks) for entry in line.entries]
        lines.append(" & ".join([title + _marks(line.marks), *figures]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip", r"\begin{minipage}{\linewidth}"]
    lines += [r"\footnotesize\raggedright"]
    lines += [rf"{_marks((i,))}{escape(note)}\par" for i, note in enumerate(layout.footnotes, 1)]
    lines += [rf"{escape(note)}\par" for note in table.notes]
    lines += [rf"{{\scriptsize\texttt{{{escape(signature)}}}\par}}" for signature in table.signatures]
    lines += [r"\end{minipage}", r"\end{table}"]
    return lines


def _heads(groups: tuple[Group, ...], compared: bool) -> list[str]:
    if not compared:
        return [" & ".join(["Method", *(escape(group.column.header) for group in groups)]) + r" \\"]
    over, rules, under = [""], [], ["Method"]
    at = 2
    for group in groups:
        width = len(group.kinds)
        if width == 1:
            over.append("")
            under.append(escape(group.column.header))
        else:
            over.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group.column.header)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
            under += ["measured", "published", escape("Δ")]
        at += width
    return [" & ".join(over) + r" \\", "".join(rules), " & ".join(under) + r" \\"]


def _marks(marks: tuple[int, ...]) -> str:
    return rf"\textsuperscript{{{','.join(str(mark) for mark in marks)}}}" if marks else ""
