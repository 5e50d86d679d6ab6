"""LaTeX: figures that siunitx aligns, marks, and any name as it is. test_latex_compiles.py compiles them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hand_tables import NAMES, compared_table, plain_table, renamed
from hypothesis import given, settings

from reports.latex_figures import figures
from reports.latex_text import ESCAPES, breakable, escape, fallbacks, unusual
from reports.layout import Entry, lay_out
from reports.render_latex import render_latex, render_latex_document
from reports.table import Cell, Mark, Table, clean

_NONE = Cell("miou", False)


def entries(*texts: str, marks: tuple[int, ...] = (), mark: Mark | None = None) -> list[Entry]:
    return [Entry(text, "measured", _NONE, marks, mark) for text in texts]


def unlatex(text: str) -> str:
    """What LaTeX prints for escaped text. Raises where an active character stands bare."""
    back = {value: key for key, value in ESCAPES.items() if key != "\0"} | {"{}": "", r"\allowbreak{}": ""}
    pattern = re.compile("|".join(re.escape(key) for key in sorted(back, key=len, reverse=True)) + r"|[^\\{}$&#%_~^]")
    out, at = "", 0
    while at < len(text):
        found = pattern.match(text, at)
        assert found, f"bare {text[at]!r} in {text!r}"
        out += back.get(found[0], found[0])
        at = found.end()
    return out


@settings(max_examples=200, deadline=None)
@given(NAMES)
def test_latex_prints_any_name_as_it_is(name: str) -> None:
    for escaped in (escape(name), breakable(name * 3)):
        assert unlatex(escaped) in (clean(name), clean(name * 3))
        assert not re.search(r"--(?!-)|,,|^[\[*]", escaped.replace("---", ""))


def test_a_long_word_can_break_at_its_separators_and_anywhere_else() -> None:
    assert breakable("seg:drn_d_105@12345678x") == "seg:\\allowbreak{}drn\\_\\allowbreak{}d\\_\\allowbreak{}105@" + (
        "\\allowbreak{}12345678x"
    )
    assert max(map(len, breakable("x" * 300).split(r"\allowbreak{}"))) <= 16
    assert breakable("a short word") == "a short word"


def test_an_apostrophe_within_a_word_is_set_as_one() -> None:
    assert escape("SPADE's 'x'") == r"SPADE's \textquotesingle{}x\textquotesingle{}"


def test_letters_that_pdflatex_may_not_know_are_told_in_the_snippet_and_replaced_in_the_document() -> None:
    table = renamed(plain_table(), "日 e\u0301 γ ≥")
    assert unusual(["日 e\u0301 γ ≥"]) == ["é", "日"]
    assert "% XeLaTeX or LuaLaTeX where pdfLaTeX does not know: 日\n" in render_latex(table)
    assert fallbacks("日")[0] in render_latex(table, standalone=True)


def test_a_column_of_numbers_is_aligned_at_the_point_with_room_for_its_widest() -> None:
    found = figures(entries("62.3", "104.7", "−0.25", "N/A", "—", ""))
    assert found.spec == "S[table-format=+3.2]"
    assert found.cells == ("62.3", "104.7", "-0.25", "{N/A}", "{---}", "")
    assert figures(entries("+0.1", "0.0")).cells == ("+0.1", "0.0")


def test_a_column_without_numbers_is_centred_text() -> None:
    found = figures(entries("—", "N/A"))
    assert (found.spec, found.cells) == ("c", ("{---}", "{N/A}"))


def test_a_spread_is_an_uncertainty() -> None:
    found = figures(entries("62.3 ± 0.4", "104.7 ± 10.2", "50.0"))
    assert found.spec == "S[table-format=3.1(3)]"
    assert found.cells == ("62.3 +- 0.4", "104.7 +- 10.2", "50.0")


def test_marks_and_footnotes_leave_the_number_in_line() -> None:
    best, second = (entries("62.3", marks=(1, 2), mark=mark)[0] for mark in ("best", "second"))
    found = figures([best, second, *entries("N/A", marks=(3,))])
    assert found.spec == r"S[table-format=2.1, table-space-text-post={\tnote{1,2}}]"
    assert found.cells == (
        r"\tbest{62.3}\tnote{1,2}",
        r"\tsecond{62.3}\tnote{1,2}",
        r"{N/A\rlap{\tnote{3}}\phantom{\tnote{1,2}}}",
    )


def test_an_interval_stands_behind_its_figure() -> None:
    found = figures(entries("62.3 [57.9, 61.2]", "5.0"))
    assert found.spec == r"S[table-format=2.1, table-space-text-post={\tinterval{57.9, 61.2}}]"
    assert found.cells == (r"62.3\tinterval{57.9, 61.2}", "5.0")


def test_a_mark_on_a_figure_that_alone_has_no_spread_is_laid_over_full_width() -> None:
    found = figures([*entries("62.3 ± 0.4"), *entries("9.1", mark="second")])
    assert found.cells[1] == (
        r"{\rlap{\phantom{8}\rlap{\underline{\phantom{\num{9.1}}}}\num{9.1}}\phantom{\num{88.8 +- 8.8}}}"
    )


def test_latex_sets_groups_over_published_figures(table: Table) -> None:
    text = render_latex(table)
    assert r"\multicolumn{3}{c}{mIoU $\uparrow$}" in text
    assert r"\cmidrule(lr){2-4}\cmidrule(lr){5-7}\cmidrule(lr){8-10}" in text
    assert r"\label{tab:table1-cityscapes}" in text
    assert r"\textit{real photos}" in text
    assert r"\documentclass" not in text
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    assert {line.count("&") for line in body.splitlines() if line.endswith(r"\\")} == {9}


def test_latex_has_one_header_line_where_nothing_is_published(plain: Table) -> None:
    text = render_latex(plain)
    assert r"Method & {mIoU $\uparrow$} & {Accuracy $\uparrow$} & {FID $\downarrow$} \\" in text
    assert "cmidrule" not in text


def test_a_wide_table_takes_both_columns_of_a_page() -> None:
    assert r"\begin{table}[t]" in render_latex(plain_table())
    assert r"\begin{table*}[t]" in render_latex(compared_table())


def test_a_document_keeps_the_papers_numbers_where_they_differ() -> None:
    tables = [compared_table(), plain_table()]
    assert re.findall(r"\\setcounter\{table\}\{(\d)\}", render_latex_document(tables)) == ["0", "2"]
    assert "setcounter" not in render_latex_document([tables[0], replace(tables[0], suite="ade20k")])


def test_standalone_latex_is_a_whole_document_around_the_same_table(table: Table) -> None:
    whole = render_latex(table, standalone=True)
    assert whole.startswith(r"\documentclass")
    assert whole.endswith("\\end{document}\n")
    assert render_latex(table).split("\n", 1)[1] in whole


@pytest.mark.parametrize("standalone", [False, True])
def test_latex_environments_and_braces_are_balanced(table: Table, standalone: bool) -> None:
    text = render_latex(renamed(table, r"}{\end{table} %"), standalone)
    opened = re.findall(r"(?<!\\)\\begin\{(\w+\*?)\}", text)
    closed = re.findall(r"(?<!\\)\\end\{(\w+\*?)\}", text)
    assert sorted(opened) == sorted(closed)
    bare = re.sub(r"\\[\\{}%]", "", "\n".join(text.splitlines()[1:]))
    assert bare.count("{") == bare.count("}")


def test_every_row_has_a_cell_for_every_column() -> None:
    table = compared_table()
    count = len(lay_out(table).heads)
    body = render_latex(table).split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    assert {line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")} == {count}
