"""The real files at hand through every path from a file to a batch: 8 samples of COCO-Stuff, 3 of ADE20K."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from harness.cells import load_suite
from harness.data.base import DataSet, read_indices
from harness.data.encode import Encoding, augmented, encode
from harness.data.folder import Folder
from harness.data.loading import TrainingBatches, scoring_batches
from harness.data.pairs import PairedFiles, find_pairs
from harness.registry import DATASETS, lookup
from harness.suites.base import Suite


class Real(NamedTuple):
    data: PairedFiles
    suite: Suite
    encoding: Encoding


@pytest.fixture(scope="module", params=[("coco_stuff", 8), ("ade20k", 3)], ids=["coco_stuff", "ade20k"])
def real(request: pytest.FixtureRequest, shared: Path) -> Real:
    name, count = request.param
    suite = load_suite(name)
    data = lookup(DATASETS, suite.data)(shared / "data" / f"{name}_sample", "val")
    assert isinstance(data, DataSet)
    assert len(data) == count
    return Real(data, suite, Encoding(data.classes, suite.size, suite.unknown, suite.edges))


def test_every_sample_is_encoded_at_the_suites_size(real: Real):
    for index in range(len(real.data)):
        sample = real.data.load(index)
        assert sample.photo is not None
        assert sample.photo.shape == (*sample.label.shape, 3)
        encoded = encode(sample, real.encoding)
        assert encoded.photo is not None
        assert (encoded.indices.shape, encoded.photo.shape) == (real.suite.size, (3, *real.suite.size))
        assert (encoded.photo.min() >= -1, encoded.photo.max() <= 1, encoded.photo.std() > 0.1) == (True, True, True)
        assert 0 <= int(encoded.indices.min()) <= int(encoded.indices.max()) < real.encoding.spec.classes
        shift = 1 if real.suite.unknown == "first" else 0
        unknown = 0 if shift else len(real.data.classes)
        seen = {unknown if value == 255 else value + shift for value in np.unique(sample.label).tolist()}
        assert set(encoded.indices.unique().tolist()) <= seen
        assert (encoded.edges is not None) == real.suite.edges
        if encoded.edges is not None:
            assert 0 < float(encoded.edges.float().mean()) < 0.5


def test_training_batches_are_whole_and_the_same_every_time(real: Real):
    suite = real.suite
    assert suite.augment.resize == (286, 286)

    def made() -> TrainingBatches:
        return TrainingBatches(
            real.data, real.encoding, batch=2, seed=3, resize=suite.augment.resize, flip=suite.augment.flip
        )

    batches, again = made(), made()
    last = batches.per_epoch - 1
    one, two = batches[last], again[last]
    assert one.photos.shape == (2, 3, *suite.size)
    assert one.labels.one_hot().shape == (2, real.encoding.spec.channels, *suite.size)
    assert torch.equal(one.photos, two.photos)
    assert torch.equal(one.labels.indices, two.labels.indices)
    assert sorted(int(i) for i in batches.order(0)) == list(range(len(real.data)))


def test_augmentation_cuts_label_edges_and_photo_out_of_one_window(real: Real):
    sample, (height, width) = real.data.load(0), real.suite.size
    flipped = set()
    for seed in range(4):
        made = augmented(sample, real.encoding, resize=(286, 286), flip=True, rng=np.random.default_rng(seed))
        # The window and the side as they are drawn, so that all three parts must have come from it.
        rng = np.random.default_rng(seed)
        top, left, mirror = int(rng.integers(31)), int(rng.integers(31)), bool(rng.integers(2))
        flipped.add(mirror)
        whole = encode(sample, Encoding(real.data.classes, (286, 286), real.suite.unknown, real.suite.edges))
        for name in ("indices", "photo"):
            cut = getattr(whole, name)[..., top : top + height, left : left + width]
            assert torch.equal(getattr(made, name), cut.flip(-1) if mirror else cut)
        if made.edges is not None and whole.edges is not None:
            cut = whole.edges[top : top + height, left : left + width]
            inner = (slice(1, -1), slice(1, -1))  # at the border a crop has lost a neighbour
            assert torch.equal(made.edges[inner], (cut.flip(-1) if mirror else cut)[inner])
    assert flipped == {True, False}


def test_scoring_batches_carry_labels_and_photos_at_their_own_sizes_the_last_one_incomplete(real: Real):
    seen: list[str] = []
    for batch in scoring_batches(real.data, real.encoding, batch=5):
        assert batch.photos is not None
        for name, native, photo in zip(batch.names, batch.native, batch.photos, strict=True):
            pair = real.data.pairs[real.data.names.index(name)]
            assert np.array_equal(native, real.data.read_label(pair.label))
            assert photo.shape[:2] == native.shape
            seen.append(name)
        assert batch.labels.size == real.suite.size
    assert seen == list(real.data.names)


def test_fingerprint_and_digests_are_of_the_content(real: Real, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(real.data.root, copy)
    again = lookup(DATASETS, real.suite.data)(copy, "val")
    assert again.fingerprint() == real.data.fingerprint()
    assert again.digests() == real.data.digests()
    assert len(set(again.digests())) == len(again)
    again.pairs[0].photo.write_bytes(again.pairs[1].photo.read_bytes())
    assert again.fingerprint() != real.data.fingerprint()


def test_label_maps_alone_are_read_without_photos(real: Real):
    labels = real.data.pairs[0].label.parent
    alone = PairedFiles(labels, real.data.classes, find_pairs(labels, None, None), read_label=real.data.read_label)
    assert alone.names == real.data.names
    assert np.array_equal(alone.load(0).label, real.data.load(0).label)


def test_the_same_files_are_read_as_a_users_folder(shared: Path, tmp_path: Path):
    """COCO-Stuff's sample under a classes.yaml of its own, photos and instance maps named in it."""
    source = shared / "data" / "coco_stuff_sample"
    official = lookup(DATASETS, "coco_stuff")(source, "val")
    for kind in ("label", "img", "inst"):
        shutil.copytree(source / f"val_{kind}", tmp_path / f"val_{kind}")
    names = "".join(f"  - {name}\n" for name in official.classes.names)
    folders = "labels: '{split}_label'\nphotos: '{split}_img'\ninstances: '{split}_inst'\n"
    (tmp_path / "classes.yaml").write_text(f"void: 255\n{folders}names:\n{names}")
    mine = Folder(tmp_path, "val")
    assert mine.names == official.names
    assert mine.classes.names == official.classes.names
    for index in range(len(mine)):
        one, two = mine.load(index), official.load(index)
        for part in ("label", "photo", "instance"):
            assert np.array_equal(getattr(one, part), getattr(two, part))


def test_ade20ks_networks_read_the_raw_values_of_real_files(shared: Path):
    suite = load_suite("ade20k")
    data = lookup(DATASETS, "ade20k")(shared / "data" / "ade20k_sample", "val")
    for index in range(3):
        raw = read_indices(data.pairs[index].label, "label")
        encoding = Encoding(data.classes, raw.shape, suite.unknown, suite.edges)
        assert torch.equal(encode(data.load(index), encoding, photo=False).indices, torch.from_numpy(raw).long())
