"""`generate --samples`, `generate --style` and `sampling` on small nets whose weights let z be seen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import photo_array, save
from PIL import Image
from small import SMALL

from harness.cells import load_suite, resolve
from harness.cli import main
from harness.data.toyscapes import CLASSES
from harness.registry import import_plugin
from harness.training.checkpoints import Checkpoint, save_checkpoint
from harness.training.loop import suite_encoding
from harness.training.networks import build_networks

SUITE = """
from dataclasses import replace
from harness.registry import SUITES
from harness.suites.toyscapes import toyscapes

@SUITES.register_module(name="toyscapes_of_six")
def toyscapes_of_six():
    return replace(
        toyscapes(), name="toyscapes_of_six", threads=1, data_options={"size": [64, 64], "seed": 0, "count": 6}
    )
"""
Run = Callable[..., str]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that brings a suite of six samples a split."""
    path = tmp_path_factory.mktemp("plugin") / "toyscapes_of_six.py"
    path.write_text(SUITE, encoding="utf-8")
    import_plugin(str(path))
    return path


def made(method: str, folder: Path, **changes: Any) -> Path:
    """A checkpoint of a small cell whose weights are large enough for z to colour the image."""
    overrides = {**SMALL, "schedule.iterations": 2, **changes}
    cell = resolve(method, load_suite("toyscapes_of_six"), overrides=overrides)
    networks = build_networks(cell.config, suite_encoding(cell.config, CLASSES).spec)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for network in networks.named().values():
            for parameter in network.parameters():
                parameter.normal_(0, 0.3, generator=rng)
    states = {name: network.state_dict() for name, network in networks.named().items()}
    provenance = {"versions": {}, "hardware": {}, "git_commit": None, "processes": 1}
    checkpoint = Checkpoint(cell.config, 2, states, {}, 1.0, 1, "data", asdict(CLASSES), "", provenance)
    return save_checkpoint(folder, checkpoint, keep=1)


