"""The memory of SIMS: what goes in comes out, it is never whole in RAM, and a broken one is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.sims.bank import Bank, Layout, build_bank
from baselines.sims.segments import MIN_SHARE, find_contacts, find_segments
from harness.errors import UserError
from harness.method import MemorySample

SIZE = (48, 72)


class Streamed(Sequence[MemorySample]):
    """Samples that are made when they are asked for."""

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        self.count, self.size = count, size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[MemorySample]:
        return (self[i] for i in range(self.count))

    def __getitem__(self, index: int) -> MemorySample:  # type: ignore[override]  # no slices: one pass
        self.asked.append(index)
        indices = torch.full(self.size, index % 3, dtype=torch.int64)
        return MemorySample(str(index), indices, torch.full((3, *self.size), index % 256, dtype=torch.uint8))


@pytest.fixture
def folder(tmp_path: Path, samples_of: Callable[..., list[MemorySample]]) -> Path:
    build_bank(samples_of(6, *SIZE), tmp_path, SIZE, 5, MIN_SHARE)
    return tmp_path


def test_a_bank_gives_back_the_segments_and_photos_it_was_made_of(
    folder: Path, samples_of: Callable[..., list[MemorySample]]
) -> None:
    bank = Bank(folder, SIZE, 5, MIN_SHARE)
    at = 0
    for image, sample in enumerate(samples_of(6, *SIZE)):
        found = find_segments(sample.indices.numpy(), MIN_SHARE)
        for number, mask in zip(found.kept, found.masks(found.kept), strict=True):
            assert np.array_equal(bank.mask(at), mask)
            assert np.array_equal(bank.photo(at), sample.photo.permute(1, 2, 0).numpy())
            assert (bank.classes[at], bank.images[at], bank.areas[at]) == (found.classes[number], image, mask.sum())
            assert int(bank.counts[at].sum()) == mask.sum()
            at += 1
    assert at == len(bank) > 12


def test_photos_and_masks_stay_on_disk(folder: Path) -> None:
    bank = Bank(folder, SIZE, 5, MIN_SHARE)
    for array in (bank.photos, bank.masks, bank.counts):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_building_asks_for_each_sample_once_and_keeps_none(tmp_path: Path) -> None:
    size, count = (64, 128), 200
    samples, told = Streamed(count, size), []
    tracemalloc.start()
    build_bank(samples, tmp_path, size, 3, MIN_SHARE, lambda done, total: told.append((done, total)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples.asked == list(range(count))
    assert told == [(i + 1, count) for i in range(count)]
    assert peak < count * size[0] * size[1] * 3 / 4
    bank = Bank(tmp_path, size, 3, MIN_SHARE)
    assert [int(bank.photo(i)[0, 0, 0]) for i in range(count)] == list(range(count))


def test_a_bank_without_a_segment_opens(tmp_path: Path) -> None:
    noise = torch.arange(64 * 64).view(64, 64) % 2 ^ (torch.arange(64) % 2)[:, None]
    build_bank([MemorySample("x", noise, torch.zeros(3, 64, 64, dtype=torch.uint8))], tmp_path, (64, 64), 2, MIN_SHARE)
    assert len(Bank(tmp_path, (64, 64), 2, MIN_SHARE)) == 0


@pytest.mark.parametrize("name", ["meta.json", "photos.npy", "masks.npy", "counts.npy", "classes.npy"])
@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_a_broken_bank_is_one_clear_line(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "foreign" and name == "meta.json":
        path.write_text("[1, 2]", encoding="utf-8")
    elif damage == "foreign":
        np.save(path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match=r"remove the folder") as caught:
        Bank(folder, SIZE, 5, MIN_SHARE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "classes", "share", "message"),
    [((64, 64), 5, MIN_SHARE, "another size"), (SIZE, 6, MIN_SHARE, "another classes"), (SIZE, 5, 0.1, "min_share")],
)
def test_a_bank_of_other_maps_is_refused(
    folder: Path, size: tuple[int, int], classes: int, share: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Bank(folder, size, classes, share)


def test_samples_of_another_size_and_no_samples_are_refused(
    tmp_path: Path, samples_of: Callable[..., list[MemorySample]]
) -> None:
    with pytest.raises(UserError, match="sample '0' is not of 64x32"):
        build_bank(samples_of(1, *SIZE), tmp_path, (32, 64), 5, MIN_SHARE)
    with pytest.raises(UserError, match="no training photo"):
        build_bank([], tmp_path, SIZE, 5, MIN_SHARE)


@given(st.integers(1, 20), st.integers(1, 150), st.integers(0, 99))
def test_packing_loses_nothing(height: int, width: int, seed: int) -> None:
    masks = np.random.default_rng(seed).random((3, height, width)) < 0.5
    layout = Layout((height, width))
    words = layout.packed(masks)
    assert words.shape == (3, layout.words)
    assert np.array_equal(layout.unpacked(words), masks)
    assert np.array_equal(layout.counts(words).sum(axis=1), masks.sum(axis=(1, 2)))


@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 4), st.floats(0, 0.5), st.integers(0, 99))
def test_segments_are_the_connected_parts_of_classes(
    height: int, width: int, classes: int, share: float, seed: int
) -> None:
    indices = np.random.default_rng(seed).integers(0, classes, (height, width))
    found = find_segments(indices, share)
    assert np.array_equal(found.classes[found.numbers], indices)
    assert np.array_equal(np.bincount(found.numbers.ravel()), found.areas)
    assert found.kept.tolist() == [i for i, area in enumerate(found.areas) if area > share * height * width]
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        same = indices[one] == indices[other]
        assert np.array_equal(found.numbers[one] == found.numbers[other], same)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_contacts_are_the_sides_between_components(height: int, width: int, seed: int) -> None:
    numbers = find_segments(np.random.default_rng(seed).integers(0, 3, (height, width)), 0.0).numbers
    contacts = find_contacts(numbers)
    lines = [*numbers.tolist(), *numbers.T.tolist()]
    sides = {(min(a, b), max(a, b)) for line in lines for a, b in pairwise(line) if a != b}
    assert [tuple(pair) for pair in contacts.pairs.tolist()] == sorted(sides)
    assert np.array_equal(np.sort(numbers.ravel()[contacts.sides], axis=0).T, contacts.pairs[contacts.pair])
