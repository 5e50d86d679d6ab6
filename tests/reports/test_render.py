"""Every format shows the same figures, the signatures, and any name as it is."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import render_latex, render_markdown
from reports.layout import lay_out
from reports.render_html import render_html
from reports.render_latex import render_latex as latex
from reports.render_markdown import render_markdown as markdown
from reports.table import Table, clean
from reports.write import FORMATS

# Every character that some format gives a meaning to, among letters.
NASTY = st.text(alphabet="ab1 .\\`*_{}[]<>()#+-|~!&$:@%^\"',;?=/\t\nΔ±é", min_size=1, max_size=24).filter(clean)
VICIOUS = ["<script>alert('1')</script>", '"><img src=x onerror=alert(1)>', r"\input{/etc/passwd}", "a|b & 50% _x_ ~^$"]
SIGNATURES = (
    "segmentation: seg:drn_d_105@12345678 v1 #aaaa00000000",
    "distance: fd:inception@12345678 v1 #bbbb00000000",
)


def renamed(table: Table, name: str) -> Table:
    rows = (replace(table.rows[0], title=clean(name), notes=(clean(name),)), *table.rows[1:])
    return replace(table, rows=rows, title=name, caption=name, notes=(name,), signatures=(name,))


class _Page(html.parser.HTMLParser):
    """Texts of table cells, tags, and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.titles: list[str] = []
        self.links: list[str] = []
        self.all = ""
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value or "" for key, value in attrs if key == "title"]
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True
        if tag == "sup":
            self._inside = False

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        self.all += data
        if self._inside:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_carries_the_protocol_signatures(table: Table, name: str) -> None:
    text = FORMATS[name](table)
    for signature in SIGNATURES:
        written = render_latex.escape(signature) if name == "tex" else signature
        assert written in text


@pytest.mark.parametrize("name", FORMATS)
def test_rendering_twice_gives_the_same_text(table: Table, name: str) -> None:
    assert FORMATS[name](table) == FORMATS[name](table)


def markdown_cells(text: str) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_markdown_shows_the_figures(table: Table) -> None:
    rows = markdown_cells(markdown(table))
    assert rows[0] == ["Method", *lay_out(table).heads]
    assert [re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]", "", text) for text in rows[1][:4]] == ["SPADE", "62.3", "62.3", "0.0"]
    assert rows[4][0] == "real photos"


@settings(max_examples=150, deadline=None)
@given(NASTY)
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    document = f"| {render_markdown.escape(name)} | 1 |\n|--|--|\n| {render_markdown.escape(name)} | 2 |\n"
    assert markdown_cells(document)[:2] == [[clean(name), "1"], [clean(name), "2"]]
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"- {render_markdown.escape(name)}\n")
    assert [t.type for t in tokens if t.type.endswith("_open")] == [
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
    ]
    inline = next(t for t in tokens if t.type == "inline")
    assert "".join(child.content for child in inline.children or []) == clean(name)
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}


@settings(max_examples=80, deadline=None)
@given(NASTY)
def test_markdown_code_spans_hold_any_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"x {render_markdown.code(text)} y")
    children = tokens[1].children or []
    assert [(child.type, child.content) for child in children] == [
        ("text", "x "),
        ("code_inline", clean(text)),
        ("text", " y"),
    ]


def unlatex(text: str) -> str:
    """What LaTeX prints for escaped text. Raises where an active character stands bare."""
    back = {value: key for key, value in render_latex._ESCAPES.items() if key != "\0"}
    back |= {"{}": ""}
    pattern = re.compile("|".join(re.escape(key) for key in sorted(back, key=len, reverse=True)) + r"|[^\\{}$&#%_~^]")
    out, at = "", 0
    while at < len(text):
        found = pattern.match(text, at)
        assert found, f"bare {text[at]!r} in {text!r}"
        out += back.get(found[0], found[0])
        at = found.end()
    return out


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_latex_prints_any_name_as_it_is(name: str) -> None:
    escaped = render_latex.escape(name)
    assert unlatex(escaped) == clean(name)
    assert not re.search(r"--(?!-)|,,|^[\[*]", escaped.replace("---", ""))


