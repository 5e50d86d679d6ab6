"""Batches as a pure function of seed and number."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from images import folder_layout, label_array, photo_array

from harness.data.base import Classes, Sample
from harness.data.encode import Encoding, encode
from harness.data.folder import Folder
from harness.data.loading import Batch, SampleCache, TrainingBatches, scoring_batches, training_batches
from harness.errors import UserError

SIZE = (16, 24)


class Memory:
    """A data set in memory that counts its loads."""

    def __init__(self, count: int, photos: bool = True, broken: int | None = None) -> None:
        self.classes = Classes(tuple("abcde"), 255, ((0, 0, 0),) * 5)
        self.names = [f"{i:03d}" for i in range(count)]
        self.photos, self.broken = photos, broken
        self.loads: list[int] = []

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Sample:
        self.loads.append(index)
        if index == self.broken:
            raise UserError("broken", where=self.names[index])
        rng = np.random.default_rng(index)
        photo = photo_array(rng, SIZE)
        return Sample(self.names[index], label_array(rng, SIZE, 5, 255), photo if self.photos else None)

    def fingerprint(self) -> str:
        return ""

    def digests(self) -> list[str]:
        return self.names


def made(count: int = 11, *, batch: int = 4, seed: int = 7, rank: int = 0, world: int = 1, cache: int = 1 << 30):
    data = Memory(count)
    encoding = Encoding(data.classes, (8, 8))
    return TrainingBatches(
        data, encoding, batch=batch, seed=seed, resize=(10, 12), rank=rank, world=world, cache_bytes=cache
    )


def same(one: Batch, two: Batch) -> bool:
    return (
        one.names == two.names
        and torch.equal(one.labels.indices, two.labels.indices)
        and torch.equal(one.photos, two.photos)
    )


def test_a_batch_has_labels_photos_and_names():
    batch = made()[0]
    assert batch.labels.indices.shape == (4, 8, 8)
    assert batch.labels.spec.classes == 6
    assert batch.photos.shape == (4, 3, 8, 8)
    assert len(batch.names) == 4


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_resumed_run_sees_the_same_batches_whatever_the_workers(workers):
    whole = list(training_batches(made(), start=0, iterations=9))
    resumed = list(training_batches(made(), start=5, iterations=9, workers=workers))
    assert len(whole) == 9
    assert len(resumed) == 4
    assert all(same(a, b) for a, b in zip(whole[5:], resumed, strict=True))


@settings(max_examples=15, deadline=None)
@given(iteration=st.integers(0, 50), world=st.sampled_from([1, 2, 4]), seed=st.integers(0, 1000))
def test_the_parts_of_all_ranks_joined_are_the_batch_of_one_process(iteration, world, seed):
    whole = made(seed=seed)[iteration]
    parts = [made(seed=seed, rank=rank, world=world)[iteration] for rank in range(world)]
    assert [name for part in parts for name in part.names] == whole.names
    assert torch.equal(torch.cat([part.photos for part in parts]), whole.photos)
    assert torch.equal(torch.cat([part.labels.indices for part in parts]), whole.labels.indices)


def test_an_epoch_holds_no_sample_twice_and_epochs_differ():
    batches = made(count=11, batch=4)
    assert batches.per_epoch == 2
    epochs = [[name for i in (2 * e, 2 * e + 1) for name in batches[i].names] for e in range(6)]
    assert all(len(set(names)) == 8 for names in epochs)
    assert len({tuple(names) for names in epochs}) == 6
    assert len({name for names in epochs for name in names}) == 11


def test_seeds_give_other_orders_and_the_augmentation_changes_between_epochs():
    assert made(seed=1)[0].names != made(seed=2)[0].names
    batches = made(count=4, batch=4)
    by_name = [dict(zip(b.names, b.photos, strict=True)) for b in (batches[i] for i in range(6))]
    assert any(not torch.equal(by_name[0][name], later[name]) for later in by_name[1:] for name in later)


def test_a_data_set_smaller_than_a_batch_and_a_batch_that_does_not_divide_are_errors():
    with pytest.raises(UserError, match="a batch of 4 cannot be drawn from 3 samples"):
        made(count=3)
    with pytest.raises(UserError, match="does not divide over 3 processes"):
        made(world=3)


def test_training_without_photos_is_an_error():
    data = Memory(4, photos=False)
    with pytest.raises(UserError, match="has no photo"):
        TrainingBatches(data, Encoding(data.classes, (8, 8)), batch=2, seed=0)[0]


def test_the_cache_decodes_once_and_keeps_to_its_limit():
    batches = made(count=8, batch=4)
    for i in range(6):
        batches[i]
    data = batches.cache.dataset
    assert isinstance(data, Memory)
    assert sorted(data.loads) == list(range(8))
    sample_bytes = 16 * 24 * 4
    small = SampleCache(Memory(8), limit=3 * sample_bytes + 5)
    for index in [*range(8), *range(8)]:
        assert small.load(index).name == f"{index:03d}"
    assert small.held == 3 * sample_bytes
    assert isinstance(small.dataset, Memory)
    assert len(small.dataset.loads) == 13


def test_the_cache_changes_no_batch():
    assert all(same(made()[i], made(cache=0)[i]) for i in range(3))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_reaches_the_caller_at_its_batch(workers):
    data = Memory(6, broken=3)
    batches = scoring_batches(data, Encoding(data.classes, (8, 8)), batch=2, workers=workers)
    assert next(batches).names == ["000", "001"]
    with pytest.raises(UserError, match="003: broken"):
        next(batches)


def test_no_thread_is_left_when_the_reader_stops_early():
    before = threading.active_count()
    batches = training_batches(made(), start=0, iterations=1000, workers=2)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_scoring_goes_through_all_samples_in_order_with_native_labels_and_photos(tmp_path: Path):
    data = Folder(folder_layout(tmp_path, {"": 5}), "val")
    encoding = Encoding(data.classes, (8, 8))
    batches = list(scoring_batches(data, encoding, batch=2, workers=2))
    assert [b.names for b in batches] == [["000", "001"], ["002", "003"], ["004"]]
    sample = data.load(3)
    assert np.array_equal(batches[1].native[1], sample.label)
    assert batches[1].photos is not None
    assert np.array_equal(batches[1].photos[1], sample.photo)
    assert torch.equal(batches[1].labels.indices[1], encode(sample, encoding).indices)
    assert batches[2].labels.indices.shape == (1, 8, 8)


def test_scoring_works_on_label_maps_alone_with_edges_and_on_a_part(tmp_path: Path):
    root = folder_layout(tmp_path, {"": 5}, photos=False, instances=True)
    data = Folder(root, "val", with_photos=False)
    encoding = Encoding(data.classes, (8, 8), edges=True)
    batches = list(scoring_batches(data, encoding, batch=2, indices=range(1, 4)))
    assert [b.names for b in batches] == [["001", "002"], ["003"]]
    assert batches[0].photos is None
    assert batches[0].labels.edges is not None
    assert batches[0].labels.edges.any()
