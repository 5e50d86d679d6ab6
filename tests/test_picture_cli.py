"""`spadebench figure comparison` and `figure failures`, on checkpoints and records as `run` leaves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from scored_stubs import CPU, command, small_suite
from small import SMALL, SMALL_SET

from harness.cells import load_suite, resolve
from harness.data.base import Classes, Sample
from harness.data.toyscapes import Toyscapes
from harness.evaluation.bench import open_bench
from harness.evaluation.places import Places
from harness.launch.cells.cell import Machine, score_cell
from harness.metrics.confusion import Confusion
from harness.metrics.telling import most_telling, scores_by_image
from harness.records import Store
from harness.registry import SUITES
from harness.training.checkpoints import Checkpoint, save_checkpoint
from harness.training.loop import suite_encoding
from harness.training.networks import build_generator

METHODS = ("spade", "pix2pixhd")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def fewer() -> Iterator[None]:
    """Toyscapes with 16 scored samples."""
    suite = small_suite((64, 64), 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SUITES, "_module_dict", {**SUITES.module_dict, "toyscapes": lambda: suite})
        yield


@pytest.fixture(scope="module")
def made(fewer: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with checkpoints and records of two methods that nobody trained."""
    store, suite = Store(tmp_path_factory.mktemp("store")), load_suite("toyscapes")
    bench = open_bench(suite, Places(), CPU, features=[])
    classes = bench.dataset.classes
    stored = {"names": list(classes.names), "void": classes.void, "palette": [list(c) for c in classes.palette]}
    for number, method in enumerate(METHODS):
        cell = resolve(method, suite, overrides=SMALL)
        torch.manual_seed(number)
        encoding = suite_encoding(cell.config, classes)
        state = build_generator(cell.config, encoding.spec, encoding.size).state_dict()
        made = Checkpoint(cell.config, 6, {"generator": state}, {}, 1.0, 0, "", stored, "", {"processes": 1})
        path = save_checkpoint(store.cell_folder(cell.id) / "checkpoints", made, keep=1)
        score_cell(cell, path, bench, store, Machine(CPU))
    return store.root


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: Path, tmp_path: Path) -> Run:
    """figure KIND on table1 with more words; --to tmp_path/f."""

    def call(kind: str, *words: Any, out: Path = made) -> tuple[int, str, str]:
        fixed = ("figure", kind, "table1", "--suite", "toyscapes", *SMALL_SET, "--out", out, "--to", tmp_path / "f")
        return command(monkeypatch, capsys, *fixed, *words)

    return call


@pytest.fixture
def refused(run: Run, tmp_path: Path) -> Callable[..., str]:
    """The one line of an error, after which nothing is written."""

    def call(*words: Any, **where: Any) -> str:
        code, out, err = run(*words, **where)
        lines = [line for line in err.splitlines() if line.startswith("spadebench: error:")]
        assert (code, out, len(lines)) == (2, "", 1), err
        assert not list(tmp_path.glob("f*"))
        return lines[0]

    return call


TWO = ("--methods", "spade,pix2pixhd")


def confusion_of(store: Path, method: str) -> tuple[dict[str, Any], Confusion]:
    records = [json.loads(path.read_text()) for path in (store / "records").glob("*.json")]
    (record,) = [one for one in records if one["method"] == method]
    return record, Confusion.load(store / "records" / record["confusion"])


def test_telling_images_are_picked_by_the_rule_and_shown_with_their_scores(run: Run, made: Path, tmp_path: Path):
    code, out, err = run("comparison", *TWO, "--samples", "telling:3", "--by", "accuracy", "--scores", "--json")
    assert code == 0, err
    found = json.loads(out)
    sides = [scores_by_image(confusion_of(made, method)[1]) for method in METHODS]
    picked = most_telling(sides, 3, "accuracy")
    assert [one["name"] for one in found["samples"]] == [one.name for one in picked]
    assert [one["spread"] for one in found["samples"]] == [one.spread for one in picked]
    where = sides[0].names.index(picked[0].name)
    accuracies = [each["accuracy"] for each in found["samples"][0]["scores"].values()]
    assert accuracies == [float(side.accuracy[where]) for side in sides]
    assert found["picked_by"] == "accuracy"
    drawn = (tmp_path / "f.svg").read_text()
    assert "Seed 0, 6 iterations." in drawn
    assert "segmentation: " in drawn
    assert f"picked {picked[0].name}: accuracy {100 * picked[0].spread:.1f} points apart" in err
    assert {path.suffix for path in tmp_path.glob("f.*")} == {".pdf", ".png", ".svg"}
    again = (tmp_path / "f.png").read_bytes()
    assert run("comparison", *TWO, "--samples", "telling:3", "--by", "accuracy", "--scores")[0] == 0
    assert (tmp_path / "f.png").read_bytes() == again


def test_a_comparison_of_named_samples_needs_no_records(run: Run, made: Path, tmp_path: Path):
    shutil.copytree(made / "cells", tmp_path / "store" / "cells")
    words = ("comparison", *TWO, "--samples", "val_00007,val_00003", "--generated-only", "--format", "png", "--json")
    code, out, err = run(*words, out=tmp_path / "store")
    assert code == 0, err
    found = json.loads(out)
    assert [one["name"] for one in found["samples"]] == ["val_00007", "val_00003"]
    assert found["records"] == {}
    assert [path.name for path in tmp_path.glob("f.*")] == ["f.png"]


