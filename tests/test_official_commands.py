"""Official checkpoints on the command line, as a user gives them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.spade import SPADEGenerator
from harness.cli import app
from harness.labels import LabelSpec
from reports.records import read_records

pytestmark = pytest.mark.system
Command = Callable[..., str]
# Toyscapes with as many samples as a test needs.
FEW = """
from dataclasses import replace
from harness.registry import SUITES
from harness.suites.toyscapes import toyscapes

@SUITES.register_module(name="official_few")
def few():
    return replace(toyscapes(), name="official_few", data_options={"size": [64, 64], "seed": 0, "count": 3})
"""


@pytest.fixture
def spadebench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command, in this process, which has torch imported already; gives what it prints."""

    def run(*words: Any) -> str:
        monkeypatch.setattr(sys, "argv", ["spadebench", *map(str, words)])
        app(standalone_mode=False)
        return capsys.readouterr().out

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def release(folder: Path, labels: LabelSpec, size: tuple[int, int], **options: Any) -> Path:
    """A file as the official code writes it, but for its width: a bare state dict with its names."""
    net = SPADEGenerator(labels, size, ngf=1, norm={"name": "spade", "hidden": 4}, **options)
    net.initialise(torch.Generator().manual_seed(0))
    torch.save(net.state_dict(), folder / "latest_net_G.pth")
    return folder / "latest_net_G.pth"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_an_official_file_scores_and_leaves_a_record_that_reports_read(spadebench: Command, tmp_path: Path) -> None:
    path = release(tmp_path, LabelSpec(9), (64, 64), use_z=True)
    (tmp_path / "official_few.py").write_text(FEW)
    words = (
        "--suite",
        "official_few",
        "--import",
        tmp_path / "official_few.py",
        "--features",
        "none",
        "--out",
        tmp_path / "store",
        "--json",
    )
    record = json.loads(spadebench("evaluate", "--checkpoint", path, *words))
    assert (record["method"], record["seed"]) == ("spade_vae", None)
    assert record["title"] == "SPADE w/ encoder (latest_net_G.pth)"
    assert record["config"]["method"]["generator"]["ngf"] == 1
    assert "seed" not in record["config"]
    assert record["source"]["official"] is True
    assert record["cost"]["multiply_adds"] > 0
    assert record["cost"]["seconds_training"] is None
    notes = " ".join(record["notes"])
    for said in ("training data, seed and schedule unknown", "taken from suite official_few", "z is noise"):
        assert said in notes
    assert [r["id"] for r in read_records(tmp_path / "store")] == [record["id"]]


def test_an_official_file_generates_from_label_maps_alone(spadebench: Command, tmp_path: Path) -> None:
    path = release(tmp_path, LabelSpec(9), (64, 64))
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) % 9).save(tmp_path / "labels" / "a.png")
    words = ("--suite", "toyscapes", "--labels", tmp_path / "labels", "--to", tmp_path / "images")
    spadebench("generate", "--checkpoint", path, *words)
    assert pixels(tmp_path / "images" / "a.png").shape == (64, 64, 3)


def test_a_network_of_ade20k_generates_from_its_real_label_maps(
    spadebench: Command, shared: Path, tmp_path: Path
) -> None:
    path = release(tmp_path, LabelSpec(151), (256, 256))
    words = ("--split", "val", "--data-root", shared / "data" / "ade20k_sample", "--to", tmp_path / "images", "--json")
    made = json.loads(spadebench("generate", "-c", path, "--suite", "ade20k", *words))["images"]
    assert [pixels(Path(each)).shape for each in made] == [(256, 256, 3)] * 3
