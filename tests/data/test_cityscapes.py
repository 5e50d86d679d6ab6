"""Cityscapes' layout, its 35 labels of which 19 are scored, and its suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from images import photo_array, save
from numpy.typing import NDArray
from torch import Tensor

from harness.data.base import DataSet
from harness.data.cityscapes import CLASSES, SCORED_CLASSES, TO_SCORED, Cityscapes, train_ids_to_label_ids
from harness.data.encode import Encoding, encode
from harness.data.roots import data_root
from harness.data.scored import scored_classes, scored_label
from harness.errors import UserError
from harness.evaluation.one_pass import Plan, Reading, Settings, one_pass
from harness.evaluation.sources import PhotoSource
from harness.metrics.confusion import scores
from harness.registry import DATASETS, SUITES, lookup
from harness.suites.cityscapes import cityscapes

CITIES = {"train": ("bochum", "aachen"), "val": ("lindau",)}
SIZE = (16, 32)


def layout(root: Path, count: int = 2) -> Path:
    """The official layout: every labelId from 0 to 33 in every label map, instance ids as the data set's."""
    rng = np.random.default_rng(0)
    for split, cities in CITIES.items():
        for city in cities:
            for frame in range(count):
                name = f"{city}_000000_{frame:06d}"
                label = np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE) % 34
                instance = label.astype(np.uint16)
                instance[label >= 24] = instance[label >= 24] * 1000 + 7
                save(root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", label)
                save(root / "gtFine" / split / city / f"{name}_gtFine_instanceIds.png", instance)
                save(root / "gtFine" / split / city / f"{name}_gtFine_color.png", photo_array(rng, SIZE))
                save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", photo_array(rng, SIZE))
    return root


def files(root: Path) -> tuple[Path, Path, Path]:
    """Label, instance and photo of the first sample of val."""
    start = "lindau/lindau_000000_000000_"
    fine = root / "gtFine" / "val"
    return (
        fine / f"{start}gtFine_labelIds.png",
        fine / f"{start}gtFine_instanceIds.png",
        root / "leftImg8bit" / "val" / f"{start}leftImg8bit.png",
    )


@pytest.mark.parametrize(("split", "count"), [("train", 4), ("val", 2)])
def test_it_meets_the_contract_and_every_sample_encodes(tmp_path: Path, split: str, count: int):
    data = lookup(DATASETS, "cityscapes")(layout(tmp_path), split)
    assert isinstance(data, DataSet)
    assert len(data) == count
    assert list(data.names) == sorted(data.names)
    assert data.names[-1].endswith("_000000_000001_leftImg8bit")
    suite = cityscapes()
    encoding = Encoding(data.classes, (8, 16), suite.unknown, suite.edges)
    assert (encoding.spec.classes, encoding.spec.channels) == (35, 36)
    for index in range(count):
        encoded = encode(data.load(index), encoding)
        assert encoded.photo is not None
        assert encoded.edges is not None
        assert bool(encoded.edges.any())


def test_class_indices_are_label_ids_and_the_licence_plate_is_the_last(tmp_path: Path):
    label_file, _, _ = files(layout(tmp_path))
    assert Cityscapes(tmp_path, "val").load(0).label.max() == 33
    label = np.zeros(SIZE, np.uint8)
    label[0, :2] = (255, 26)
    save(label_file, label)
    found = Cityscapes(tmp_path, "val").load(0).label
    assert [CLASSES.names[index] for index in found[0, :3]] == ["license plate", "car", "unlabeled"]
    assert CLASSES.void is None


def test_instance_ids_keep_their_16_bits(tmp_path: Path):
    instance = Cityscapes(layout(tmp_path), "val").load(0).instance
    assert instance is not None
    assert instance.max() == 33007


def test_scores_are_counted_over_19_classes_and_the_rest_is_void(tmp_path: Path):
    data = Cityscapes(layout(tmp_path), "val")
    label = data.load(0).label
    classes, wanted = scored_classes(data), scored_label(data, label)
    assert (len(classes), classes.void) == (19, 255)
    assert wanted.shape == label.shape
    for index, name in enumerate(data.classes.names[:34]):
        there = np.unique(wanted[label == index]).tolist()
        assert there == ([classes.names.index(name)] if name in classes.names else [255])


def test_the_fingerprint_covers_the_way_to_the_scored_classes(tmp_path: Path):
    data = Cityscapes(layout(tmp_path), "val")
    before = data.fingerprint()
    assert before == Cityscapes(tmp_path, "val").fingerprint()
    table = TO_SCORED.copy()
    table[[11, 12]] = table[[12, 11]]
    data.to_scored = table
    assert data.fingerprint() != before
    data.to_scored = TO_SCORED
    data.scored_classes = type(CLASSES)(SCORED_CLASSES.names[::-1], 255, SCORED_CLASSES.palette)
    assert data.fingerprint() != before
    assert Cityscapes(tmp_path, "val").fingerprint() == before


def test_train_ids_and_label_ids_go_both_ways(tmp_path: Path):
    train_ids = np.append(np.arange(19), 255)
    label_ids = train_ids_to_label_ids(train_ids)
    # The benchmark's own ids: 7 road, 8 sidewalk, 11 building, …, 33 bicycle; unlabeled for void.
    wanted = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33, 0]
    assert (label_ids.dtype, label_ids.tolist()) == (np.uint8, wanted)
    assert np.array_equal(TO_SCORED[label_ids], train_ids)
    # Predictions written as labelIds and read again as a data set's labels are the same predictions.
    label_file, _, _ = files(layout(tmp_path))
    predicted = np.resize(train_ids, SIZE)
    save(label_file, train_ids_to_label_ids(predicted))
    data = Cityscapes(tmp_path, "val")
    assert np.array_equal(scored_label(data, data.load(0).label), predicted)


