"""Figures of other papers: rows of their own, found by the file's name or given by the user."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from ablations.grid import Grid, load_grid
from harness.errors import UserError
from reports.build import build_table
from reports.layout import lay_out
from reports.published import FIELDS, Published, load_published, other_figures, own_figures, published_tables
from reports.published import read_figures as read
from reports.table import MISSING, Row, Table

Make = Callable[..., dict[str, Any]]
HEAD = "method,title,suite,metric,value,unit,status,source,note\n"
OASIS = 'oasis,OASIS,cityscapes,miou,69.3,%,unverified,"arXiv 2012.04781, Table 1",\n'
OASIS_FID = 'oasis,OASIS,cityscapes,fid,47.7,,seen in one copy,"arXiv 2012.04781, Table 1",\n'
AGAIN = 'spade,SPADE,cityscapes,miou,62.1,%,seen in one copy,"arXiv 2012.04781, Table 1",re-measured\n'


@pytest.fixture
def figures(tmp_path: Path) -> Callable[[str], list[Published]]:
    """The figures in the lines of a user's file."""

    def read_lines(lines: str, head: str = HEAD) -> list[Published]:
        path = tmp_path / "mine.csv"
        path.write_text(head + lines, encoding="utf-8")
        return read(path)

    return read_lines


def row(table: Table, key: str) -> Row:
    return next(row for row in table.rows if row.key == key)


def test_a_method_that_the_grid_lacks_is_a_row_of_published_figures_before_the_ceiling(
    figures: Any, full: list[dict[str, Any]], table1: Grid
) -> None:
    table = build_table(table1, "cityscapes", full, others=figures(OASIS + OASIS_FID))
    assert [r.title for r in table.rows] == ["SPADE", "pix2pixHD++", "pix2pixHD", "OASIS", "real photos"]
    oasis = row(table, "oasis")
    assert (oasis.published, oasis.ceiling) == (True, False)
    assert [cell.values for cell in oasis.cells] == [(), (), ()]
    layout = lay_out(table)
    line = layout.lines[3]
    assert [entry.text for entry in line.entries] == ["", "69.3", "", "", "", "", "", "47.7", ""]
    assert [layout.footnotes[mark - 1] for mark in line.marks] == ["published in arXiv 2012.04781, Table 1"]
    unverified = [layout.footnotes[mark - 1] for entry in line.entries for mark in entry.marks]
    assert unverified == ["published figure unverified: from memory alone"]


def test_another_papers_figure_of_a_row_of_the_grid_is_a_row_of_its_own(
    figures: Any, full: list[dict[str, Any]], table1: Grid
) -> None:
    alone = build_table(table1, "cityscapes", full)
    table = build_table(table1, "cityscapes", full, others=figures(AGAIN))
    assert table.rows[:3] == alone.rows[:3]
    assert table.rows[0].cells[0].published.text == "62.3"  # type: ignore[union-attr]
    again = row(table, "spade (arXiv 2012.04781)")
    assert again.title == "SPADE (arXiv 2012.04781)"
    assert again.cells[0].notes == ("arXiv 2012.04781, Table 1: re-measured",)


def test_two_values_of_one_paper_show_the_first_and_tell_the_second(figures: Any, table1: Grid) -> None:
    second = OASIS.replace("69.3", "69.0").replace("Table 1", "Table 5")
    cell = row(build_table(table1, "cityscapes", [], others=figures(OASIS + second)), "oasis").cells[0]
    assert cell.published is not None
    assert cell.published.text == "69.3"
    assert "also 69.0 (arXiv 2012.04781, Table 5)" in cell.notes


def test_a_published_fid_gets_its_column_beside_another_nets(figures: Any, make: Make, table1: Grid) -> None:
    records = [make(scores={"miou": 0.6, "accuracy": 0.8, "fd_x": 12.0})]
    table = build_table(table1, "cityscapes", records, others=figures(OASIS_FID))
    assert [column.key for column in table.columns] == ["miou", "accuracy", "fid", "fd_x"]


def test_a_figure_without_a_column_is_named_under_the_table(figures: Any, table1: Grid) -> None:
    heavy = 'oasis,OASIS,cityscapes,parameters,94,M,unverified,"arXiv 2012.04781, Table 4",\n'
    both = build_table(table1, "cityscapes", [], others=figures(OASIS + heavy))
    assert "Other papers' figures without a column here: Parameters." in both.notes
    alone = build_table(table1, "cityscapes", [], others=figures(heavy))
    assert not any(line.published for line in alone.rows)


