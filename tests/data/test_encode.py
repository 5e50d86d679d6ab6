"""From samples to the tensors that networks read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from images import label_array, photo_array
from PIL import Image

from harness.data.base import Classes, Sample
from harness.data.encode import Encoding, augmented, encode, label_spec, resized_label, resized_photo
from harness.errors import UserError
from harness.labels import LabelSpec, instance_edges

CLASSES = Classes(tuple("abcde"), 255, tuple((i, i, i) for i in range(5)))
sides = st.integers(3, 40)


def sample(size: tuple[int, int] = (24, 32), *, void: bool = True, instance: bool = False, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 65535, size=size, dtype=np.uint16) if instance else None
    return Sample("s", label_array(rng, size, 5, 255 if void else None), photo_array(rng, size), ids)


def coloured(size: tuple[int, int], seed: int = 0) -> Sample:
    """A sample whose photo shows its label: red = 50 * class, in large blocks."""
    label = label_array(np.random.default_rng(seed), (size[0] // 4, size[1] // 4), 5).repeat(4, 0).repeat(4, 1)
    photo = np.zeros((*size, 3), np.uint8)
    photo[..., 0] = 50 * label
    return Sample("s", label, photo)


def test_the_label_spec_counts_the_unknown_channel_as_a_class():
    assert label_spec(CLASSES, unknown=True, edges=False) == LabelSpec(6, False)
    assert Encoding(CLASSES, (8, 8), unknown=False, edges=True).spec == LabelSpec(5, True)


def test_void_becomes_the_unknown_channel_and_other_labels_stay():
    given = sample()
    encoded = encode(given, Encoding(CLASSES, (24, 32)))
    void = torch.from_numpy(given.label == 255)
    assert void.any()
    assert (encoded.indices[void] == 5).all()
    assert torch.equal(encoded.indices[~void], torch.from_numpy(given.label).long()[~void])
    assert encoded.indices.dtype == torch.int64


def test_void_without_an_unknown_channel_is_an_error():
    with pytest.raises(UserError, match="sample 's' has void pixels"):
        encode(sample(), Encoding(CLASSES, (8, 8), unknown=False))
    assert encode(sample(void=False), Encoding(CLASSES, (8, 8), unknown=False)).indices.max() < 5


@settings(max_examples=30, deadline=None)
@given(source=st.tuples(sides, sides), target=st.tuples(sides, sides), seed=st.integers(0, 99))
def test_resized_labels_are_a_subset_of_the_labels_and_those_of_pil(source, target, seed):
    label = np.random.default_rng(seed).integers(0, 256, size=source, dtype=np.uint8)
    out = resized_label(label, target)
    assert out.shape == target
    assert set(np.unique(out)) <= set(np.unique(label))
    theirs = Image.fromarray(label).resize((target[1], target[0]), Image.Resampling.NEAREST)
    assert np.array_equal(out, np.array(theirs))


def test_photos_are_bicubic_and_span_minus_one_to_one():
    given = sample((48, 64))
    theirs = np.array(Image.fromarray(given.photo).resize((32, 24), Image.Resampling.BICUBIC))
    assert np.array_equal(resized_photo(given.photo, (24, 32)), theirs)
    photo = encode(given, Encoding(CLASSES, (24, 32))).photo
    assert photo is not None
    assert (photo.shape, photo.dtype) == ((3, 24, 32), torch.float32)
    expected = (torch.from_numpy(theirs).permute(2, 0, 1).double() / 255 - 0.5) / 0.5
    assert torch.allclose(photo.double(), expected, atol=1e-6)
    black_and_white = np.zeros((2, 2, 3), np.uint8)
    black_and_white[0] = 255
    photo = encode(Sample("s", np.zeros((2, 2), np.uint8), black_and_white), Encoding(CLASSES, (2, 2))).photo
    assert photo is not None
    assert (photo.min().item(), photo.max().item()) == (-1.0, 1.0)


def test_a_sample_without_a_photo_or_with_the_photo_left_out_encodes():
    given = sample()
    assert encode(given, Encoding(CLASSES, (8, 8)), photo=False).photo is None
    assert encode(Sample("s", given.label, None), Encoding(CLASSES, (8, 8))).photo is None


def test_edges_are_taken_after_the_resize_and_16_bit_ids_are_told_apart():
    instance = np.full((16, 16), 256, np.uint16)
    instance[:, 8:] = 512  # equal to 256 modulo 256
    given = Sample("s", np.zeros((16, 16), np.uint8), None, instance)
    edges = encode(given, Encoding(CLASSES, (8, 8), edges=True)).edges
    assert edges is not None
    assert edges.any(dim=0).nonzero().flatten().tolist() == [3, 4]
    noisy = sample((20, 28), instance=True)
    edges = encode(noisy, Encoding(CLASSES, (10, 12), edges=True)).edges
    resized = torch.from_numpy(resized_label(noisy.instance, (10, 12)).astype(np.int64))
    assert torch.equal(edges, instance_edges(resized[None])[0])


def test_edges_without_an_instance_map_are_an_error():
    with pytest.raises(UserError, match="sample 's' has no instance map"):
        encode(sample(), Encoding(CLASSES, (8, 8), edges=True))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_crop_and_flip_move_label_and_photo_alike(seed):
    encoded = augmented(
        coloured((48, 64)), Encoding(CLASSES, (32, 40)), resize=(48, 64), flip=True, rng=np.random.default_rng(seed)
    )
    assert encoded.photo is not None
    shown = ((encoded.photo[0] + 1) * 127.5 / 50).round().long()
    assert torch.equal(shown, encoded.indices)


def test_after_a_real_resize_photo_and_label_still_lie_on_each_other():
    given = coloured((64, 96))
    encoded = augmented(given, Encoding(CLASSES, (64, 64)), resize=(96, 144), flip=True, rng=np.random.default_rng(3))
    assert encoded.photo is not None
    shown = ((encoded.photo[0] + 1) * 127.5 / 50).round().long()
    assert (shown == encoded.indices).float().mean() > 0.85
    assert (shown == encoded.indices.flip(1)).float().mean() < 0.7


def test_half_are_flipped_a_flip_is_its_own_inverse_and_without_flip_none_is():
    given, encoding = coloured((32, 32)), Encoding(CLASSES, (32, 32))
    plain = encode(given, encoding)
    flipped = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        out = augmented(given, encoding, resize=None, flip=True, rng=rng)
        assert torch.equal(out.indices, plain.indices) or torch.equal(out.indices.flip(1), plain.indices)
        flipped += not torch.equal(out.indices, plain.indices)
        never = augmented(given, encoding, resize=None, flip=False, rng=np.random.default_rng(seed))
        assert torch.equal(never.indices, plain.indices)
    assert 70 < flipped < 130


def test_every_crop_position_is_drawn_and_the_rng_decides_alone():
    label = np.arange(36, dtype=np.uint8).reshape(6, 6)
    many = Classes(tuple(map(str, range(36))), None, ((0, 0, 0),) * 36)
    encoding = Encoding(many, (4, 4), unknown=False)
    corners = set()
    for seed in range(200):
        out = augmented(Sample("s", label, None), encoding, resize=(6, 6), flip=False, rng=np.random.default_rng(seed))
        again = augmented(
            Sample("s", label, None), encoding, resize=(6, 6), flip=False, rng=np.random.default_rng(seed)
        )
        assert torch.equal(out.indices, again.indices)
        corners.add(int(out.indices[0, 0]))
    assert corners == {0, 1, 2, 6, 7, 8, 12, 13, 14}


def test_a_crop_larger_than_the_resize_is_an_error():
    with pytest.raises(UserError, match="cannot crop 32x32 out of 30x40"):
        augmented(sample(), Encoding(CLASSES, (32, 32)), resize=(40, 30), flip=True, rng=np.random.default_rng(0))


def test_the_sample_is_not_written_to():
    given = sample(instance=True)
    label, photo = given.label.copy(), given.photo.copy()
    encode(given, Encoding(CLASSES, (24, 32), edges=True))
    assert np.array_equal(given.label, label)
    assert np.array_equal(given.photo, photo)
