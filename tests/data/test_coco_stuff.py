"""COCO-Stuff's layouts and its suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from images import label_array, photo_array, save

from harness.data.base import DataSet
from harness.data.class_names import read_classes
from harness.data.coco_stuff import CLASSES, LAYOUTS, CocoStuff
from harness.data.encode import Encoding, encode
from harness.data.roots import data_root
from harness.errors import UserError
from harness.registry import DATASETS, SUITES, lookup
from harness.suites.coco_stuff import coco_stuff

OFFICIAL = LAYOUTS[0]
SIZE = (24, 32)
layouts = pytest.mark.parametrize("which", range(len(LAYOUTS)), ids=["official", "coco_stuff_repository", "spade"])


def layout(root: Path, which: int = 0, count: int = 2, instances: bool = True) -> Path:
    """A few samples a split in one of the layouts."""
    rng = np.random.default_rng(0)
    labels, photos, maps = LAYOUTS[which]
    for split in ("train", "val"):
        for number in range(count):
            name = f"{number:012d}"
            save(root / labels.format(split=split) / f"{name}.png", label_array(rng, SIZE, 182, void=255))
            save(root / photos.format(split=split) / f"{name}.jpg", photo_array(rng, SIZE))
            if instances:
                save(root / maps.format(split=split) / f"{name}.png", label_array(rng, SIZE, 182, void=255))
    return root


@layouts
def test_every_layout_meets_the_contract_and_every_sample_encodes(tmp_path: Path, which: int):
    data = lookup(DATASETS, "coco_stuff")(layout(tmp_path, which), "val")
    assert isinstance(data, DataSet)
    assert data.names == ("000000000000", "000000000001")
    suite = coco_stuff()
    encoding = Encoding(data.classes, (16, 16), suite.unknown, suite.edges)
    assert (encoding.spec.classes, encoding.spec.channels) == (183, 184)
    for index in range(len(data)):
        encoded = encode(data.load(index), encoding)
        assert encoded.photo is not None
        assert encoded.edges is not None
        assert int(encoded.indices.max()) <= 182


@layouts
def test_every_layouts_folder_is_found_above_and_at_itself(tmp_path: Path, which: int):
    root = layout(tmp_path / "coco_stuff", which, count=1)
    assert data_root("coco_stuff", tmp_path) == data_root("coco_stuff", root) == root


def test_there_are_182_classes_and_255_is_void():
    assert (len(CLASSES), CLASSES.void, CLASSES) == (182, 255, read_classes("coco_stuff", 255))


def test_a_missing_folder_of_instance_maps_is_reported_unless_they_are_not_wanted(tmp_path: Path):
    root = layout(tmp_path, instances=False)
    with pytest.raises(
        UserError, match=r"instancemaps_trainval2017/val2017: no such folder .*docs/datasets.md"
    ) as caught:
        CocoStuff(root, "val")
    assert "\n" not in str(caught.value)
    assert CocoStuff(root, "val", instances=False).load(0).instance is None


def test_photos_can_be_left_out(tmp_path: Path):
    root = layout(tmp_path)
    for path in (root / "val2017").iterdir():
        path.unlink()
    assert CocoStuff(root, "val", with_photos=False).load(0).photo is None


def test_bad_files_are_reported_in_one_line(tmp_path: Path):
    root = layout(tmp_path)
    labels = root / OFFICIAL.labels.format(split="val")
    save(labels / "000000000000.png", np.full(SIZE, 182, np.uint8))
    save(labels / "000000000001.png", np.zeros((4, 4), np.uint8))
    data = CocoStuff(root, "val")
    with pytest.raises(UserError, match=r"000000000000\.png: label value 182 is out of range \(legal: 0 to 181 or 255"):
        data.load(0)
    with pytest.raises(UserError, match=r"000000000001\.png: label is 4x4 but photo is 32x24"):
        data.load(1)
    (root / "train2017" / "000000000001.jpg").unlink()
    with pytest.raises(UserError, match=r"000000000001\.png: this label has no photo"):
        CocoStuff(root, "train")


def test_an_unknown_split_and_a_missing_one_are_reported(tmp_path: Path):
    with pytest.raises(UserError, match=r"no split 'val2017' .*did you mean val\?"):
        CocoStuff(tmp_path, "val2017")
    with pytest.raises(UserError, match=r"no label folder for split 'val' .*stuffthingmaps_trainval2017/val2017"):
        CocoStuff(tmp_path, "val")


def test_the_suite_is_the_papers():
    suite = lookup(SUITES, "coco_stuff")()
    assert (suite.size, suite.augment.resize, suite.edges, suite.unknown) == ((256, 256), (286, 286), True, True)
    assert suite.schedule.iterations == 100 * (118_287 // suite.schedule.batch)
    assert (suite.protocol.class_mean, suite.protocol.segmenter) == ("present", "deeplabv2_coco_stuff")


def test_the_real_samples_load_and_encode_and_use_no_unlabelled_class(shared: Path):
    root, suite = shared / "data" / "coco_stuff_sample", coco_stuff()
    seen: set[int] = set()
    for split, count in (("train", 13), ("val", 8)):
        data = CocoStuff(root, split)
        assert len(data) == count
        encoding = Encoding(data.classes, suite.size, suite.unknown, suite.edges)
        for index in range(count):
            sample = data.load(index)
            seen |= set(np.unique(sample.label).tolist())
            assert encode(sample, encoding, photo=False).indices.shape == (256, 256)
    assert not seen & {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
    # A skier in the snow.
    label = CocoStuff(root, "val").load(1).label
    assert {"person", "skis", "snow"} <= {CLASSES.names[index] for index in np.unique(label) if index != 255}
