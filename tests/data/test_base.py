"""The checks that every data set makes on its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import photo_array, save
from PIL import Image

from harness.data.base import Classes, check_labels, check_same_size, digest_files, read_image, read_indices
from harness.errors import UserError

THREE = Classes(("a", "b", "c"), 255, ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
NO_VOID = Classes(("a", "b", "c"), None, THREE.palette)


def test_legal_labels_pass():
    check_labels(np.array([[0, 1], [2, 255]], dtype=np.uint8), THREE, "x.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_wrong_label_is_reported_with_file_value_and_range(dtype):
    label = np.array([[0, 1], [2, 3]], dtype=dtype)
    with pytest.raises(UserError, match=r"x\.png: label value 3 is out of range \(legal: 0 to 2 or 255 \(void\)\)"):
        check_labels(label, THREE, "x.png")


@pytest.mark.parametrize("value", [-1, 3, 255, 2**31 - 1])
def test_any_value_outside_the_classes_is_wrong_without_a_void(value):
    label = np.array([[0, value]], dtype=np.int32)
    with pytest.raises(UserError, match=f"value {value} is out of range"):
        check_labels(label, NO_VOID, "x.png")


def test_different_sizes_are_reported_with_both():
    with pytest.raises(UserError, match="label is 3x2 but photo is 5x4"):
        check_same_size(np.zeros((2, 3), np.uint8), np.zeros((4, 5, 3), np.uint8), "x.png")


def test_indices_of_palette_one_bit_and_16_bit_files_are_read_as_they_are(tmp_path: Path):
    wide = np.array([[0, 300], [65535, 7]], dtype=np.uint16)
    assert np.array_equal(read_indices(save(tmp_path / "wide.png", wide), "instance"), wide)
    indices = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    image = Image.fromarray(indices, mode=None)
    image.putpalette([9, 9, 9, 1, 2, 3, 200, 100, 50])
    image.save(tmp_path / "palette.png")
    assert np.array_equal(read_indices(tmp_path / "palette.png", "label"), indices)
    bits = np.array([[True, False]])
    read = read_indices(save(tmp_path / "bits.png", bits), "label")
    assert read.dtype == np.uint8
    assert read.tolist() == [[1, 0]]


def test_a_colour_label_file_is_refused(tmp_path: Path):
    path = save(tmp_path / "colour.png", photo_array(np.random.default_rng(0), (4, 4)))
    with pytest.raises(UserError, match="one index per pixel, this one has 3 channels"):
        read_indices(path, "label")


def test_a_label_file_of_floats_is_refused(tmp_path: Path):
    path = save(tmp_path / "float.tif", np.ones((4, 4), dtype=np.float32))
    with pytest.raises(UserError, match="must hold integers"):
        read_indices(path, "label")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.0, 0.9))
def test_a_truncated_file_is_a_user_error_wherever_it_is_cut(tmp_path_factory, suffix, share):
    path = save(tmp_path_factory.mktemp("cut") / f"x{suffix}", photo_array(np.random.default_rng(1), (48, 48))[..., 0])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="cannot read this label file") as caught:
        read_indices(path, "label")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match="no such photo file"):
        read_image(tmp_path / "none.png", "photo")


def test_a_photo_is_writable_rgb_whatever_the_file_holds(tmp_path: Path):
    read = read_image(save(tmp_path / "grey.png", np.full((2, 3), 7, np.uint8)), "photo")
    assert read.shape == (2, 3, 3)
    assert read.flags.writeable
    assert (read == 7).all()


def test_the_digest_depends_on_names_and_contents_but_not_on_the_folder(tmp_path: Path):
    def made(folder: str, name: str, content: bytes) -> str:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return digest_files([path], tmp_path / folder)

    one = made("a", "x.png", b"1")
    assert made("b", "x.png", b"1") == one
    assert made("c", "y.png", b"1") != one
    assert made("d", "x.png", b"2") != one
