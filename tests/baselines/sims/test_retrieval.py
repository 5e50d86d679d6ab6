"""Retrieval is exact whatever it leaves out, and fast enough at the size of Cityscapes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baselines.sims import retrieval as module
from baselines.sims.bank import Bank, BankWriter, Layout
from baselines.sims.retrieval import Retrieval

SIZE = (16, 24)


def boxes(rng: np.random.Generator, count: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(count, h, w) masks of boxes, some of them equal, some with holes."""
    top, bottom = np.sort(rng.integers(0, size[0] + 1, (2, count)), axis=0)
    left, right = np.sort(rng.integers(0, size[1] + 1, (2, count)), axis=0)
    rows, columns = np.arange(size[0])[None, :, None], np.arange(size[1])[None, None]
    inside = (rows >= top[:, None, None]) & (rows < bottom[:, None, None])
    inside = inside & (columns >= left[:, None, None]) & (columns < right[:, None, None])
    masks = inside & (rng.random((count, *size)) < rng.choice([0.5, 1.0], (count, 1, 1)))
    masks[:, 0, 0] |= ~masks.any(axis=(1, 2))
    return masks[rng.integers(0, count, count)]


def by_hand(
    query: NDArray[np.bool_], which: int, masks: NDArray[np.bool_], classes: NDArray[np.int64], keep: int
) -> tuple[list[int], list[float]]:
    """Indices and IoU of the best, by comparing with every mask."""
    both, either = (masks & query).sum(axis=(1, 2)), (masks | query).sum(axis=(1, 2))
    scored = [(-both[i] / either[i], i) for i in np.flatnonzero(classes == which)]
    return [int(i) for _, i in sorted(scored)[:keep]], [float(-s) for s, _ in sorted(scored)[:keep]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 120), st.integers(1, 12), st.integers(1, 9))
def test_the_best_are_those_of_a_full_comparison(seed: int, count: int, keep: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    masks, classes = boxes(rng, count, SIZE), rng.integers(0, 3, count)
    with tempfile.TemporaryDirectory() as name:
        with BankWriter(Path(name), SIZE, 3, 0.0) as writer:
            writer.add(np.zeros((*SIZE, 3), dtype=np.uint8), writer.layout.packed(masks), classes)
        asked = Retrieval(Bank(Path(name), SIZE, 3, 0.0), keep)
        for query, which in zip(boxes(rng, 3, SIZE), range(3), strict=True):
            with mock.patch.object(module, "CHUNK", chunk):
                best, scores = asked.nearest(query, which)
            assert (best.tolist(), scores.tolist()) == by_hand(query, which, masks, classes, keep)
            again = asked.nearest(query, which)
            assert again[0] is best
            assert again[1] is scores


def test_most_masks_are_never_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = boxes(rng, 2000, SIZE)
    with BankWriter(tmp_path, SIZE, 1, 0.0) as writer:
        writer.add(np.zeros((*SIZE, 3), dtype=np.uint8), writer.layout.packed(masks), np.zeros(2000, dtype=np.int64))
    asked = Retrieval(Bank(tmp_path, SIZE, 1, 0.0), 10)
    read = mock.MagicMock(wraps=asked.bank.masks)
    read.__getitem__.side_effect = asked.bank.masks.__getitem__
    with mock.patch.object(asked.bank, "masks", read):
        asked.nearest(masks[0], 0)
    assert sum(len(call.args[0][0]) for call in read.__getitem__.call_args_list) < 300


MAPS, SEGMENTS, CLASSES, CITY = 2975, 12, 19, (256, 512)


def between(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(S, h) first and last columns of each row -> packed masks, with no mask of pixels on the way."""
    starts = np.arange(0, CITY[1], 64)
    full = np.uint64(2**64 - 1)

    def below(column: NDArray[np.int64]) -> NDArray[np.uint64]:
        bits = np.clip(column[..., None] - starts, 0, 64).astype(np.uint64)
        return np.where(bits == 64, full, (np.uint64(1) << (bits % 64)) - np.uint64(1))

    return (below(np.maximum(left, right)) & ~below(left)).reshape(len(left), -1)


def city(rng: np.random.Generator) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Packed masks and classes of a map's segments: boxes, ellipses and slanted halves, over 1000 pixels each."""
    rows = np.arange(CITY[0])[None]
    centre = rng.integers(40, CITY[0] - 40, (SEGMENTS, 1)), rng.integers(60, CITY[1] - 60, (SEGMENTS, 1))
    reach = rng.integers(18, 60, (SEGMENTS, 1)), rng.integers(18, 150, (SEGMENTS, 1))
    offset = np.abs(rows - centre[0]) / reach[0]
    kind = np.arange(SEGMENTS)[:, None] % 3
    half = np.where(kind == 0, offset < 1, np.sqrt(np.clip(1 - offset**2, 0, None))) * reach[1]
    left, right = centre[1] - half, centre[1] + half
    slanted = centre[1] + (rows - centre[0]) * rng.uniform(-1, 1, (SEGMENTS, 1))
    left, right = np.where(kind == 2, slanted, left), np.where(kind == 2, CITY[1], right)
    words = between(*(np.clip(side, 0, CITY[1]).astype(np.int64) for side in (left, right)))
    return words, rng.integers(0, CLASSES, SEGMENTS)


@pytest.mark.parametrize("maps", [200, pytest.param(MAPS, marks=pytest.mark.system)])
def test_a_map_is_answered_in_seconds(tmp_path: Path, maps: int) -> None:
    rng = np.random.default_rng(0)
    layout, blank = Layout(CITY), np.zeros((*CITY, 3), dtype=np.uint8)
    with BankWriter(tmp_path, CITY, CLASSES, 0.0) as writer:
        for many in [25] * (maps // 25):  # to a photo: fewer photos, no fewer segments
            words, classes = zip(*(city(rng) for _ in range(many)), strict=True)
            writer.add(blank, np.concatenate(words), np.concatenate(classes))
    began = time.perf_counter()
    asked = Retrieval(Bank(tmp_path, CITY, CLASSES, 0.0), 10)
    opened = time.perf_counter() - began
    packed, asked_classes = city(rng)
    queries = layout.unpacked(packed)
    began = time.perf_counter()
    answers = [asked.nearest(query, int(which)) for query, which in zip(queries, asked_classes, strict=True)]
    answered = time.perf_counter() - began
    print(f"{len(asked.bank)} segments: opened in {opened:.4f} s, a map answered in {answered:.3f} s")
    (tmp_path / "masks.npy").unlink()  # pytest keeps its folders, and this is 590 MB at full size
    assert len(asked.bank) == maps * SEGMENTS
    assert all(len(best) == 10 for best, _ in answers)
    assert min(int(mask.sum()) for mask in queries) > 1000
    assert opened < 1
    assert answered < 5
