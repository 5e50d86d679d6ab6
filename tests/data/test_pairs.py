"""Pairing label maps with photos and instance maps by file name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from images import camvid_layout, folder_layout, save

from harness.data.camvid import CamVid
from harness.data.folder import Folder
from harness.data.pairs import find_pairs
from harness.errors import UserError

GREY = np.zeros((4, 4), np.uint8)


def test_pairs_are_sorted_by_name_extensions_ignore_case_and_hidden_files_are_left_out(tmp_path: Path):
    for name in ("b.PNG", "a.png", ".hidden.png", "c.png"):
        save(tmp_path / "labels" / name, GREY)
    for name in ("c.JPeG", "a.png", "b.jpg", ".DS_Store.png"):
        save(tmp_path / "photos" / name, GREY)
    (tmp_path / "photos" / "notes.txt").write_text("not a photo")
    pairs = find_pairs(tmp_path / "labels", tmp_path / "photos", None)
    assert [(p.name, p.label.name, p.photo and p.photo.name) for p in pairs] == [
        ("a", "a.png", "a.png"),
        ("b", "b.PNG", "b.jpg"),
        ("c", "c.png", "c.JPeG"),
    ]


@pytest.mark.parametrize(
    ("gone", "left", "missing"), [("val", "label", "photo"), ("valannot", "photo", "label")], ids=["photo", "label"]
)
def test_a_missing_partner_is_reported_when_the_data_set_is_opened(tmp_path: Path, gone, left, missing):
    root = camvid_layout(tmp_path, {"val": 3})
    (root / gone / "val_001.png").unlink()
    with pytest.raises(UserError, match=f"val_001.png: this {left} has no {missing}"):
        CamVid(root, "val")


def test_a_missing_instance_map_is_reported(tmp_path: Path):
    root = folder_layout(tmp_path, {"train": 2}, instances=True)
    (root / "instances" / "train" / "train001.png").unlink()
    with pytest.raises(UserError, match="this label has no instance"):
        Folder(root, "train")


@pytest.mark.parametrize(("emptied", "kind"), [("val", "photo"), ("valannot", "label")])
def test_an_empty_folder_is_reported(tmp_path: Path, emptied, kind):
    root = camvid_layout(tmp_path, {"val": 2})
    for path in (root / emptied).iterdir():
        path.unlink()
    with pytest.raises(UserError, match=f"{emptied}: no {kind} file in this folder"):
        CamVid(root, "val")


def test_two_files_of_one_name_are_reported(tmp_path: Path):
    root = camvid_layout(tmp_path, {"val": 2})
    save(root / "val" / "val_000.jpg", GREY)
    with pytest.raises(UserError, match="two photo files of one name"):
        CamVid(root, "val")


def test_content_is_checked_when_a_sample_is_loaded(tmp_path: Path):
    root = camvid_layout(tmp_path, {"val": 3})
    save(root / "valannot" / "val_000.png", np.full((36, 48), 12, np.uint8))
    save(root / "valannot" / "val_001.png", np.zeros((20, 30), np.uint8))
    cut = root / "val" / "val_002.png"
    cut.write_bytes(cut.read_bytes()[:500])
    data = CamVid(root, "val")
    with pytest.raises(UserError, match=r"val_000\.png: label value 12 is out of range \(legal: 0 to 10 or 11"):
        data.load(0)
    with pytest.raises(UserError, match=r"val_001\.png: label is 30x20 but photo is 48x36"):
        data.load(1)
    with pytest.raises(UserError, match=r"val_002\.png: cannot read this photo file"):
        data.load(2)


def test_an_instance_map_of_another_size_is_reported(tmp_path: Path):
    root = folder_layout(tmp_path, {"train": 1}, instances=True)
    save(root / "instances" / "train" / "train000.png", np.zeros((3, 3), np.uint16))
    with pytest.raises(UserError, match="instance map is 3x3 but label is 32x24"):
        Folder(root, "train").load(0)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path):
    one = CamVid(camvid_layout(tmp_path / "a", {"val": 2}), "val").fingerprint()
    assert CamVid(camvid_layout(tmp_path / "b", {"val": 2}), "val").fingerprint() == one
    assert CamVid(camvid_layout(tmp_path / "c", {"val": 2}, seed=1), "val").fingerprint() != one
    assert CamVid(tmp_path / "a", "val", with_photos=False).fingerprint() != one


def test_digests_find_a_sample_under_another_name_and_folder(tmp_path: Path):
    root = camvid_layout(tmp_path, {"train": 3, "val": 2})
    for folder in ("", "annot"):
        content = (root / f"train{folder}" / "train_001.png").read_bytes()
        (root / f"val{folder}" / "val_001.png").write_bytes(content)
    train, val = CamVid(root, "train").digests(), CamVid(root, "val").digests()
    assert (len(set(train)), len(set(val))) == (3, 2)
    assert set(train) & set(val) == {train[1]} == {val[1]}


def test_a_file_that_goes_missing_while_open_is_reported(tmp_path: Path):
    data = CamVid(camvid_layout(tmp_path, {"val": 2}), "val")
    (tmp_path / "val" / "val_001.png").unlink()
    for read in (data.fingerprint, data.digests, lambda: data.load(1)):
        with pytest.raises(UserError, match=r"val_001\.png"):
            read()