@pytest.fixture(scope="module")
def with_z(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("spade_vae", tmp_path_factory.mktemp("with_z"), **{"encoder.ndf": 4})


@pytest.fixture(scope="module")
def without_z(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("spade", tmp_path_factory.mktemp("without_z"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; returns what it prints, or the one line of bad input."""

    def command(*words: Any, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["spadebench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        if code == 0:
            return out
        lines = [line for line in err.splitlines() if line.startswith("spadebench: error:")]
        assert len(lines) == 1, err
        return lines[0]

    return command


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        save(tmp_path / "labels" / f"{name}.png", rng.integers(9, size=(64, 64), dtype=np.uint8))
    return tmp_path / "labels"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def generate(checkpoint: Path, labels: Path, to: Path, *words: Any) -> tuple[Any, ...]:
    return ("generate", "-c", checkpoint, "--labels", labels, "--to", to, "--device", "cpu", "--json", *words)


def test_samples_differ_and_the_first_is_what_generate_makes(
    run: Run, with_z: Path, labels: Path, tmp_path: Path
) -> None:
    words = generate(with_z, labels, tmp_path / "many", "--samples", 3)
    planned = json.loads(run(*words, "--dry-run"))["images"]
    assert not (tmp_path / "many").exists()
    images = json.loads(run(*words))["images"]
    assert images == planned
    assert [Path(i).name for i in images] == [f"{n}_{i:02}.png" for n in "ab" for i in range(3)]
    run(*generate(with_z, labels, tmp_path / "one"))
    for name in "ab":
        first, *others = (pixels(tmp_path / "many" / f"{name}_{i:02}.png").astype(float) for i in range(3))
        np.testing.assert_array_equal(first, pixels(tmp_path / "one" / f"{name}.png"))
        assert all(np.abs(first - other).mean() > 1 for other in others)
    # The batch has no say in an image's z.
    run(*generate(with_z, labels, tmp_path / "again", "--samples", 3, "--batch", 1))
    assert np.abs(pixels(tmp_path / "again" / "b_02.png").astype(int) - pixels(Path(images[-1]))).max() <= 1


def test_a_style_is_a_photos_and_the_same_whatever_the_seed(
    run: Run, with_z: Path, labels: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    styles = [
        save(tmp_path / "styles" / f"{name}.png", photo_array(rng, (20, 30)) // d)
        for name, d in zip("xy", (1, 4), strict=True)
    ]
    images = json.loads(run(*generate(with_z, labels, tmp_path / "folder", "--style", tmp_path / "styles")))["images"]
    assert [Path(i).name for i in images] == [f"{n}__{s}.png" for n in "ab" for s in "xy"]
    run(*generate(with_z, labels, tmp_path / "one", "--style", styles[1], "--seed", 7))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["a.png", "b.png"]
    np.testing.assert_array_equal(pixels(tmp_path / "one" / "b.png"), pixels(Path(images[3])))
    assert (pixels(Path(images[2])) != pixels(Path(images[3]))).any()


def test_what_cannot_be_sampled_or_styled_gets_one_line(
    run: Run, with_z: Path, without_z: Path, labels: Path, tmp_path: Path
) -> None:
    photo = save(tmp_path / "photo.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:30])
    (tmp_path / "empty").mkdir()
    content = torch.load(with_z, weights_only=True)
    del content["networks"]["encoder"]
    bare = tmp_path / "iteration_00000002.pt"
    torch.save(content, bare)
    to = tmp_path / "to"
    assert "takes no z" in run(*generate(without_z, labels, to, "--samples", 2), code=2)
    assert "takes no z" in run(*generate(without_z, labels, to, "--style", photo), code=2)
    assert "has no encoder" in run(*generate(bare, labels, to, "--style", photo), code=2)
    assert "broken.png" in run(*generate(with_z, labels, to, "--style", tmp_path / "broken.png"), code=2)
    assert "no such style photo" in run(*generate(with_z, labels, to, "--style", tmp_path / "none.png"), code=2)
    assert "no photo in this folder" in run(*generate(with_z, labels, to, "--style", tmp_path / "empty"), code=2)
    assert "one of them" in run(*generate(with_z, labels, to, "--style", photo, "--samples", 2), code=2)
    assert not to.exists()
    words = ("--suite", "toyscapes_of_six", "--label-maps", 2, "--samples", 2, "--device", "cpu")
    assert "takes no z" in run("sampling", "-c", without_z, *words, code=2)
    words = ("--suite", "toyscapes_of_six", "--label-maps", 20, "--samples", 2, "--device", "cpu")
    assert "choose from 2 to 6" in run("sampling", "-c", with_z, *words, code=2)
    assert "choose from 2 to 6" in run("sampling", "-c", with_z, *words, "--label-maps", 1, code=2)
    # Without --label-maps a split smaller than the default is taken as a whole.
    shown = run("sampling", "-c", bare, *words[:2], "--samples", 2, "--device", "cpu", "--features", "none")
    assert "2 samples of 6 maps" in shown
    assert "no encoder, so no style" in shown


def test_sampling_leaves_the_same_json_twice(run: Run, with_z: Path, plugin: Path, tmp_path: Path) -> None:
    words = ("sampling", "-c", with_z, "--suite", "toyscapes_of_six", "--samples", 3)
    words = (*words, "--label-maps", 4, "--device", "cpu", "--import", plugin)
    first = run(*words, "--json", "--to", tmp_path / "record.json")
    assert run(*words, "--json") == first == (tmp_path / "record.json").read_text(encoding="utf-8")
    record = json.loads(first)
    assert record["protocol"]["signature"].startswith("suite:toyscapes_of_six data:val6@")
    assert record["seeds"] == {"training": 0, "noise": 0}
    assert record["label_maps"] == ["val_00000", "val_00001", "val_00003", "val_00004"]
    assert record["diversity"]["features"][0]["samples"] > 0
    assert len(record["layout"]["miou"]) == 3
    assert record["style"]["pairs"] == 4

    single = json.loads(run(*words, "--json", "--batch", 1))
    for part in ("diversity", "layout", "style"):
        assert numbers(single[part]) == pytest.approx(numbers(record[part]), rel=1e-5, abs=1e-5)
    shown = run(*words)
    assert f"{100 * record['layout']['mean']:.2f} %" in shown
    assert f"protocol: {record['protocol']['signature']}\n" in shown


def test_two_label_maps_leave_out_the_other_style_with_a_note(run: Run, with_z: Path, plugin: Path) -> None:
    words = ("sampling", "-c", with_z, "--suite", "toyscapes_of_six", "--samples", 2, "--label-maps", 2)
    words = (*words, "--device", "cpu", "--features", "none", "--import", plugin)
    record = json.loads(run(*words, "--json"))
    assert record["style"]["other_style"] is None
    (note,) = (note for note in record["notes"] if "another photo" in note)
    shown = run(*words)
    assert f"note: {note}" in shown
    assert "random z" in shown
    assert "other style" not in shown


def numbers(value: Any) -> list[float]:
    """The numbers in nested values, in their order."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [number for one in inner for number in numbers(one)]
    return [float(value)] if isinstance(value, int | float) else []


def test_the_help_of_sampling_has_an_example(run: Run) -> None:
    assert "spadebench sampling" in run("sampling", "--help")
