"""Official checkpoints on the command line, as a user gives them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.spade import SPADEGenerator
from harness.cli import app
from harness.errors import UserError
from harness.evaluation.places import Places
from harness.labels import LabelSpec
from harness.launch.cells.cell import checkpoint_classes
from harness.launch.scores.official_source import open_weights
from harness.official import Released
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


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """The words that name the suite of FEW and bring it."""
    path = tmp_path_factory.mktemp("few") / "official_few.py"
    path.write_text(FEW)
    return "--suite", "official_few", "--import", path


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


def test_an_official_file_scores_and_leaves_a_record_that_reports_read(
    spadebench: Command, few: tuple[Any, ...], tmp_path: Path
) -> None:
    path = release(tmp_path, LabelSpec(9), (64, 64), use_z=True)
    words = (*few, "--features", "none", "--out", tmp_path / "store", "--json")
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


def test_an_exported_official_file_is_the_official_file_still(spadebench: Command, tmp_path: Path) -> None:
    path, to = release(tmp_path, LabelSpec(9), (64, 64)), tmp_path / "net.safetensors"
    words = ("export", "--checkpoint", path, "--to", to)
    with pytest.raises(UserError, match="--suite"):
        spadebench(*words)
    with pytest.raises(UserError, match="suite camvid gives"):
        spadebench(*words, "--suite", "camvid")
    assert not to.exists()
    planned = json.loads(spadebench(*words, "--suite", "toyscapes", "--dry-run", "--json"))
    assert not to.exists()
    said = json.loads(spadebench(*words, "--suite", "toyscapes", "--json"))
    assert said == {**planned, "bytes": to.stat().st_size}
    assert (said["method"], said["suite"], said["size"]) == ("spade", "toyscapes", [64, 64])
    assert any("upsampling" in note for note in said["notes"])
    original, read = open_weights(path, "toyscapes", Places()), open_weights(to, None, Places())
    assert isinstance(original, Released)
    assert isinstance(read, Released)
    weights = read.networks["generator"]
    assert all(torch.equal(weights[key], value) for key, value in original.networks["generator"].items())
    assert weights.keys() == original.networks["generator"].keys()
    plain = {"networks": {}, "classes": {}}
    assert replace(read, **plain) == replace(original, **plain)
    assert checkpoint_classes(read) == checkpoint_classes(original)
    # An export of the export is one too, with no suite to name.
    spadebench("export", "-c", to, "--to", tmp_path / "again.safetensors")
    again = open_weights(tmp_path / "again.safetensors", None, Places())
    assert replace(again, networks={}) == replace(read, networks={})


def test_an_export_of_an_official_file_leaves_the_same_record(
    spadebench: Command, few: tuple[Any, ...], tmp_path: Path
) -> None:
    path, to = release(tmp_path, LabelSpec(9), (64, 64)), tmp_path / "net.safetensors"
    spadebench("export", "-c", path, "--to", to, *few)
    words = (*few, "--features", "none", "--out", tmp_path / "store", "--json")
    one, two = (json.loads(spadebench("evaluate", "--checkpoint", each, *words)) for each in (path, to))
    for key in ("id", "title", "seed", "source", "config", "scores", "notes"):
        assert one.get(key) == two.get(key), key


def test_a_network_of_ade20k_generates_from_its_real_label_maps(
    spadebench: Command, shared: Path, tmp_path: Path
) -> None:
    path = release(tmp_path, LabelSpec(151), (256, 256))
    words = ("--split", "val", "--data-root", shared / "data" / "ade20k_sample", "--to", tmp_path / "images", "--json")
    made = json.loads(spadebench("generate", "-c", path, "--suite", "ade20k", *words))["images"]
    assert [pixels(Path(each)).shape for each in made] == [(256, 256, 3)] * 3
