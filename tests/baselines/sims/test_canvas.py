"""The canvas: order, rims, elided boundaries, and what is stencilled out of a photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.sims.bank import Bank, build_bank
from baselines.sims.canvas import back_to_front, cut_out, elided, pasted, warped
from baselines.sims.retrieval import Retrieval
from baselines.sims.segments import MIN_SHARE, find_contacts, find_segments
from baselines.sims.simulate import SELF, simulate, stencilled
from harness.method import MemorySample

IDENTITY = torch.eye(2, 3)[None]


@given(st.permutations(range(7)), st.integers(0, 999))
def test_every_order_that_can_be_kept_is_kept(hidden: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = np.array([(a, b) for a in range(7) for b in range(a + 1, 7) if rng.random() < 0.6]).reshape(-1, 2)
    front = [hidden.index(a) > hidden.index(b) for a, b in pairs]
    order = back_to_front(7, pairs, front, rng.integers(0, 3, 7).tolist())
    assert sorted(order) == list(range(7))
    assert all((order.index(a) > order.index(b)) == first for (a, b), first in zip(pairs, front, strict=True))


def test_without_a_word_on_it_the_larger_lies_behind_and_circles_end() -> None:
    assert back_to_front(3, np.zeros((0, 2), dtype=np.int64), [], [5, 9, 5]) == [1, 0, 2]
    circle = np.array([(0, 1), (0, 2), (1, 2)])
    assert sorted(back_to_front(3, circle, [True, False, True], [1, 1, 1])) == [0, 1, 2]


def test_the_one_in_front_is_seen_and_the_rest_is_empty() -> None:
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, 0, :5, :5] = 1
    masks[1, 0, 3:, 3:] = 1
    pieces = cut_out(torch.stack([torch.full((3, 8, 8), 0.25), torch.full((3, 8, 8), -0.5)]), masks)
    for order, both in (([0, 1], -0.5), ([1, 0], 0.25)):
        canvas = pasted(pieces, order)
        assert torch.equal(canvas[3], masks.amax(dim=0)[0])
        assert torch.equal(canvas[:3, 3:5, 3:5], torch.full((3, 2, 2), both))
        assert torch.equal(canvas[:3, 0, 0], torch.full((3,), 0.25))
        assert not canvas[:, 0, 7].any()


def test_warping_by_the_identity_changes_nothing() -> None:
    piece = cut_out(torch.rand(1, 3, 24, 40) * 2 - 1, (torch.rand(1, 1, 24, 40) < 0.5).float())
    torch.testing.assert_close(warped(piece, IDENTITY), piece, rtol=0, atol=1e-5)


def test_a_warped_rim_keeps_the_colour() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    moved = warped(cut_out(torch.full((1, 3, 16, 16), 0.8), mask), IDENTITY + 0.03)
    canvas = pasted(moved, [0])
    assert set(canvas[3].unique().tolist()) == {0.0, 1.0}
    covered = canvas[:3][:, canvas[3] == 1]
    torch.testing.assert_close(covered, torch.full_like(covered, 0.8))


@pytest.mark.parametrize(("height", "wide"), [(64, 2), (256, 10)])
def test_an_elided_boundary_leaves_a_band_and_others_stay(height: int, wide: int) -> None:
    numbers = np.repeat(np.arange(3), height)[None].repeat(height, axis=0)
    contacts = find_contacts(numbers)
    assert contacts.pairs.tolist() == [[0, 1], [1, 2]]
    left_out = elided(contacts, np.array([True, False]), (height, 3 * height))
    columns = np.flatnonzero(left_out.all(axis=0))
    assert columns.tolist() == list(range(height - wide // 2, height + wide // 2))
    assert int(left_out.sum()) == height * wide
    assert not elided(contacts, np.array([False, False]), (height, 3 * height)).any()


@pytest.fixture
def retrieval_of(tmp_path: Path) -> Callable[..., Retrieval]:
    def make(*maps: torch.Tensor, classes: int = 5) -> Retrieval:
        size = (int(maps[0].shape[0]), int(maps[0].shape[1]))
        photo = torch.zeros(3, *size, dtype=torch.uint8)
        build_bank([MemorySample("", each, photo) for each in maps], tmp_path, size, classes, MIN_SHARE)
        return Retrieval(Bank(tmp_path, size, classes, MIN_SHARE), 10)

    return make


def halves(middle: int, above: int = 0, below: int = 1) -> torch.Tensor:
    """(64, 64): class `above` in the rows before `middle`, `below` in the others."""
    return torch.where(torch.arange(64) < middle, above, below)[:, None].expand(64, 64).contiguous()


def test_a_stencil_is_of_another_segment_unless_there_is_none(retrieval_of: Callable[..., Retrieval]) -> None:
    query = find_segments(halves(32).numpy(), MIN_SHARE)
    shown = stencilled(query, retrieval_of(halves(32), halves(20)))
    # Above, the other map's 20 rows are the best that is not the segment itself; below, its 44 rows cover all.
    assert 20 / 32 < 32 / 44 < SELF
    assert shown[:20].all()
    assert not shown[20:32].any()
    assert shown[32:].all()


def test_a_stencil_of_the_segment_itself_is_the_last_resort(retrieval_of: Callable[..., Retrieval]) -> None:
    assert stencilled(find_segments(halves(32).numpy(), MIN_SHARE), retrieval_of(halves(32))).all()


def test_a_class_that_the_memory_lacks_is_left_empty(retrieval_of: Callable[..., Retrieval]) -> None:
    shown = stencilled(find_segments(halves(32, below=2).numpy(), MIN_SHARE), retrieval_of(halves(32)))
    assert shown[:32].all()
    assert not shown[32:].any()


def test_examples_come_from_the_labels_and_the_global_generator(
    retrieval_of: Callable[..., Retrieval], map_of: Callable[..., torch.Tensor]
) -> None:
    retrieval = retrieval_of(*(map_of(i) for i in range(6)))
    indices = np.stack([map_of(seed).numpy() for seed in range(20, 24)] + [halves(64).numpy(), halves(40).numpy()])
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(simulate(indices, retrieval, MIN_SHARE, 3))
    one, same, other = (vars(each) for each in made)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)

    example = made[0]
    assert example.known.tolist() == [1.0] * 12 + [0.0] * 3 + [1.0] * 3  # the fifth map is all of one class
    for k, (mask, which) in enumerate(zip(example.masks, example.classes, strict=True)):
        assert (indices[k // 3][mask[0].bool().numpy()] == int(which)).all()
        assert int(mask.sum()) > MIN_SHARE * 64 * 64
    for k, (pair, front) in enumerate(zip(example.pairs, example.front, strict=True)):
        smaller = pair[int(pair[0].sum() > pair[1].sum())].bool().numpy()
        assert (indices[k // 3][smaller] == int(front)).all()
        if example.known[k]:
            assert not (pair[0] & pair[1]).any()
    assert float((example.affine - IDENTITY).abs().max()) <= 0.15


def test_half_of_the_boundaries_are_elided(retrieval_of: Callable[..., Retrieval]) -> None:
    retrieval = retrieval_of(halves(32))
    torch.manual_seed(0)
    shown = simulate(halves(32).numpy()[None].repeat(200, axis=0), retrieval, MIN_SHARE, 1).canvas
    left_out = (1 - shown[:, 0, 31:33].float()).mean(dim=(1, 2))
    assert set(left_out.tolist()) == {0.0, 1.0}
    assert 0.4 < float(left_out.mean()) < 0.6
