"""CSV, JSON and the terminal: the same figures, for machines and at once."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

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


def test_the_terminal_shows_figures_signatures_and_markup_as_it_is(table: Table) -> None:
    text = terminal(replace(table, rows=(replace(table.rows[0], title="[red]x[/red] :smile:"), *table.rows[1:])))
    assert "[red]x[/red] :smile:" in text
    assert "71.8" in text
    shown = terminal(table)
    for signature in SIGNATURES:
        assert signature in shown


def test_a_narrow_terminal_still_shows_every_figure(plain: Table) -> None:
    text = terminal(plain, width=40)
    for figure in ("62.3", "81.9", "71.8"):
        assert figure in text
