"""ADE20K's layout, its shifted labels, and its suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from images import label_array, photo_array, save

from harness.data.ade20k import CLASSES, Ade20k
from harness.data.base import DataSet, read_indices
from harness.data.encode import Encoding, encode
from harness.data.roots import data_root
from harness.data.scored import scored_classes, scored_label
from harness.errors import UserError
from harness.registry import DATASETS, SUITES, lookup
from harness.suites.ade20k import ade20k


def layout(root: Path, count: int = 2) -> Path:
    """The challenge's layout, a few samples a split; the first label map of a split holds 0, 1 and 150."""
    rng = np.random.default_rng(0)
    for folder, short in (("training", "train"), ("validation", "val")):
        for number in range(1, count + 1):
            name = f"ADE_{short}_{number:08d}"
            label = label_array(rng, (24, 32), 151)
            label[:2, :3] = (0, 1, 150)
            save(root / "annotations" / folder / f"{name}.png", label)
            save(root / "images" / folder / f"{name}.jpg", photo_array(rng, (24, 32)))
    return root


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_meets_the_contract_and_every_sample_encodes(tmp_path: Path, split: str):
    data = lookup(DATASETS, "ade20k")(layout(tmp_path), split)
    assert isinstance(data, DataSet)
    assert data.names == (f"ADE_{split}_00000001", f"ADE_{split}_00000002")
    suite = ade20k()
    encoding = Encoding(data.classes, (16, 16), suite.unknown, suite.edges)
    assert encoding.spec.channels == 151
    for index in range(len(data)):
        encoded = encode(data.load(index), encoding)
        assert encoded.photo is not None
        assert 0 <= int(encoded.indices.min()) <= int(encoded.indices.max()) <= 150


def test_labels_are_the_files_values_less_one_and_0_is_void(tmp_path: Path):
    sample = Ade20k(layout(tmp_path), "val").load(0)
    assert sample.label[0, :3].tolist() == [255, 0, 149]
    assert (len(CLASSES), CLASSES.void, CLASSES.names[0], CLASSES.names[149]) == (150, 255, "wall", "flag")


def test_the_suites_networks_read_the_files_own_values(tmp_path: Path):
    data, suite = Ade20k(layout(tmp_path), "val"), ade20k()
    raw = read_indices(tmp_path / "annotations" / "validation" / f"{data.names[0]}.png", "label")
    encoding = Encoding(data.classes, raw.shape, suite.unknown, suite.edges)
    assert torch.equal(encode(data.load(0), encoding).indices, torch.from_numpy(raw).long())


def test_scores_are_counted_over_the_classes_themselves(tmp_path: Path):
    data = Ade20k(layout(tmp_path), "val")
    label = data.load(0).label
    assert scored_classes(data) is data.classes
    assert scored_label(data, label) is label


def test_a_value_above_150_is_reported(tmp_path: Path):
    path = layout(tmp_path) / "annotations" / "validation" / "ADE_val_00000002.png"
    save(path, np.full((24, 32), 151, np.uint8))
    with pytest.raises(UserError, match=r"ADE_val_00000002\.png: label value 151 is out of range \(legal: 1 to 150"):
        Ade20k(tmp_path, "val").load(1)


def test_an_unknown_split_and_a_missing_partner_are_reported(tmp_path: Path):
    root = layout(tmp_path)
    with pytest.raises(UserError, match="ade20k has no split 'validate'"):
        Ade20k(root, "validate")
    (root / "images" / "training" / "ADE_train_00000001.jpg").unlink()
    with pytest.raises(UserError, match=r"ADE_train_00000001\.png: this label has no photo"):
        Ade20k(root, "train")
    assert Ade20k(root, "train", with_photos=False).load(0).photo is None


@pytest.mark.parametrize("marker", ["index_ade20k.mat", "ADE20K_2016_07_26", "images/training/a/abbey/x_seg.png"])
def test_the_full_release_is_refused_in_one_line(tmp_path: Path, marker: str):
    path = tmp_path / marker
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.write_bytes(b"")
    else:
        path.mkdir()
    with pytest.raises(UserError, match=r"full release .* not supported .*ADEChallengeData2016") as caught:
        Ade20k(tmp_path, "train")
    assert "\n" not in str(caught.value)


def test_flat_folders_are_split_by_file_name(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in ("ADE_train_00000001", "ADE_val_00000001", "ADE_val_00000002"):
        save(tmp_path / "annotations" / f"{name}.png", label_array(rng, (8, 8), 151))
        save(tmp_path / "images" / f"{name}.jpg", photo_array(rng, (8, 8)))
    assert (len(Ade20k(tmp_path, "train")), len(Ade20k(tmp_path, "val"))) == (1, 2)
    assert data_root("ade20k", tmp_path) == tmp_path


def test_the_folder_is_found_above_and_at_itself(tmp_path: Path):
    root = layout(tmp_path / "ade20k")
    assert data_root("ade20k", tmp_path) == data_root("ade20k", root) == root


def test_the_suite_is_the_papers():
    suite = lookup(SUITES, "ade20k")()
    assert (suite.size, suite.augment.resize, suite.edges, suite.unknown) == ((256, 256), (286, 286), False, "first")
    assert suite.schedule.iterations == 200 * (20_210 // suite.schedule.batch)
    assert (suite.protocol.class_mean, suite.protocol.segmenter) == ("all", "upernet101_ade20k")


def test_the_real_samples_load_and_encode(shared: Path):
    data, suite = Ade20k(shared / "data" / "ade20k_sample", "val"), ade20k()
    encoding = Encoding(data.classes, suite.size, suite.unknown, suite.edges)
    first = data.load(0)
    assert first.label.shape == (512, 683)
    found = {data.classes.names[index] for index in np.unique(first.label) if index != 255}
    assert {"wall", "building", "sky"} <= found
    for index in range(3):
        assert encode(data.load(index), encoding).indices.shape == (256, 256)
    with pytest.raises(UserError, match="no file ADE_train_"):
        Ade20k(shared / "data" / "ade20k_sample", "train")
