"""The comparison picture: where each image stands, and that equal input gives equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reports.gallery import Picture, comparison, paint


def _images(count: int, seed: int, size: tuple[int, int] = (16, 24)) -> list[Picture]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def _read(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("scale", [1, 3])
def test_every_image_stands_in_its_row_and_column_pixel_for_pixel(tmp_path: Path, scale: int) -> None:
    columns = [("label map", _images(2, 0)), ("photo", _images(2, 1)), ("SPADE", _images(2, 2))]
    comparison(columns, scale, tmp_path / "c.png")
    canvas = _read(tmp_path / "c.png")
    height, width = 16 * scale, 24 * scale
    top = canvas.shape[0] - 2 * (height + 6)
    assert canvas.shape[1] == 6 + 3 * (width + 6)
    for i, (_, images) in enumerate(columns):
        for j, image in enumerate(images):
            y, x = top + j * (height + 6), 6 + i * (width + 6)
            big = image.repeat(scale, axis=0).repeat(scale, axis=1)
            np.testing.assert_array_equal(canvas[y : y + height, x : x + width], big)


def test_headers_are_written_above_their_column_only(tmp_path: Path) -> None:
    blank = [np.full((64, 96, 3), 255, np.uint8)]
    comparison([("SPADE", blank), ("", blank)], 1, tmp_path / "c.png")
    ink = np.asarray((_read(tmp_path / "c.png") < 128).all(axis=2))
    left, right = ink[:, : 6 + 96 + 3], ink[:, 6 + 96 + 3 :]
    assert left.any()
    assert not right.any()
    assert not left[-64 - 6 :].any()


@pytest.mark.parametrize("header", ["a method with a name far too long for a small picture", "one\ntwo", "Δ±é"])
def test_a_header_stays_above_its_own_column(tmp_path: Path, header: str) -> None:
    blank = [np.full((40, 40, 3), 255, np.uint8)]
    comparison([("", blank), (header, blank), ("", blank)], 1, tmp_path / "c.png")
    ink = np.asarray((_read(tmp_path / "c.png") < 200).any(axis=2))
    assert ink[:, 46:98].any()
    assert not ink[:, :46].any()
    assert not ink[:, 98:].any()


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    columns = [("photo", _images(2, 1)), ("SPADE", _images(2, 2))]
    for name in ("a.png", "b.png"):
        comparison(columns, 2, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("columns", "scale", "says"),
    [
        ([], 1, "a column and a row"),
        ([("a", [])], 1, "a column and a row"),
        ([("a", _images(1, 0))], 0, "a scale from 1"),
        ([("a", _images(2, 0)), ("b", _images(1, 0))], 1, "column 'b' has 1 rows, the first has 2"),
        ([("a", _images(1, 0)), ("b", _images(1, 0, (8, 8)))], 1, "column 'b': an image is"),
        ([("a", [np.zeros((4, 4), np.uint8)])], 1, "uint8"),
        ([("a", [np.zeros((4, 4, 3), np.float32)])], 1, "uint8"),
    ],
)
def test_wrong_images_are_refused_and_nothing_is_written(tmp_path: Path, columns: list, scale: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        comparison(columns, scale, tmp_path / "c.png")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 300), min_size=1, max_size=20))
def test_paint_gives_each_class_its_colour_and_all_else_that_of_void(values: list[int]) -> None:
    palette = ((10, 0, 0), (0, 20, 0), (0, 0, 30))
    painted = paint(np.array([values]), palette, (1, 2, 3))
    expected = [palette[v] if 0 <= v < 3 else (1, 2, 3) for v in values]
    assert painted.dtype == np.uint8
    assert painted[0].tolist() == [list(colour) for colour in expected]
