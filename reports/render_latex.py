"""A Table as LaTeX: a booktabs table to include, or a file that compiles on its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.latex_figures import SETUP, Figures, figures, note_text
from reports.latex_text import breakable, escape, fallbacks, unusual
from reports.layout import Group, Layout, Line, full_caption, lay_out
from reports.table import Table

_NEEDS = ("booktabs", "siunitx", "textcomp", "graphicx")
# Points, characters at \small in ten-point documents: they choose between one column and the page, and how tight.
_CHARACTER = 4.6
_ONE_COLUMN = 237.0
_WHOLE_PAGE = 482.0
_TITLE_CHARACTERS = 34
_HEADS = {"measured": "measured", "published": "published", "delta": r"$\Delta$"}
_PREAMBLE = r"""\documentclass{article}
\usepackage{iftex}
\iftutex\else
  \usepackage[T1]{fontenc}
  \usepackage[utf8]{inputenc}
  % Fonts that scale, whichever of them there are.
  \IfFileExists{lmodern.sty}{\usepackage{lmodern}}{\IfFileExists{txfonts.sty}{\usepackage{txfonts}}{}}
\fi
\usepackage[a4paper,margin=2cm]{geometry}"""
# Tables from the top of a page.
_PAGE = r"""\setlength{\abovecaptionskip}{0pt}
\makeatletter
\setlength{\@fptop}{0pt}
\setlength{\@fpsep}{24pt}
\setlength{\@dblfptop}{0pt}
\setlength{\@dblfpsep}{24pt}
\makeatother
\pagestyle{empty}
\begin{document}"""


def render_latex(table: Table, standalone: bool = False) -> str:
    r"""A `table` with caption, label, footnotes and signatures; over both columns of a page where one is too narrow.

    Its first lines say which packages it needs (siunitx of version 2 or 3). `standalone` is a whole
    document with them. Letters that pdfLaTeX does not know need XeLaTeX or LuaLaTeX; the document prints
    their code points elsewhere.
    """
    return render_latex_document([table]) if standalone else _comment(table) + _environment(table)


def render_latex_document(tables: Sequence[Table]) -> str:
    """A file that compiles as it is, with all the tables in turn. Tables of the paper keep its numbers."""
    odd = fallbacks(unusual(text for table in tables for text in _texts(table)))
    lines = [
        _PREAMBLE,
        *(rf"\usepackage{{{name}}}" for name in _NEEDS),
        *([r"\iftutex\else", *odd, r"\fi"] if odd else []),
        _PAGE,
    ]
    numbers = [_number(table) for table in tables]
    kept = len(set(numbers)) == len(numbers)
    for table, number in zip(tables, numbers, strict=True):
        counter = [rf"\setcounter{{table}}{{{number - 1}}}"] if kept and number else []
        lines += [*counter, _environment(table)]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _comment(table: Table) -> str:
    lines = [
        r"% \usepackage{" + ",".join(_NEEDS) + r"} \usepackage[T1]{fontenc}",
    ]
    # European letters up to U+017F it knows.
    if odd := [c for c in unusual(_texts(table)) if c > "\u017f"]:
        lines.append(f"% XeLaTeX or LuaLaTeX where pdfLaTeX does not know: {' '.join(odd)}")
    return "\n".join(lines) + "\n"


def _texts(table: Table) -> list[str]:
    layout = lay_out(table)
    shown = [entry.text for line in layout.lines for entry in line.entries]
    heads = [group.column.header for group in layout.groups]
    titles = [line.title for line in layout.lines]
    return [
        table.title,
        full_caption(table),
        *heads,
        *titles,
        *shown,
        *layout.footnotes,
        *table.notes,
        *table.signatures,
    ]


def _number(table: Table) -> int | None:
    """5 of "Table 5"."""
    found = re.fullmatch(r"Table (\d{1,4})", table.title)
    return int(found[1]) if found else None


def _environment(table: Table) -> str:
    layout = lay_out(table)
    columns = [figures([line.entries[i] for line in layout.lines]) for i in range(_count(layout))]
    label = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.name}-{table.suite}").strip("-")
    # LaTeX numbers its tables itself: a title such as "Table 1" would stand there twice.
    heading = full_caption(table) if table.caption else f"{table.title}. {full_caption(table)}"
    width = _width(layout, columns)
    float_name = "table*" if width > _ONE_COLUMN else "table"
    lines = [rf"\begin{{{float_name}}}[t]", SETUP, r"\centering", r"\setlength{\belowcaptionskip}{6pt}"]
    lines += [rf"\caption{{{breakable(heading)}}}"]
    lines += [rf"\label{{tab:{label}}}", r"\small"]
    if width > _WHOLE_PAGE:
        lines.append(r"\setlength{\tabcolsep}{4pt}")
    lines += [r"\sbox0{%", *_tabular(layout, columns), r"}%"]
    lines.append(r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi")
    lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}", r"\footnotesize\raggedright"]
    lines += [rf"{_superscript((i,))}\,{breakable(note)}\par" for i, note in enumerate(layout.footnotes, 1)]
    lines += [rf"{breakable(note)}\par" for note in table.notes]
    lines += [rf"{{\scriptsize\ttfamily\frenchspacing {breakable(signature)}\par}}" for signature in table.signatures]
    lines += [r"\end{minipage}", rf"\end{{{float_name}}}"]
    return "\n".join(lines) + "\n"


def _count(layout: Layout) -> int:
    return sum(len(group.kinds) for group in layout.groups)


def _width(layout: Layout, columns: Sequence[Figures]) -> float:
    """About how wide the table is, in points."""
    heads = [
        len(head)
        for group in layout.groups
        for head in ([group.column.header] if len(group.kinds) == 1 else ["measured", "published", "Δ"])
    ]
    titles = min(max((len(line.title) for line in layout.lines), default=0), _TITLE_CHARACTERS)
    characters = sum(max(head, column.characters) for head, column in zip(heads, columns, strict=True)) + titles
    return characters * _CHARACTER + 12.0 * len(columns)


def _tabular(layout: Layout, columns: Sequence[Figures]) -> list[str]:
    long = any(len(line.title) > _TITLE_CHARACTERS for line in layout.lines)
    first = rf"p{{{_TITLE_CHARACTERS * _CHARACTER:.0f}pt}}" if long else "l"
    lines = [rf"\begin{{tabular}}{{{first}", *(f"  {column.spec}" for column in columns), "}", r"\toprule"]
    lines += [*_heads(layout), r"\midrule"]
    for i, line in enumerate(layout.lines):
        if line.ceiling and i:
            lines.append(r"\midrule")
        lines.append(" & ".join([_title(line, long), *(column.cells[i] for column in columns)]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _title(line: Line, long: bool) -> str:
    title = breakable(line.title) if long else escape(line.title)
    shown = (rf"\textit{{{title}}}" if line.ceiling else title) + _superscript(line.marks)
    # Lines of a long title after its first stand in.
    return rf"\raggedright\hangindent=1em {shown}" if long else shown


def _heads(layout: Layout) -> list[str]:
    if not layout.compared:
        return [" & ".join(["Method", *(f"{{{_head(group)}}}" for group in layout.groups)]) + r" \\"]
    over, rules, under = [""], [], ["Method"]
    at = 2
    for group in layout.groups:
        width = len(group.kinds)
        if width == 1:
            over.append("")
            under.append(f"{{{_head(group)}}}")
        else:
            over.append(rf"\multicolumn{{{width}}}{{c}}{{{_head(group)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
            under += [f"{{{_HEADS[kind]}}}" for kind in group.kinds]
        at += width
    return [" & ".join(over) + r" \\", "".join(rules), " & ".join(under) + r" \\"]


def _head(group: Group) -> str:
    return escape(group.column.header)


def _superscript(marks: Sequence[int]) -> str:
    return rf"\textsuperscript{{{note_text(marks)}}}" if marks else ""
