"""The published figures: complete, each with status and source, and equal to what the papers print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UserError
from reports.published import FIELDS, STATUSES, find, load_published, published_tables

SUITES = ("coco_stuff", "ade20k", "ade20k_outdoor", "cityscapes")


def figure(table: str, method: str, suite: str, metric: str) -> str:
    here = [f for f in load_published(table) if f.suite == suite]
    return find(here, method, metric)[0].text


def test_all_five_tables_are_there_with_all_their_figures() -> None:
    assert published_tables() == [f"table{i}" for i in range(1, 6)]
    # Table 1 holds both values of SPADE's mIoU on COCO-Stuff; Table 3 the parameters once a row.
    sizes = {"table1": 4 * 4 * 3 + 1, "table2": 3 * 4, "table3": 8 * 4, "table4": 11 * 3, "table5": 9 * 3}
    assert {table: len(load_published(table)) for table in sizes} == sizes


@pytest.mark.parametrize("table", [f"table{i}" for i in range(1, 6)])
def test_every_figure_has_its_table_source_and_status_and_stands_there_once(table: str) -> None:
    figures = load_published(table)
    assert len({(f.method, f.suite, f.metric, f.source) for f in figures}) == len(figures)
    for f in figures:
        assert f"table{f.table}" == table
        assert f.source.startswith("arXiv 1903.07291v2")
        assert (f.value is None) == (f.text == "N/A")
        assert f.unit == {"fid": "", "parameters": "M"}.get(f.metric, "%")
        assert f.value is None or 0 < f.value <= (100 if f.unit == "%" else 300)


@pytest.mark.parametrize(
    ("table", "method", "suite", "metric", "text"),
    [
        ("table1", "spade", "cityscapes", "miou", "62.3"),
        ("table1", "spade", "coco_stuff", "miou", "37.4"),
        ("table1", "pix2pixhd", "ade20k_outdoor", "fid", "97.8"),
        ("table1", "sims", "coco_stuff", "fid", "N/A"),
        ("table2", "sims", "cityscapes", "spade_preferred", "51.52"),
        ("table3", "pix2pixhdpp_concat", "ade20k", "parameters", "195"),
        ("table4", "spade_kernel1", "cityscapes", "miou", "59.9"),
        ("table5", "pix2pixhdpp_no_sync_bn_no_sn", "coco_stuff", "miou", "26.0"),
    ],
)
def test_a_figure_is_found_as_printed(table: str, method: str, suite: str, metric: str, text: str) -> None:
    assert figure(table, method, suite, metric) == text


def test_both_values_of_spade_on_coco_stuff_are_kept_the_tables_own_first() -> None:
    here = [f for f in load_published("table1") if f.suite == "coco_stuff"]
    both = find(here, "spade", "miou")
    assert [f.text for f in both] == ["37.4", "35.2"]
    assert all(f.note for f in both)


def test_figures_from_memory_alone_are_unverified_and_only_in_table_4() -> None:
    unverified = {table: [f for f in load_published(table) if f.status == "unverified"] for table in published_tables()}
    assert {table: len(found) for table, found in unverified.items() if found} == {"table4": 7 * 3}
    assert all("doubtful" in f.note for f in unverified["table4"] if f.method == "spade_sync_batch")


def _lines(text: str, after: str, until: str) -> Iterator[list[str]]:
    part = text.split(after, 1)[1].split(until, 1)[0]
    for line in part.splitlines():
        if line.startswith("|") and "---" not in line:
            yield [field.strip() for field in line.strip("|").split("|")]


def test_tables_equal_the_facts_beside_the_checkout(shared: Path) -> None:
    text = (shared / "paper.md").read_text(encoding="utf-8")
    compared = 0
    for title, *cells in list(_lines(text, "## Table 1", "## Table 2"))[1:]:
        for suite, cell in zip(SUITES, cells, strict=True):
            values = ["N/A"] * 3 if cell == "N/A" else cell.split("/")
            found = {
                f.metric: f.text for f in reversed(load_published("table1")) if (f.title, f.suite) == (title, suite)
            }
            assert [found[m] for m in ("miou", "accuracy", "fid")] == values
            compared += 3
    for title, *cells in list(_lines(text, "## Table 2", "## Table 3"))[1:]:
        found = {f.suite: f.text for f in load_published("table2") if f.title == title}
        assert [found[suite] for suite in SUITES] == cells
        compared += 4
    rows = list(_lines(text, "## Table 3", "## Table 4"))[1:]
    parameters = {f.title: f.text for f in load_published("table3") if f.metric == "parameters"}
    assert {title: count.removesuffix("M") for title, count, _ in rows} == parameters
    statuses = {"2": STATUSES[1], "1": STATUSES[2], "m": STATUSES[3]}
    fourth = list(_lines(text, "## Table 4", "## Table 5"))[1:]
    fifth = re.findall(r"(?:^|· )([^·/]*(?:w/[^·\d]*)?) (\d[\d./]+)", text.split("## Table 5")[1].split("\n")[1])
    assert len(fifth) == 9
    for table, three in (
        ("table3", [(r[0], r[2]) for r in rows]),
        ("table4", [r[:2] for r in fourth]),
        ("table5", fifth),
    ):
        for title, figures in three:
            own = {f.suite: f for f in load_published(table) if f.title == title.strip() and f.metric == "miou"}
            assert [own[s].text for s in ("coco_stuff", "ade20k", "cityscapes")] == figures.split("/"), title
            compared += 3
    for title, _, status in fourth:
        assert {f.status for f in load_published("table4") if f.title == title} == {statuses[status.split(",")[0]]}
    assert compared == 48 + 12 + 24 + 33 + 27


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,spade,SPADE,x,miou,62.3,%,verified in two copies,here", "wrong number of fields"),
        ("1,spade,SPADE,x,miou,62.3,%,verified in two copies,here,,", "wrong number of fields"),
        ("1,spade,SPADE,x,miou,sixty,%,verified in two copies,here,", "'sixty' is no number"),
        ("1,spade,SPADE,x,miou,62.3,%,surely,here,", "unknown status 'surely'"),
        ("1,spade,SPADE,x,miou,62.3,km,unverified,here,", "unknown unit 'km'"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "mine.csv").write_text(",".join(FIELDS) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        load_published("mine", tmp_path)
    assert "mine.csv, line 2" in str(caught.value)


def test_wrong_columns_and_an_unknown_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UserError, match="wrong columns"):
        load_published("mine", tmp_path)
    with pytest.raises(UserError, match="did you mean table1"):
        load_published("tabel1")