@pytest.mark.parametrize("value", [-1, 19, 254, 256])
def test_what_is_no_train_id_is_refused(value: int):
    with pytest.raises(UserError, match=f"{value} is no trainId of cityscapes"):
        train_ids_to_label_ids(np.array([[0, value]]))


class AlwaysRight:
    """A segmenter of the 19 classes that knows the label, and says road where nothing is scored."""

    name, weights, classes = "right", "0", 19

    def __init__(self, label: NDArray[np.integer]) -> None:
        self.answer = torch.from_numpy(np.where(label == 255, 0, label).astype(np.int64))

    def predict(self, images: Tensor) -> Tensor:
        return self.answer.expand(len(images), -1, -1)


def test_the_one_pass_counts_over_the_19_classes(tmp_path: Path):
    data, suite = Cityscapes(layout(tmp_path), "val"), cityscapes()
    wanted = scored_label(data, data.load(0).label)
    encoding = Encoding(data.classes, (8, 16), suite.unknown, suite.edges)
    source, device = PhotoSource("photos"), torch.device("cpu")
    reading = Reading(AlwaysRight(wanted), suite.protocol)
    passed = one_pass(source, data, encoding, Plan({reading.key: reading}, []), Settings(device))
    confusion = passed.confusions[reading.key]
    assert confusion.classes == scored_classes(data).names
    found = scores(confusion.total(), suite.protocol.class_mean)
    assert (found["miou"], found["accuracy"]) == (1.0, 1.0)
    assert found["accuracy_void_wrong"] == pytest.approx((wanted != 255).mean())


def test_a_data_set_with_void_may_have_fewer_scored_classes_too(tmp_path: Path):
    data = Cityscapes(layout(tmp_path), "val")
    data.classes = type(CLASSES)(CLASSES.names, 40, CLASSES.palette)
    assert scored_label(data, np.array([[7, 40, 0]])).tolist() == [[0, 255, 255]]


def test_photos_and_instance_maps_can_be_left_out(tmp_path: Path):
    _, instance_file, photo_file = files(layout(tmp_path))
    instance_file.unlink()
    photo_file.unlink()
    sample = Cityscapes(tmp_path, "val", with_photos=False, instances=False).load(0)
    assert (sample.photo, sample.instance) == (None, None)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (0, r"leftImg8bit\.png: this photo has no label"),
        (1, r"labelIds\.png: this label has no instance"),
        (2, r"labelIds\.png: this label has no photo"),
    ],
    ids=["label", "instance", "photo"],
)
def test_a_missing_file_is_reported_when_the_data_set_is_opened(tmp_path: Path, gone: int, message: str):
    files(layout(tmp_path))[gone].unlink()
    with pytest.raises(UserError, match=message) as caught:
        Cityscapes(tmp_path, "val")
    assert "\n" not in str(caught.value)


def test_illegal_labels_and_broken_files_are_reported_in_one_line(tmp_path: Path):
    label_file, _, photo_file = files(layout(tmp_path))
    photo_file.write_bytes(photo_file.read_bytes()[:60])
    with pytest.raises(UserError, match="cannot read this photo file"):
        Cityscapes(tmp_path, "val").load(0)
    save(label_file, np.full(SIZE, 77, np.uint8))
    with pytest.raises(UserError, match=r"labelIds\.png: label value 77 is out of range \(legal: 0 to 34\)"):
        Cityscapes(tmp_path, "val").load(0)


def test_a_split_without_labels_and_empty_folders_are_reported(tmp_path: Path):
    with pytest.raises(UserError, match="cityscapes has no split 'test' with labels"):
        Cityscapes(layout(tmp_path / "a"), "test")
    with pytest.raises(UserError, match="no such label folder"):
        Cityscapes(tmp_path, "val")
    (tmp_path / "gtFine" / "val" / "lindau").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no label file in the city folders .*_gtFine_labelIds\.png"):
        Cityscapes(tmp_path, "val")


def test_the_folder_is_found_above_and_at_itself(tmp_path: Path):
    root = layout(tmp_path / "cityscapes", count=1)
    assert data_root("cityscapes", tmp_path) == data_root("cityscapes", root) == root


def test_the_suite_is_the_papers():
    suite = lookup(SUITES, "cityscapes")()
    assert (suite.size, suite.augment.resize, suite.edges, suite.unknown) == ((256, 512), None, True, False)
    assert suite.schedule.iterations == 200 * (2_975 // suite.schedule.batch)
    assert suite.overrides == {"generator.upsampling": "more"}
    assert (suite.protocol.class_mean, suite.protocol.segmenter) == ("union", "drn_d_105_cityscapes")
