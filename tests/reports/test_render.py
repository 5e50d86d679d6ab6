"""Every format shows the same figures, the signatures, and any name as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from hand_tables import NAMES, compared_table, plain_table, renamed
from hypothesis import given, settings
from markdown_it import MarkdownIt

from reports import latex_text, render_markdown
from reports.layout import lay_out
from reports.render_markdown import render_markdown as markdown
from reports.table import Table, clean
from reports.write import FORMATS

VICIOUS = ["<script>alert('1')</script>", '"><img src=x onerror=alert(1)>', r"\input{/etc/passwd}", "a|b & 50% _x_ ~^$"]
SIGNATURES = (
    "segmentation: seg:drn_d_105@12345678 v1 #aaaa00000000",
    "distance: fd:inception@12345678 v1 #bbbb00000000",
)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_carries_the_protocol_signatures(table: Table, name: str) -> None:
    text = FORMATS[name](table)
    for signature in SIGNATURES:
        written = latex_text.breakable(signature) if name.endswith("tex") else signature
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


def test_markdown_marks_the_figure_and_neither_its_interval_nor_its_footnotes() -> None:
    text = markdown(replace(compared_table(paper=False), intervals=True))
    assert "| **62.3 ± 0.3** | <u>81.9</u> \\[80.3, 83.6\\]¹ | **71.6 ± 1.7**¹ |" in text


def test_markdown_keeps_a_command_as_it_is() -> None:
    command = "spadebench run table1 --suite coco_stuff"
    text = markdown(replace(plain_table(), notes=(f"Missing figures are filled by: {command}",)))
    assert f"- Missing figures are filled by: `{command}`" in text


def test_several_tables_make_one_document_of_each_format() -> None:
    tables = [compared_table(), plain_table()]
    texts = {name: render(tables) for name, render in FORMATS.items()}
    assert texts["md"] == "\n".join(markdown(table) for table in tables)
    assert [table["name"] for table in json.loads(texts["json"])] == ["table1", "table3"]
    lines = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert len(lines) == sum(len(table.rows) * len(table.columns) for table in tables)
    assert texts["html"].count("<section>") == 2
    assert texts["tex"].count(r"\begin{table") == texts["standalone.tex"].count(r"\begin{table") == 2
    assert texts["standalone.tex"].count(r"\documentclass") == 1


@settings(max_examples=150, deadline=None)
@given(NAMES)
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
@given(NAMES)
def test_markdown_code_spans_hold_any_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"x {render_markdown.code(text)} y")
    children = tokens[1].children or []
    assert [(child.type, child.content) for child in children] == [
        ("text", "x "),
        ("code_inline", clean(text)),
        ("text", " y"),
    ]


@pytest.mark.parametrize("name", VICIOUS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_vicious_name_gets_through_every_format(table: Table, name: str, kind: str) -> None:
    text = FORMATS[kind](renamed(table, name))
    assert text
    if kind == "html":
        assert "<script" not in text
        assert "<img" not in text
    if kind.endswith("tex"):
        assert r"\input{" not in text
    if kind == "json":
        assert json.loads(text)["rows"][0]["title"] == name
    if kind == "csv":
        assert next(csv.DictReader(io.StringIO(text)))["title"] == name
    if kind == "md":
        assert markdown_cells(text)[1][0].rstrip("¹²³") == name
