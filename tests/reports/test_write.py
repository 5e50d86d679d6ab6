"""Reports on disk, and what importing reports costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hand_tables import compared_table, plain_table

from ablations.grid import Grid
from harness.errors import UserError
from reports.build import build_table
from reports.write import FORMATS, write_report


def test_a_report_is_written_in_every_format_and_nothing_else(
    tmp_path: Path, full: list[dict[str, Any]], table1: Grid
) -> None:
    table = build_table(table1, "cityscapes", full)
    paths = write_report(table, tmp_path / "out", "table1-cityscapes")
    assert set(paths) == {"md", "tex", "standalone.tex", "html", "csv", "json"}
    assert sorted((tmp_path / "out").iterdir()) == sorted(paths.values())
    for name, path in paths.items():
        assert path.name == f"table1-cityscapes.{name}"
        assert path.read_text(encoding="utf-8") == FORMATS[name](table)


def test_several_tables_are_one_report_with_its_pictures(tmp_path: Path) -> None:
    tables = [compared_table(), plain_table()]
    paths = write_report(tables, tmp_path, "both", [("A curve", "data:image/png;base64,AAAA")])
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())
    assert '<img src="data:image/png;base64,AAAA" alt="A curve">' in paths["html"].read_text(encoding="utf-8")
    assert paths["standalone.tex"].read_text(encoding="utf-8") == FORMATS["standalone.tex"](tables)


@pytest.mark.parametrize("stem", ["", ".hidden", "a/b", "../up", "a b", "x\0"])
def test_a_stem_that_is_no_plain_name_writes_nothing(tmp_path: Path, table1: Grid, stem: str) -> None:
    with pytest.raises(UserError, match="cannot name a report"):
        write_report(build_table(table1, "toyscapes", []), tmp_path, stem)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_leaves_the_old_report(
    tmp_path: Path, table1: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = build_table(table1, "toyscapes", [])
    paths = write_report(table, tmp_path, "t")
    before = {path: path.read_bytes() for path in paths.values()}

    def full_disk(self: Path, *args: Any, **kwargs: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(UserError, match="No space left on device"):
        write_report(build_table(table1, "camvid", []), tmp_path, "t")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_reports_bring_in_neither_torch_nor_pandas_nor_matplotlib() -> None:
    modules = ["build", "layout", "published", "records", "render_terminal", "table", "write"]
    code = (
        f"import sys, {', '.join(f'reports.{name}' for name in modules)}\n"
        "sys.exit(' '.join({'torch', 'pandas', 'matplotlib', 'mmengine'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