def test_failures_are_the_worst_images_of_a_class_and_read_as_they_were_scored(run: Run, made: Path, tmp_path: Path):
    words = ("failures", "--method", "SPADE", "--classes", "sky,tree", "--worst", 3, "--json")
    code, out, err = run(*words)
    assert code == 0, err
    found = json.loads(out)
    record, stored = confusion_of(made, "spade")
    assert found["record"] == record["id"]
    of = scores_by_image(stored)
    for one in found["images"]:
        place, index = of.names.index(one["name"]), of.classes.index(one["class"])
        assert (one["iou"], one["share"]) == (of.iou[place, index], of.share[place, index])
        better = of.iou[of.share[:, index] >= 0.01, index]
        assert (better < one["iou"]).sum() < 3
    assert [one["class"] for one in found["images"]] == ["sky"] * 3 + ["tree"] * 3
    assert "read differently" not in err
    drawn = (tmp_path / "f.svg").read_text()
    assert "Seed 0, 6 iterations." in drawn
    assert "segmentation: " in drawn
    assert len(list(tmp_path.glob("f.*"))) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("comparison", *TWO, "--samples", "val_000077"), "no sample 'val_000077' (did you mean val_0000"),
        (("comparison", *TWO, "--samples", "telling:none"), "'none' is no number of images"),
        (("comparison", *TWO, "--samples", "telling:17"), "choose 1 to 16"),
        (("comparison", *TWO, "--by", "iou"), "--by: unknown value 'iou'"),
        (("comparison", *TWO, "--width", "x"), "'x' is no width"),
        (("comparison", "--methods", "spade", "--samples", "telling:2"), "here is one (name two methods"),
        (("comparison", *TWO, "--seed", "1"), "has no checkpoint (train it: spadebench run table1"),
        (("comparison", *TWO, "--seed", "1", "--scores"), "row 'spade' has no record (run: spadebench run table1"),
        (("failures", "--method", "spad"), "no row is called 'spad' (did you mean spade"),
        (("failures", "--method", "sims"), "row 'sims' has no record (run: spadebench run table1"),
        (("failures", "--method", "spade", "--classes", "trees"), "no class 'trees' (did you mean tree?"),
        (("failures", "--method", "spade", "--classes", "boat", "--share", "0.9"), "has 90 % of class 'boat'"),
        (("failures", "--method", "spade", "--classes", "0"), "choose 1 or more"),
    ],
)
def test_bad_words_are_refused_in_one_line(refused: Callable[..., str], words: tuple[str, ...], says: str):
    assert says in refused(*words)


def test_what_is_missing_beside_a_record_is_said(refused: Callable[..., str], made: Path, tmp_path: Path):
    shutil.copytree(made / "records", tmp_path / "store" / "records")
    line = refused("failures", "--method", "spade", out=tmp_path / "store")
    assert "has no checkpoint (train it: spadebench run table1 --suite toyscapes --methods spade" in line
    assert line.endswith("--out again; then draw with --out again)")
    line = refused("comparison", *TWO, out=tmp_path / "store")
    assert line.endswith("--out again; then draw with --out again)")
    record, _ = confusion_of(made, "spade")
    (tmp_path / "store" / "records" / record["confusion"]).unlink()
    assert "its per-image confusion is not there" in refused("failures", "--method", "spade", out=tmp_path / "store")
    assert "confusion is not there" in refused("comparison", *TWO, "--scores", out=tmp_path / "store")


def test_rows_of_two_protocols_are_not_compared(refused: Callable[..., str], made: Path, tmp_path: Path):
    shutil.copytree(made / "records", tmp_path / "store" / "records")
    record, _ = confusion_of(made, "spade")
    record["protocol"]["segmentation"]["hash"] = "0" * 12
    (tmp_path / "store" / "records" / f"{record['id']}.json").write_text(json.dumps(record))
    assert "scored by different protocols" in refused("comparison", *TWO, "--scores", out=tmp_path / "store")


def test_data_without_colours_or_photos_is_refused(
    refused: Callable[..., str], made: Path, monkeypatch: pytest.MonkeyPatch
):
    load = Toyscapes.load

    def without(self: Toyscapes, index: int) -> Sample:
        sample = load(self, index)
        return Sample(sample.name, sample.label, None, sample.instance)

    with monkeypatch.context() as patch:
        patch.setattr(Toyscapes, "load", without)
        assert "without a photo (add --generated-only)" in refused("comparison", *TWO)
        scored = confusion_of(made, "spade")[0]["provenance"]["data"]["scored"]
        patch.setattr(Toyscapes, "fingerprint", lambda _: scored)
        assert "has no photo" in refused("failures", "--method", "spade")
    plain = Classes(Toyscapes.classes.names, Toyscapes.classes.void, ())
    monkeypatch.setattr(Toyscapes, "classes", plain)
    assert "0 colours for 9 classes" in refused("comparison", *TWO)
