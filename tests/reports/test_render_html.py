"""The page: the same figures, what is behind them, and any name as it is. test_browser.py opens it."""

from __future__ import annotations

import html.parser
from dataclasses import replace

import pytest
from hand_tables import NAMES, SCRIPT, compared_table, plain_table, renamed
from hypothesis import given, settings

from harness.errors import UserError
from reports.render_html import render_html
from reports.table import Table, clean


class _Page(html.parser.HTMLParser):
    """Texts of table cells, tags, and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.titles: list[str] = []
        self.links: list[str] = []
        self.strong: list[str] = []
        self.underlined: list[str] = []
        self.all = ""
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)
        self.titles += [value or "" for key, value in attrs if key == "title"]
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.all += data
        if "sup" not in self._open and ("td" in self._open or "th" in self._open):
            self.rows[-1][-1] += data
            self.strong += [data] if "strong" in self._open else []
            self.underlined += [data] if "u" in self._open else []


def test_html_shows_the_figures_and_names_the_records_behind_each(table: Table) -> None:
    page = _Page(render_html(table))
    body = [row for row in page.rows if row and row[0] == "SPADE"]
    assert body[0] == ["SPADE", "62.3", "62.3", "0.0", "81.9", "81.9", "0.0", "71.8", "71.8", "0.0"]
    assert f"records: {table.rows[0].cells[0].records[0]}" in page.titles
    assert "arXiv 1903.07291v2, Table 1 (verified in three copies)" in page.titles


def test_html_has_one_header_line_where_nothing_is_published(plain: Table) -> None:
    page = _Page(render_html(plain).partition("<details>")[0])
    assert page.rows[0] == ["Method", "mIoU ↑", "Accuracy ↑", "FID ↓"]
    assert len(page.rows) == 1 + len(plain.rows)


def test_marks_are_of_the_figure_and_not_of_its_interval() -> None:
    page = _Page(render_html(replace(compared_table(paper=False), intervals=True)))
    assert page.strong == ["81.4 ± 0.0", "62.3 ± 0.3", "71.6 ± 1.7"]
    assert page.underlined == ["58.4 ± 0.6", "91.5 ± 7.0", "81.9"]
    assert ["SPADE", "62.3 ± 0.3", "81.9 [80.3, 83.6]", "71.6 ± 1.7"] in page.rows


def test_intervals_and_tests_can_be_read_without_a_mouse() -> None:
    page = _Page(render_html(compared_table()))
    assert "interval: 80.3 to 83.6 (95%, over images); records: record-0" in page.titles
    assert ["SPADE", "Accuracy", "81.9", "80.3 to 83.6 (95%, over images)", "0", "record-0"] in page.rows
    shown = ["mIoU", "SPADE − pix2pixHD", "+4.0", "+2.1 to +5.8", "0.0002", "0.0012", "paired bootstrap over images"]
    assert shown in page.rows
    assert ["FID", "SPADE − pix2pixHD", "−19.9", "—", "0.10", "0.30", "exact permutation over seeds"] in page.rows


def test_html_needs_nothing_from_elsewhere(table: Table) -> None:
    page = _Page(render_html(table))
    assert page.links == ["data:,"]
    assert "script" not in page.tags
    assert "@import" not in render_html(table)
    assert "prefers-color-scheme: dark" in render_html(table)


def test_several_tables_share_a_page_each_under_what_tells_it_apart() -> None:
    one = compared_table()
    assert "<h2>ade20k</h2>" in render_html([one, replace(one, suite="ade20k")])
    assert "<h2>Table 3: cityscapes</h2>" in render_html([one, plain_table()])
    assert "<h2>" not in render_html([one])


def test_pictures_travel_in_the_page_and_none_is_fetched() -> None:
    page = _Page(render_html(compared_table(), [(SCRIPT, "data:image/png;base64,AAAA")]))
    assert page.links == ["data:,", "data:image/png;base64,AAAA"]
    for uri in ("https://example.org/x.png", "data:text/html,<script>", "javascript:alert(1)"):
        with pytest.raises(UserError, match="holds its pictures itself"):
            render_html(compared_table(), [("x", uri)])


@settings(max_examples=60, deadline=None)
@given(NAMES)
def test_html_shows_any_name_as_it_is(name: str) -> None:
    page = _Page(render_html(renamed(plain_table(), clean(name))))
    assert page.tags == _Page(render_html(renamed(plain_table(), "x"))).tags
    assert [row[0] for row in page.rows if row][1] == clean(name)
    assert page.all.count(clean(name)) >= 4
