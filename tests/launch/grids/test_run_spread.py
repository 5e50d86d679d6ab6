"""`run --halves`: new cells have the spread of their distances, and of done ones it says how they come to it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from scored_stubs import command, small_suite

from harness.launch.grids.plan import read_spec
from reports.records import read_records

GRID = """
methods: [pix2pixhd]
ceiling: true
set: {generator.ngf: 4, discriminator.ndf: 4, schedule.batch: 2, schedule.iterations: 2, threads: 1}
"""


def by_method(out: Path) -> dict[str, Any]:
    return {record["method"]: record for record in read_records(out)}


def test_new_cells_have_a_spread_and_done_ones_are_told_how_they_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.cells.load_suite", lambda name: small_suite(size=(64, 64), count=8))
    (tmp_path / "grid.yaml").write_text(GRID)

    def spadebench(*words: str) -> str:
        code, _, err = command(monkeypatch, capsys, *words)
        assert code == 0, err
        return err

    def run(out: str, *words: str) -> str:
        given = ("--suite", "toyscapes", "--device", "cpu", "--out", str(tmp_path / out))
        return spadebench("run", str(tmp_path / "grid.yaml"), *given, *words)

    assert "without a spread" not in run("new", "--halves", "4")
    new = by_method(tmp_path / "new")
    assert new["pix2pixhd"]["spread"]["fd_toyscapes"]["halves"] == 4
    assert new["photos"]["spread"]["fd_toyscapes"]["images"] == 4

    run("old")
    plain = by_method(tmp_path / "old")
    assert all("spread" not in record for record in plain.values())
    for record in plain.values():
        assert record["scores"] == new[record["method"]]["scores"]
        assert record["id"] == new[record["method"]]["id"]
    for left, which in ((2, "--checkpoint"), (1, "--photos")):
        [line] = [line for line in run("old", "--halves", "4").splitlines() if "without a spread" in line]
        plural = "s" if left > 1 else ""
        assert line.startswith(f"{left} record{plural} of toyscapes done before without a spread over 4 halves; ")
        words = shlex.split(line.partition("as by ")[2])
        assert words[0] == "spadebench"
        assert which in words
        spadebench(*words[1:])
    done = by_method(tmp_path / "old")
    assert {name: record["spread"] for name, record in done.items()} == {n: r["spread"] for n, r in new.items()}
    assert "without a spread" not in run("old", "--halves", "4")
    assert "2 records of toyscapes" in run("old", "--halves", "5")
    [spec] = (tmp_path / "old" / "photos").glob("*/spec-*.json")
    assert read_spec(spec).suite == "toyscapes"
    for path in (tmp_path / "old" / "cells").glob("*/checkpoints/*.pt"):
        path.unlink()
    done["photos"]["spread"]["fd_toyscapes"]["halves"] = 5
    (tmp_path / "old" / "records" / f"{done['photos']['id']}.json").write_text(json.dumps(done["photos"]))
    assert "halves; their checkpoints are gone" in run("old", "--halves", "5")
