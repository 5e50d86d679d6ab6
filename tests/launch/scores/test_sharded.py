"""Scoring shared out over the processes of a torchrun, on CPUs through gloo: the scores of one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scored_stubs import command, same_confusion, sharded_suite, timeless

from harness.data.encode import resized_photo
from harness.data.toyscapes import Toyscapes
from harness.metrics.confusion import Confusion

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[3]
PLUGIN = """
from harness.registry import SUITES
from scored_stubs import sharded_suite
SUITES.register_module(name="sharded")(sharded_suite)
"""


def words(root: Path, out: str, batch: int) -> list[str]:
    """The command: two protocols, and a store (and a cache) of its own."""
    asked = ["evaluate", "--suite", "sharded", "--images", root / "images", "--protocol", "native,mean-all"]
    return [str(word) for word in (*asked, "--halves", 5, "--batch", batch, "--out", root / out, "--json")]


def torchrun(root: Path, processes: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [*start, "--master-port", str(port), "-m", "harness.cli", *words, "--import", str(root / "plugin.py")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def by_name(printed: str) -> dict[str, dict[str, Any]]:
    return {record["protocol"]["name"]: record for record in json.loads(printed)["records"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite as a plugin, and images that are its photos with noise."""
    root = tmp_path_factory.mktemp("sharded")
    (root / "plugin.py").write_text(PLUGIN)
    (root / "images").mkdir()
    dataset = Toyscapes(None, "val", **sharded_suite().data_options)
    rng = np.random.default_rng(0)
    for index, name in enumerate(dataset.names):
        photo = dataset.load(index).photo
        assert photo is not None
        noisy = np.clip(resized_photo(photo, (32, 32)) + rng.normal(0, 20, (32, 32, 3)), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(root / "images" / f"{name}.png")
    return root


@pytest.mark.parametrize(
    ("processes", "batch"), [(2, 8), (3, 128)], ids=["two processes", "fewer batches than processes"]
)
def test_several_processes_score_as_one(
    root: Path, processes: int, batch: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.cells.load_suite", lambda name: sharded_suite())
    code, out, err = command(monkeypatch, capsys, *words(root, f"one_{batch}", batch))
    assert code == 0, err
    one = by_name(out)
    done = torchrun(root, processes, words(root, f"several_{batch}", batch))
    several = by_name(done.stdout)  # what one process alone has printed
    assert done.stderr.count("scoring: ") == 1, done.stderr
    assert set(one) == set(several) == {"native", "mean-all"}
    for name, wanted in one.items():
        found = several[name]
        a, b = (Confusion.load(root / f"{who}_{batch}" / "records" / wanted["confusion"]) for who in ("one", "several"))
        assert same_confusion(a, b)
        assert len(a) == 150
        for key in ("fd_toyscapes", "kd_toyscapes"):
            value, alone = found["scores"].pop(key), wanted["scores"].pop(key)
            assert value == pytest.approx(alone, rel=1e-6, abs=0)
            assert alone > 1e-4
        spread, alone = found.pop("spread")["fd_toyscapes"], wanted.pop("spread")["fd_toyscapes"]
        assert spread == pytest.approx(alone, rel=1e-6, abs=0)
        assert (spread["halves"], spread["images"]) == (5, 75)
        assert timeless(found) == timeless(wanted)
    # One file for all protocols and processes.
    assert len(list((root / f"several_{batch}" / "cache").iterdir())) == 1
