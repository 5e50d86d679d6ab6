"""CSV, JSON and the terminal: the same figures, for machines and at once."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from hand_tables import compared_table
from rich.console import Console

from reports.render_csv import FIELDS, render_csv
from reports.render_json import render_json
from reports.render_terminal import render_terminal
from reports.table import Table

SIGNATURES = (
    "segmentation: seg:drn_d_105@12345678 v1 #aaaa00000000",
    "distance: fd:inception@12345678 v1 #bbbb00000000",
)


def terminal(table: Table, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render_terminal(table))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_csv_has_a_line_for_each_figure_with_all_digits(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(render_csv(table))))
    assert len(lines) == len(table.rows) * len(table.columns)
    assert tuple(lines[0]) == FIELDS
    first = lines[0]
    assert (first["row"], first["metric"], first["mean"], first["published"]) == ("spade", "miou", "0.6231", "0.623")
    assert (first["records"], first["signature"]) == (table.rows[0].cells[0].records[0], SIGNATURES[0])
    assert lines[2]["signature"] == SIGNATURES[1]


def test_json_holds_fractions_seeds_records_and_both_figures(table: Table) -> None:
    found = json.loads(render_json(table))
    cell = found["rows"][0]["cells"]["miou"]
    assert (cell["mean"], cell["values"], cell["seeds"]) == (0.6231, [0.6231], [0])
    assert cell["published"]["value"] == 0.623
    assert found["rows"][-1]["ceiling"] is True
    assert found["signatures"] == list(table.signatures)
    assert [column["key"] for column in found["columns"]] == ["miou", "accuracy", "fid"]


def test_csv_and_json_hold_intervals_marks_and_tests_in_the_records_units() -> None:
    table = compared_table()
    line = next(
        one
        for one in csv.DictReader(io.StringIO(render_csv(table)))
        if (one["row"], one["metric"]) == ("spade", "accuracy")
    )
    interval = table.rows[3].cells[1].interval
    assert interval is not None
    assert (line["interval_low"], line["interval_high"]) == (repr(interval.low), repr(interval.high))
    assert (line["interval_level"], line["interval_unit"], line["mark"]) == ("0.95", "images", "second")
    found = json.loads(render_json(table))
    cells = {row["key"]: row["cells"] for row in found["rows"]}
    assert cells["spade"]["accuracy"]["interval"] == {
        "low": interval.low,
        "high": interval.high,
        "level": 0.95,
        "unit": "images",
    }
    assert (cells["spade"]["miou"]["mark"], cells["crn"]["miou"]["mark"]) == ("best", None)
    assert cells["crn"]["miou"]["interval"] is None
    assert found["tests"][0] == {
        "column": "miou",
        "rows": ["spade", "pix2pixhd"],
        "difference": 0.0395,
        "low": 0.021,
        "high": 0.058,
        "p": 0.0002,
        "p_holm": 0.0012,
        "test": "paired bootstrap",
        "unit": "images",
    }
    assert found["tests"][1]["low"] is None


def test_the_terminal_sets_the_best_bold_and_the_second_underlined() -> None:
    console = Console(width=200, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(render_terminal(compared_table()))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "\x1b[1m62.3 ± 0.3\x1b[0m" in shown
    assert "\x1b[4m58.4 ± 0.6\x1b[0m" in shown


def test_the_terminal_shows_figures_signatures_and_markup_as_it_is(table: Table) -> None:
    text = terminal(replace(table, rows=(replace(table.rows[0], title="[red]x[/red] :smile:"), *table.rows[1:])))
    assert "[red]x[/red] :smile:" in text
    assert "71.8" in text
    shown = terminal(table)
    for signature in SIGNATURES:
        assert signature in shown


def test_eighty_columns_cut_no_name_and_keep_short_ones_whole(table: Table) -> None:
    text = terminal(table, width=80)
    assert "…" not in text
    for title in ("pix2pixHD++", "pix2pixHD ", "real photos"):
        assert title in text
    long = terminal(replace(table, rows=(replace(table.rows[0], title="spade_" * 6), *table.rows[1:])), width=80)
    assert "…" not in long
    assert max(map(len, text.splitlines())) <= 80


def test_a_narrow_terminal_still_shows_every_figure(plain: Table) -> None:
    text = terminal(plain, width=40)
    for figure in ("62.3", "81.9", "71.8"):
        assert figure in text
