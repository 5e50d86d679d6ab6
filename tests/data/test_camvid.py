"""CamVid's layout, classes and splits."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from images import camvid_layout

from harness.data.base import DataSet
from harness.data.camvid import CLASSES, CamVid
from harness.errors import UserError
from harness.registry import DATASETS, lookup


def test_camvid_is_registered_and_meets_the_contract(tmp_path: Path):
    root = camvid_layout(tmp_path, {"train": 2})
    data = lookup(DATASETS, "camvid")(root, "train")
    assert isinstance(data, DataSet)
    assert data.names == ("train_000", "train_001")
    sample = data.load(1)
    assert (sample.name, sample.label.shape, sample.instance) == ("train_001", (36, 48), None)
    assert sample.photo is not None
    assert sample.photo.shape == (36, 48, 3)


def test_there_are_11_classes_in_segnets_order_and_11_is_void():
    assert len(CLASSES) == 11
    assert CLASSES.void == 11
    assert (CLASSES.names[0], CLASSES.names[3], CLASSES.names[10]) == ("sky", "road", "bicyclist")
    assert len(set(CLASSES.palette)) == 11


def test_label_maps_alone_can_be_opened_without_photos(tmp_path: Path):
    root = camvid_layout(tmp_path, {"test": 2})
    for path in (root / "test").iterdir():
        path.unlink()
    (root / "test").rmdir()
    assert CamVid(root, "test", with_photos=False).load(0).photo is None


def test_an_unknown_split_is_reported(tmp_path: Path):
    with pytest.raises(UserError, match=r"no split 'tests' .*did you mean test"):
        CamVid(camvid_layout(tmp_path, {"test": 1}), "tests")


def test_the_real_data_set_has_its_size_and_its_fingerprint_is_quick(shared: Path):
    sizes = [len(CamVid(shared / "data" / "camvid", split)) for split in ("train", "val", "test")]
    assert sizes == [367, 101, 233]
    data = CamVid(shared / "data" / "camvid", "test")
    start = time.perf_counter()
    assert data.fingerprint() == data.fingerprint()
    assert time.perf_counter() - start < 4
    sample = data.load(0)
    assert sample.label.shape == (360, 480)
    assert np.unique(sample.label).max() <= 11