def test_figures_of_another_suite_make_no_row(figures: Any, table1: Grid) -> None:
    assert build_table(table1, "ade20k", [], others=figures(OASIS)) == build_table(table1, "ade20k", [])


def test_more_files_of_a_table_begin_with_its_name(tmp_path: Path) -> None:
    own = HEAD + 'spade,SPADE,x,miou,62.3,%,unverified,"A, Table 1",\n'
    (tmp_path / "table1.csv").write_text(own + 'spade,SPADE,x,miou,61.0,%,unverified,"B, Table 2",\n')
    (tmp_path / "table1_b.csv").write_text(HEAD + OASIS)
    (tmp_path / "table1_a.csv").write_text(HEAD + AGAIN)
    (tmp_path / "table10.csv").write_text(HEAD + OASIS)
    assert published_tables(tmp_path) == ["table1", "table10"]
    assert [f.text for f in own_figures("table1", tmp_path)] == ["62.3"]
    assert [(f.paper, f.text) for f in other_figures("table1", tmp_path)] == [
        ("B", "61.0"),
        ("arXiv 2012.04781", "62.1"),
        ("arXiv 2012.04781", "69.3"),
    ]


def test_columns_may_stand_in_any_order_and_table_and_note_may_lack(figures: Any) -> None:
    head = "title,method,metric,suite,unit,value,source,status\n"
    (one,) = figures("OASIS,oasis,miou,cityscapes,%,69.3,here,unverified\n", "\ufeff" + head)
    assert (one.text, one.value, one.note, one.table, one.paper) == ("69.3", 69.3, "", "", "here")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "wrong columns: no 'method'"),
        (HEAD, "no figure in this file"),
        (HEAD.replace("metric", "Metric") + OASIS, "wrong columns: unknown 'Metric'"),
        (HEAD.replace("title", "method") + OASIS, "wrong columns: 'method' twice"),
        (HEAD + OASIS.replace("miou", "mIoU"), "line 2: unknown metric 'mIoU' (did you mean miou"),
        (HEAD + OASIS.replace(",%,", ",,"), "line 2: unknown unit '' (the unit of miou is %)"),
        (HEAD + OASIS_FID.replace("47.7,,", "47.7,%,"), "unknown unit '%' (fid has no unit)"),
        (HEAD + OASIS.replace("69.3", "nan"), "'nan' is no such figure"),
        (HEAD + OASIS.replace("69.3", "693"), "'693' is no such figure (a number from 0 to 100, or N/A)"),
        (HEAD + OASIS.replace('"arXiv 2012.04781, Table 1"', ""), "no source"),
        (HEAD + OASIS.replace("OASIS", " "), "no title"),
        (HEAD + OASIS.replace("unverified", "sure"), "unknown status 'sure'"),
        (HEAD + 'oasis,"OASIS', "broken CSV"),
        (b"\xff\xfe\x00", "cannot read these figures"),
    ],
)
def test_a_broken_file_is_one_line_with_its_name(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_missing_file_or_a_folder_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot read these figures"):
        read(tmp_path / name)


def test_table_2_shows_published_figures_alone_and_na_as_na() -> None:
    grid = load_grid("table2")
    assert not grid.runs
    assert set(grid.suites) == {f.suite for f in load_published("table2")}
    table = build_table(grid, "coco_stuff", [])
    layout = lay_out(table)
    assert layout.heads == ["Answers that prefer SPADE (%)"]
    shown = {line.title: [entry.text for entry in line.entries] for line in layout.lines}
    assert shown == {"CRN": ["79.76"], "pix2pixHD": ["86.64"], "SIMS": ["N/A"]}
    assert table.notes == ("A human study: published figures alone, nothing to run.",)
    assert len(layout.footnotes) == 1
    assert "two-alternative forced choice" in layout.footnotes[0]


def test_table_2_of_a_suite_without_figures_names_those_with_some() -> None:
    table = build_table(load_grid("table2"), "toyscapes", [])
    assert {entry.text for line in lay_out(table).lines for entry in line.entries} == {MISSING}
    assert any("coco_stuff, ade20k, ade20k_outdoor, cityscapes" in note for note in table.notes)


def test_the_published_figures_are_part_of_the_package() -> None:
    folder = resources.files("results") / "published"
    names = [file.name for file in folder.iterdir() if file.name.endswith(".csv")]
    assert len(names) >= 5
    assert (folder / "table1.csv").read_text(encoding="utf-8").startswith(",".join(FIELDS))
    root = Path(__file__).resolve().parents[2]
    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "results*" in build["packages"]["find"]["include"]
    packed = build["package-data"]["results"]
    assert all(any(fnmatch(f"published/{name}", pattern) for pattern in packed) for name in names)
