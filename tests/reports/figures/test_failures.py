"""The failures picture: exactly the wrong pixels of the class are marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.collections import LineCollection
from numpy.typing import NDArray
from PIL import Image

from reports.figures.failures import Failure, failures, hatching, outline, wrong_pixels
from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE, save

PALETTE = ((200, 30, 30), (30, 200, 30), (30, 30, 200))
MASKS: Any = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def failure(label: NDArray[Any], reading: NDArray[Any], index: int = 1) -> Failure:
    photo = np.full((*label.shape, 3), 128, np.uint8)
    return Failure(label, photo, photo, reading, index, ("bus", "val_00003", "IoU 3.1 %", "12.0 % of the image"))


def test_missed_and_added_pixels_are_those_outside_of_the_intersection() -> None:
    label = np.array([[1, 1, 0, 0, 255, 255]])
    reading = np.array([[1, 0, 1, 0, 1, 0]])
    missed, added = wrong_pixels(label, reading, 1, 3)
    assert missed.tolist() == [[False, True, False, False, False, False]]
    assert added.tolist() == [[False, False, True, False, False, False]]


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_the_outline_is_every_edge_of_the_mask_once(mask: NDArray[np.bool_]) -> None:
    found: list[tuple[int, int, int, int]] = []
    for (x0, y0), (x1, y1) in outline(mask).astype(int).tolist():
        for step in range(max(x1 - x0, y1 - y0)):
            dx, dy = (step, 0) if y0 == y1 else (0, step)
            end = (x0 + dx + 1, y0 + dy) if y0 == y1 else (x0 + dx, y0 + dy + 1)
            found.append((x0 + dx, y0 + dy, *end))
    padded = np.pad(mask, 1)
    expected = []
    for y in range(mask.shape[0] + 1):
        for x in range(mask.shape[1] + 1):
            if x < mask.shape[1] and padded[y, x + 1] != padded[y + 1, x + 1]:
                expected.append((x, y, x + 1, y))
            if y < mask.shape[0] and padded[y + 1, x] != padded[y + 1, x + 1]:
                expected.append((x, y, x, y + 1))
    assert sorted(found) == sorted(expected)


@settings(max_examples=20, deadline=None)
@given(MASKS, st.integers(1, 5))
def test_hatching_stays_inside_of_the_mask(mask: NDArray[np.bool_], step: int) -> None:
    middles = hatching(mask, step).mean(axis=1)
    assert all(mask[int(y), int(x)] for x, y in middles)
    assert step > 1 or len(middles) == mask.sum()


def test_the_reading_is_marked_and_nothing_else_is(tmp_path: Path) -> None:
    label = np.zeros((32, 48), np.int64)
    label[8:16, 8:16] = 1
    reading = np.roll(label, 8, axis=1)
    figure = failures([failure(label, reading), failure(label, label)], PALETTE, WIDTH_PAGE, "SPADE")
    marked = [any(isinstance(c, LineCollection) for c in axes.collections) for axes in figure.axes]
    assert marked == [False, False, False, True, False, False, False, False]
    paths = save(figure, tmp_path / "f")
    assert set(paths) == {"pdf", "png", "svg"}
    with Image.open(paths["png"]) as image:
        page = np.asarray(image.convert("RGB"))
    x0, y0, x1, y1 = (round(v) for v in figure.axes[3].get_window_extent().extents)
    shown = page[page.shape[0] - y1 : page.shape[0] - y0, x0:x1]
    scale = shown.shape[0] // 32
    edge = shown[12 * scale, 8 * scale - 2 : 8 * scale + 3].astype(int).sum(axis=1)
    assert edge.min() < 120  # black in the middle of the line
    assert (shown[2 * scale] == PALETTE[0]).all()  # far from any wrong pixel


def test_texts_of_any_kind_are_drawn_as_they_are() -> None:
    label = np.zeros((8, 8), np.int64)
    photo = np.zeros((8, 8, 3), np.uint8)
    odd = Failure(label, photo, photo, label, 0, ("a $class$ of a long name", "x" * 60, "IoU 0 %"))
    figure = failures([odd], PALETTE, WIDTH_COLUMN, "$m$ <b>", [("sky", PALETTE[0])], ["a note"])
    shown = " ".join(text.get_text() for text in figure.texts)
    assert "$class$" in shown
    assert "$m$ <b>" in shown
    assert "hatched" in shown


def test_no_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="a column and a row"):
        failures([], PALETTE, WIDTH_PAGE, "SPADE")
