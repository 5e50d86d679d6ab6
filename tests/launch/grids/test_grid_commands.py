"""`report` and `status` of a grid: all its suites, the command that fills the gaps, and a watch that is ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from launch_stubs import done_record, put, spec_of

from harness.cells import load_suite, resolve
from harness.commands.grids import fill_command
from harness.commands.report import report
from harness.commands.run import run
from harness.commands.status import Asked, status
from harness.commands.validate_norm import validate_norm
from harness.errors import UserError
from harness.protocols.load import load_protocol

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


def test_the_status_counts_what_was_scored_by_the_asked_fields_and_nets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = load_suite("toyscapes")
    (tmp_path / "one.yaml").write_text("suites: [toyscapes]\nmethods: [spade]\nset: {schedule.iterations: 2}\n")
    (tmp_path / "ours.yaml").write_text("image: own\n")
    ours = load_protocol(str(tmp_path / "ours.yaml"), suite)
    cell = resolve("spade", suite, 0, {"schedule.iterations": 2})
    spec = spec_of(tmp_path, cell.id)

    def done(protocol: str = "native", features: str | None = None) -> bool:
        status(str(tmp_path / "one.yaml"), protocol=protocol, features=features, out=tmp_path, as_json=True)
        return bool(json.loads(capsys.readouterr().out)["counts"]["done"])

    def scored(fields: dict[str, Any]) -> None:
        put({**done_record(spec), "protocol": {**spec.described, "name": fields["name"], "fields": fields}}, tmp_path)

    scored({**suite.protocol.as_dict(), "features": []})
    assert (done(features="none"), done()) == (True, False)
    scored(suite.protocol.as_dict())
    assert (done(features="none"), done(), done(features="toyscapes")) == (False, True, True)
    scored(ours.as_dict())
    file = str(tmp_path / "ours.yaml")
    assert (done(file), done()) == (True, False)
    (tmp_path / "ours.yaml").write_text("image: own\nvoid: wrong\n")
    assert not done(file)
    scored({**suite.protocol.as_dict(), "segmenter": "other"})
    assert not done()


def test_nets_that_are_not_at_hand_are_not_asked_of_a_record() -> None:
    suite = load_suite("toyscapes")
    protocol = replace(suite.protocol, features=("toyscapes", "no_such_net"))
    fields = replace(protocol, features=("toyscapes",)).as_dict()
    assert Asked(protocol, None, suite).fits({"fields": fields})
    assert Asked(protocol, None, suite).fits(
        {"fields": protocol.as_dict() | {"features": ["no_such_net", "toyscapes"]}}
    )
    assert not Asked(protocol, None, suite).fits({"fields": {**fields, "features": []}})


def test_a_status_needs_no_lightning(grid: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.commands.status import status;"
        f"status({grid!r}, out=Path({str(tmp_path / 'out')!r})); sys.exit('lightning_fabric' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_a_dry_run_says_what_was_estimated_before_and_how_to_estimate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("suites: [toyscapes]\nmethods: [spade]\nceiling: true\nset: {schedule.iterations: 2}\n")
    path.write_text(path.read_text().replace("2}", "2, generator.ngf: 4, discriminator.ndf: 4}"))

    def planned(*, measure: bool = False) -> list[str]:
        run(str(path), features="none", device="cpu", out=tmp_path / "o", dry_run=True, estimate=measure)
        return capsys.readouterr().err.splitlines()

    cell, photos, advice = planned()
    assert "about" not in cell
    assert photos.endswith("to do  real photos of toyscapes")
    assert advice == "add --estimate for time and memory, measured from a few steps"
    assert not (tmp_path / "o").exists()
    measured = planned(measure=True)[-3:]
    assert "GB" in measured[0]
    assert planned() == measured


def test_an_unknown_suite_or_retry_is_told_with_its_place(grid: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--retry: nothing is retried as 'bogus'"):
        run(grid, out=tmp_path / "o", dry_run=True, retry=["bogus"])
    with pytest.raises(UserError, match="--retry: nothing is retried as 'bogus'"):
        validate_norm("spade", out=tmp_path / "o", retry=["bogus"])
    with pytest.raises(UserError, match="--suite: unknown suite 'toy'"):
        status(grid, suite="toy", out=tmp_path)
    Path(grid).write_text(GRID.replace("camvid", "camvit"))
    with pytest.raises(UserError, match=r"two\.yaml: suites\[1\]: unknown suite 'camvit'"):
        status(grid, out=tmp_path)


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