def test_latex_sets_groups_over_published_figures(table: Table) -> None:
    text = latex(table)
    assert r"\multicolumn{3}{c}{mIoU $\uparrow$}" in text
    assert r"\cmidrule(lr){2-4}\cmidrule(lr){5-7}\cmidrule(lr){8-10}" in text
    assert r"\label{tab:table1-cityscapes}" in text
    assert r"\textit{real photos}" in text
    assert r"\documentclass" not in text
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    assert {line.count("&") for line in body.splitlines() if line.endswith(r"\\")} == {9}


def test_latex_has_one_header_line_where_nothing_is_published(plain: Table) -> None:
    text = latex(plain)
    assert r"Method & mIoU $\uparrow$ & Accuracy $\uparrow$ & FID $\downarrow$ \\" in text
    assert "cmidrule" not in text


def test_standalone_latex_is_a_whole_document_around_the_same_table(table: Table) -> None:
    whole = latex(table, standalone=True)
    assert whole.startswith(r"\documentclass")
    assert whole.endswith("\\end{document}\n")
    assert latex(table) in whole


@pytest.mark.parametrize("standalone", [False, True])
def test_latex_environments_and_braces_are_balanced(table: Table, standalone: bool) -> None:
    text = latex(renamed(table, r"}{\end{table} %"), standalone)
    opened = re.findall(r"(?<!\\)\\begin\{(\w+)\}", text)
    closed = re.findall(r"(?<!\\)\\end\{(\w+)\}", text)
    assert sorted(opened) == sorted(closed)
    bare = re.sub(r"\\[\\{}%]", "", "\n".join(text.splitlines()[1:]))
    assert bare.count("{") == bare.count("}")


def test_html_shows_the_figures_and_names_the_records_behind_each(table: Table) -> None:
    page = _Page(render_html(table))
    body = [row for row in page.rows if row and row[0] == "SPADE"]
    assert body == [["SPADE", "62.3", "62.3", "0.0", "81.9", "81.9", "0.0", "71.8", "71.8", "0.0"]]
    assert f"records: {table.rows[0].cells[0].records[0]}" in page.titles
    assert "arXiv 1903.07291v2, Table 1 (verified in three copies)" in page.titles


def test_html_has_one_header_line_where_nothing_is_published(plain: Table) -> None:
    page = _Page(render_html(plain))
    assert page.rows[0] == ["Method", "mIoU ↑", "Accuracy ↑", "FID ↓"]
    assert len(page.rows) == 1 + len(plain.rows)


def test_html_needs_nothing_from_elsewhere(table: Table) -> None:
    page = _Page(render_html(table))
    assert page.links == ["data:,"]
    assert "script" not in page.tags
    assert "@import" not in render_html(table)
    assert "prefers-color-scheme: dark" in render_html(table)


@settings(max_examples=60, deadline=None)
@given(NASTY)
def test_html_shows_any_name_as_it_is(name: str) -> None:
    table = renamed(_TABLE, name)
    page = _Page(render_html(table))
    assert page.tags == _Page(render_html(renamed(_TABLE, "x"))).tags
    assert [row[0] for row in page.rows if row][1] == clean(name)
    assert page.all.count(clean(name)) >= 4


@pytest.mark.parametrize("name", VICIOUS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_vicious_name_gets_through_every_format(table: Table, name: str, kind: str) -> None:
    text = FORMATS[kind](renamed(table, name))
    assert text
    if kind == "html":
        assert "<script" not in text
        assert "<img" not in text
    if kind == "tex":
        assert r"\input" not in text
    if kind == "json":
        assert json.loads(text)["rows"][0]["title"] == name
    if kind == "csv":
        assert next(csv.DictReader(io.StringIO(text)))["title"] == name
    if kind == "md":
        assert markdown_cells(text)[1][0].rstrip("¹²³") == name


def _hand_made() -> Table:
    from reports.table import Cell, Column, Row

    column = Column("miou", "mIoU", False, scale=100.0, unit="%")
    return Table("t", "T", "c", "s", (column,), (Row("a", "a", (Cell("miou", False, (0.5,), (0,), ("r",)),)),))


_TABLE = _hand_made()
