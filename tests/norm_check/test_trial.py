"""`spadebench validate-norm` from the checks to the page, on a small suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import harness.norm_check
from harness.cli import app

pytestmark = pytest.mark.system
SUITE = """
from dataclasses import replace
from harness.registry import SUITES
from harness.suites.base import Schedule
from harness.suites.toyscapes import toyscapes

@SUITES.register_module(name="toyscapes_trial")
def few():
    own = toyscapes()
    return replace(
        own,
        name="toyscapes_trial",
        title="Few",
        data_options={"size": [64, 64], "seed": 0, "count": 16},
        threads=1,
        scaled={},
        schedule=Schedule(iterations=2, batch=2),
        overrides={**own.overrides, "generator.ngf": 4, "discriminator.ndf": 4},
    )
"""


def test_a_norm_is_checked_trained_against_rivals_and_judged(tmp_path: Path) -> None:
    suite, norm, out = tmp_path / "toyscapes_trial_suite.py", tmp_path / "norm_of_trial.py", tmp_path / "out"
    suite.write_text(SUITE)
    # Read and not imported: it registers its names.
    text = Path(harness.norm_check.__file__).with_name("template.py").read_text(encoding="utf-8")
    norm.write_text(text.replace("my_norm", "norm_of_trial"))
    words = ["validate-norm", f"{norm}:MyNorm", "--suite", "toyscapes_trial", "--import", str(suite), "--against"]
    words += ["batch", "--seeds", "2", "--no-compile", "--repeats", "1", "--resamples", "1000", "--out", str(out)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "not shown to differ from batch by 2 seeds" in " ".join(done.output.split())
    page = json.loads((out / "reports" / "norm-norm_of_trial-toyscapes_trial.json").read_text())
    assert [row["title"] for row in page["verdict"]["rows"]] == ["norm_of_trial", "batch"]
    assert page["verdict"]["unit"] == "seeds × images"
    assert page["checks"]["ok"]
    before = sorted(path.stat().st_mtime_ns for path in out.glob("records/*.json"))
    assert len(before) == 4
    again = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert json.loads(again.stdout)["verdict"]["sentence"] == page["verdict"]["sentence"]
    assert sorted(path.stat().st_mtime_ns for path in out.glob("records/*.json")) == before
