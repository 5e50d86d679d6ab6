"""`harness.evaluate`: every form in which a program has its images gives one record."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import save
from PIL import Image
from scored_stubs import BRIGHTNESS, Means, ade_images, ade_labels, small_suite, timeless

import harness
from harness.errors import UserError
from reports.records import read_records

IMAGES = ade_images()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label files, a segmenter, and the images as files."""
    root = tmp_path_factory.mktemp("api")
    ade_labels(root / "gt")
    (root / "mine.py").write_text(BRIGHTNESS)
    for name, image in IMAGES.items():
        save(root / "made" / f"{name}.png", image)
    with zipfile.ZipFile(root / "made.zip", "w") as packed:
        for path in sorted((root / "made").iterdir()):
            packed.write(path, path.name)
    return root


def scored(images: Any, root: Path, **options: Any) -> dict[str, Any]:
    given = {"labels": root / "gt", "segmenter": f"py:{root / 'mine.py'}:brightness", "batch": 2, "device": "cpu"}
    return harness.evaluate(images, suite="ade20k", **{**given, **options})


def one_by_one() -> Iterator[np.ndarray]:
    yield from IMAGES.values()


def without_source(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what says in which form its images came."""
    found = {key: value for key, value in timeless(record).items() if key not in ("id", "source", "confusion")}
    assert record["id"] == f"{record['source']['id']}-{record['protocol']['hash']}"
    return found


def test_every_form_of_the_same_images_gives_the_same_record(root: Path) -> None:
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in IMAGES.values()]
    in_memory: list[Any] = [
        list(IMAGES.values()),
        np.stack(list(IMAGES.values())),
        one_by_one(),
        iter(IMAGES.items()),
        list(IMAGES.items())[::-1],
        {f"deep/{name}.jpg": image for name, image in IMAGES.items()},
        tensors,
        (Image.fromarray(image) for image in IMAGES.values()),
    ]
    records = [scored(images, root) for images in in_memory]
    records.append(scored(reversed(IMAGES.values()), root, names=list(IMAGES)[::-1]))
    assert len({record["id"] for record in records}) == 1
    assert all(timeless(record) == timeless(records[0]) for record in records)
    files = [scored(root / "made", root), scored(str(root / "made.zip"), root)]
    assert files[0]["id"] == files[1]["id"]
    assert all(without_source(record) == without_source(records[0]) for record in files)
    assert 0 < records[0]["scores"]["accuracy"] < 1


def test_several_protocols_are_scored_in_one_pass_and_come_by_name(root: Path) -> None:
    found = scored(one_by_one(), root, protocol=["native", "output-size", "mean-all"])
    assert set(found) == {"native", "output-size", "mean-all"}
    # On this suite that is one protocol.
    assert found["mean-all"] == found["native"]
    alone = scored(one_by_one(), root, protocol="output-size")
    assert timeless(alone) == timeless(found["output-size"])
    every = scored(one_by_one(), root, protocol=["all"])
    assert {"native", "spade-paper", "mean-union", "void-wrong", "fid-clean"} <= set(every)
    assert set(scored(one_by_one(), root, protocol="all")) == set(every)
    assert list(scored(one_by_one(), root, protocol=["native"])) == ["native"]


def test_nothing_is_written_but_where_out_says(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = scored(IMAGES, root)
    assert not list(tmp_path.iterdir())
    kept = scored(IMAGES, root, out="runs", title="ours")
    [stored] = read_records(tmp_path / "runs")
    assert stored == kept
    assert kept["title"] == "ours"
    assert kept["id"] == record["id"]
    assert (tmp_path / "runs" / "records" / kept["confusion"]).is_file()


def test_a_part_is_scored_only_when_allowed(root: Path) -> None:
    part = dict(list(IMAGES.items())[1:4])
    with pytest.raises(UserError, match="2 samples have no image: no image for ADE_val_00000000"):
        scored(part, root)
    record = scored(part, root, allow_partial=True)
    assert record["source"]["images"] == 3
    assert "data:gt3@" in record["protocol"]["signature"]


def test_photos_beside_the_labels_give_a_distance(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evaluation.bench.open_feature_net", lambda *_: Means())
    rng = np.random.default_rng(3)
    for path in (root / "gt").iterdir():
        with Image.open(path) as label:
            save(root / "photos" / f"{path.stem}.jpg", rng.integers(0, 256, (*label.size[::-1], 3)).astype(np.uint8))
    record = scored(IMAGES, root, photos=root / "photos", features=["toyscapes"])
    assert record["scores"]["fd_toyscapes"] > 0
    assert "ref:gt5@" in record["protocol"]["signature"]


@pytest.mark.parametrize(
    ("images", "options", "said"),
    [
        (IMAGES, {"fit": "bycubic"}, "unknown fit 'bycubic'"),
        (IMAGES, {"protocol": "nativ"}, "unknown protocol 'nativ'"),
        (IMAGES, {"protocol": []}, "no protocol is named"),
        (IMAGES, {"features": ["toyscapes"]}, "feature nets need photos"),
        (IMAGES, {"labels": None, "photos": "photos"}, "a folder of photos goes with a folder of label files"),
        (IMAGES, {"device": "gpu"}, "gpu"),
        ("nowhere", {}, "no such folder or archive"),
        ("nowhere", {"names": ["a"]}, "image files have names of their own"),
        (list(IMAGES.values())[:3], {}, "there are 3 images for 5 samples"),
        ([*IMAGES.values(), IMAGES["ADE_val_00000000"]], {}, "more images than the 5 samples"),
        ([image[:100] for image in IMAGES.values()], {}, "is 256x100, images of this suite are 256x256"),
        ([image / 255 for image in IMAGES.values()], {}, "must be made uint8 first"),
    ],
)
def test_bad_input_is_one_line(images: Any, options: dict[str, Any], said: str, root: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        scored(images, root, **options)
    assert "\n" not in str(caught.value)


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(UserError, match="unknown suite 'ade20'"):
        harness.evaluate([], suite="ade20")


def test_a_protocol_asked_for_by_name_is_found_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On toyscapes mean-union is native, by name or not."""
    monkeypatch.setattr("harness.cells.load_suite", lambda name: small_suite((64, 64)))
    images = [np.zeros((64, 64, 3), np.uint8)] * 12
    found = harness.evaluate(images, suite="toyscapes", protocol=["mean-union"], device="cpu")
    assert found["mean-union"]["protocol"]["name"] == "native"
