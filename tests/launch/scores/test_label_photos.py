"""Labels of photos by a segmenter, as a data set of the kind folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from images import photo_array, save
from torch import Tensor

from harness.data.base import Classes, read_indices
from harness.data.encode import Encoding, encode
from harness.data.folder import Folder, distinct_colours
from harness.errors import UserError
from harness.launch.scores.label_photos import VOID, classes_of, label_photos
from harness.segmenters.base import Segmenter
from harness.segmenters.opening import open_segmenter
from harness.suites.landscapes import landscapes

THREE = Classes(("dark", "middle", "bright"), None, distinct_colours(3))


class Brightness:
    """Three classes by the red channel, and void (3, as nets with an output for it) where it is 255."""

    name, weights, classes = "brightness", "0123abcd", 3

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, images: Tensor) -> Tensor:
        self.asked += 1
        assert images.dtype == torch.float32
        red = images[:, 0]
        return torch.where(red == 255, 3, (red / 86).long())


def photos(root: Path, count: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for index in range(count):
        photo = photo_array(rng, (10 + index, 14))
        photo[0, :4, 0] = (0, 100, 200, 255)
        save(root / f"{index}.png", photo)
    return root


def test_photos_become_a_data_set_that_says_who_labelled_it(tmp_path: Path):
    assert isinstance(Brightness(), Segmenter)
    steps: list[tuple[int, int]] = []
    made = label_photos(
        photos(tmp_path / "flickr"), Brightness(), THREE, tmp_path / "set", "train",
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert (made.written, made.kept, made.labels_by) == (3, 0, "brightness@0123abcd")
    assert steps == [(1, 3), (2, 3), (3, 3)]
    data = Folder(tmp_path / "set", "train")
    assert data.labels_by == "brightness@0123abcd"
    assert (data.classes.names, data.classes.void, data.classes.palette) == (THREE.names, VOID, THREE.palette)
    assert data.names == ("0", "1", "2")
    for index in range(3):
        sample = data.load(index)
        assert sample.photo is not None
        assert sample.label[0, :4].tolist() == [0, 1, 2, VOID]
        assert np.array_equal(sample.label[1:], np.where(sample.photo == 255, VOID, sample.photo // 86)[1:, :, 0])
        source = tmp_path / "flickr" / f"{index}.png"
        assert (tmp_path / "set" / "photos" / "train" / f"{index}.png").read_bytes() == source.read_bytes()


def test_a_stopped_run_goes_on_and_makes_again_only_what_it_must(tmp_path: Path):
    source, to = photos(tmp_path / "flickr"), tmp_path / "set"
    label_photos(source, Brightness(), THREE, to)
    one = to / "labels" / "train" / "1.png"
    one.unlink()
    net = Brightness()
    made = label_photos(source, net, THREE, to)
    assert (made.written, made.kept, net.asked) == (1, 2, 1)
    assert one.is_file()
    # Another photo under the same name is labelled anew.
    save(source / "2.png", np.zeros((6, 6, 3), np.uint8))
    assert label_photos(source, net, THREE, to).written == 1
    assert len(Folder(to, "train").load(2).label) == 6
    assert label_photos(source, net, THREE, to, overwrite=True).written == 3


def test_photos_that_lie_in_place_are_not_copied_and_splits_share_a_description(tmp_path: Path):
    for split in ("train", "val"):
        folder = photos(tmp_path / "photos" / split)
        label_photos(folder, Brightness(), THREE, tmp_path, split)
        assert len(list(folder.iterdir())) == 3
        assert len(Folder(tmp_path, split)) == 3


def test_labels_of_two_makers_are_never_mixed(tmp_path: Path):
    source, to = photos(tmp_path / "flickr"), tmp_path / "set"
    label_photos(source, Brightness(), THREE, to)
    other = Brightness()
    other.weights = "ffff0000"
    with pytest.raises(UserError, match=r"labels are by brightness@0123abcd.*brightness@ffff0000 to another folder"):
        label_photos(source, other, THREE, to, "val", overwrite=True)
    (to / "classes.yaml").unlink()
    with pytest.raises(UserError, match="label maps without a description are here"):
        label_photos(source, Brightness(), THREE, to)


def test_more_than_255_classes_get_16_bits(tmp_path: Path):
    net = Brightness()
    net.classes = 300
    many = Classes(tuple(f"c{index}" for index in range(300)), None, distinct_colours(300))
    label_photos(photos(tmp_path / "flickr", 1), net, many, tmp_path / "set")
    values = read_indices(tmp_path / "set" / "labels" / "train" / "0.png", "label")
    assert values[0, 3] == 3
    assert Folder(tmp_path / "set", "train").classes.void == 65535


def test_bad_input_is_reported_before_anything_is_written(tmp_path: Path):
    source, to = photos(tmp_path / "flickr"), tmp_path / "set"
    two = Classes(("a", "b"), None, distinct_colours(2))
    with pytest.raises(UserError, match="segmenter brightness has 3 classes, 2 are named"):
        label_photos(source, Brightness(), two, to)
    with pytest.raises(UserError, match=r"'\.\./val' is no name of a split"):
        label_photos(source, Brightness(), THREE, to, "../val")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photo in this folder"):
        label_photos(tmp_path / "empty", Brightness(), THREE, to)
    assert not to.exists()
    (source / "1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.png: cannot read this photo file"):
        label_photos(source, Brightness(), THREE, to)


def test_an_answer_of_another_size_is_refused(tmp_path: Path):
    net = Brightness()
    net.predict = lambda images: torch.zeros(1, 2, 2, dtype=torch.int64)  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"answers \(2, 2\) for \(10, 14\) pixels"):
        label_photos(photos(tmp_path / "flickr", 1), net, THREE, tmp_path / "set")


def test_the_names_of_the_classes_come_from_the_suite_that_the_segmenter_scores(tmp_path: Path):
    assert len(classes_of("deeplabv2_coco_stuff", None)) == 182
    assert len(classes_of("upernet101_ade20k", None)) == 150  # of two suites with the same classes
    assert len(classes_of("drn_d_105_cityscapes", None)) == 19
    assert len(classes_of("upernet101_ade20k_multiscale", None)) == 150  # of a variant of the suite's protocol
    assert len(classes_of("onnx:net.onnx", "cityscapes")) == 19
    (tmp_path / "mine.yaml").write_text("names: [sky, rock]\n")
    assert classes_of("onnx:net.onnx", str(tmp_path / "mine.yaml")).names == ("sky", "rock")


@pytest.mark.parametrize(
    ("spec", "named", "message"),
    [
        ("onnx:net.onnx", None, r"no suite is scored by 'onnx:net\.onnx' \(--classes SUITE"),
        ("deeplab_coco", None, "unknown segmenter 'deeplab_coco'"),
        ("toyscapes", "landscapes", "suite 'landscapes' has no classes of its own"),
        ("toyscapes", "toyscape", "unknown suite 'toyscape'"),
        ("toyscapes", "none.yaml", r"none\.yaml: no such file"),
    ],
)
def test_unknown_classes_are_reported(spec: str, named: str | None, message: str):
    with pytest.raises(UserError, match=message):
        classes_of(spec, named)


def test_real_photos_are_labelled_and_encode_as_the_landscapes_suite_has_it(tmp_path: Path, shared: Path):
    net = open_segmenter("toyscapes", None, "cpu")
    source = shared / "data" / "ade20k_sample" / "images"
    made = label_photos(source, net, classes_of("toyscapes", None), tmp_path, "val")
    data, suite = Folder(tmp_path, "val"), landscapes()
    assert (made.written, data.labels_by) == (3, f"toyscapes@{net.weights}")
    encoding = Encoding(data.classes, suite.size, suite.unknown, suite.edges)
    assert all(encode(data.load(index), encoding).indices.shape == suite.size for index in range(3))


def test_the_suite_is_the_papers_but_for_the_number_of_photos():
    suite = landscapes()
    assert (suite.size, suite.edges, suite.unknown, suite.data) == ((256, 256), False, True, "folder")
    assert suite.schedule.iterations == 50 * (40_000 // suite.schedule.batch)
    assert suite.protocol.segmenter == "deeplabv2_coco_stuff"
