"""`report` and `status` of a grid: all its suites, the command that fills the gaps, and a watch that is ended."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.commands.grids import fill_command
from harness.commands.report import report
from harness.commands.status import status
from harness.errors import UserError

GRID = """
suites: [toyscapes, camvid]
methods: [spade]
columns: [miou]
set: {schedule.iterations: 2}
"""


@pytest.fixture
def grid(tmp_path: Path) -> str:
    (tmp_path / "two.yaml").write_text(GRID)
    return str(tmp_path / "two.yaml")


def test_a_report_holds_all_suites_of_its_grid(grid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(grid, out=tmp_path, as_json=True, to=tmp_path / "tables")
    assert [table["suite"] for table in json.loads(capsys.readouterr().out)] == ["toyscapes", "camvid"]
    assert (tmp_path / "tables" / "two-camvid.html").is_file()
    report(grid, out=tmp_path, form="csv")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[1] for line in lines] == ["suite", "toyscapes", "camvid"]
    report(grid, suite="camvid", out=tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out)["suite"] == "camvid"
    report(grid, out=tmp_path, form="html")
    page = capsys.readouterr().out
    assert page.count("<html") == 1
    assert "Suite: toyscapes." in page
    assert "Suite: camvid." in page


def test_missing_figures_are_filled_by_the_command_with_its_options(
    grid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(grid, suite="toyscapes", seeds=2, budget="3it", out=tmp_path / "o", form="markdown")
    words = f"--suite toyscapes --seeds 2 --budget 3it --out {tmp_path / 'o'}"
    assert words in capsys.readouterr().out.replace("\\", "")
    assert fill_command("table1", "toyscapes", Path("runs"), {"--set": ["a=1", "b=[2]"], "--seeds": None}) == (
        "spadebench run table1 --suite toyscapes --set a=1 --set 'b=[2]'"
    )


def test_a_watch_ends_at_ctrl_c_and_is_not_for_programs(
    grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    status(grid, out=tmp_path / "far" / "from" / "here", watch=True)
    shown = capsys.readouterr().out
    assert "2 waiting" in shown
    assert "log.txt" in "".join(shown.split())  # of a narrow screen too
    with pytest.raises(UserError, match="--watch is for people"):
        status(grid, out=tmp_path, watch=True, as_json=True)


def test_the_status_of_a_grid_with_a_ceiling_lists_the_photos(
    grid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(grid).write_text(f"{GRID}ceiling: true\n")
    status(grid, out=tmp_path / "out")
    counted, *shown = capsys.readouterr().out.splitlines()
    assert counted.startswith("0 done, 0 running, 0 failed, 4 waiting")
    for line, suite in zip(shown[2:], ("toyscapes", "camvid"), strict=True):
        assert f"  real photos of {suite} " in line
    status(grid, suite="camvid", out=tmp_path / "out", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [cell["name"] for cell in found["cells"]] == ["spade-camvid-seed0", "real photos of camvid"]
    assert not (tmp_path / "out").exists()
