"""The comparison picture: each image dot for dot in its place, text that does not overlap, equal bytes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from harness.errors import UserError
from reports.figures.comparison import Column, comparison, score_line
from reports.figures.image_grid import FINEST, Around, Panel, Picture, image_grid, occurring, paint
from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE, house_style, save

LONG = [
    "label map",
    "pix2pixHD++ w/o Sync BatchNorm w/o SpectralNorm",
    "spade_no_feature_matching_and_a_deeper_discriminator_still",
    "$x_1$ & <script>",
    "one\ntwo",
    "Δ±é 100 %",
]


def images(count: int, seed: int, size: tuple[int, int] = (16, 24)) -> list[Picture]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def columns(headers: list[str], rows: int = 2, under: tuple[str, ...] = ()) -> list[Column]:
    return [Column(h, images(rows, i), [under] * rows if under else ()) for i, h in enumerate(headers)]


def dots(figure: Figure, to: Path) -> Picture:
    """The figure's PNG, without alpha."""
    with Image.open(save(figure, to)["png"]) as image:
        return np.asarray(image.convert("RGB"))


def texts(figure: Figure) -> dict[str, tuple[float, float, float, float]]:
    """The boxes of all texts, by text."""
    with house_style():
        renderer = FigureCanvasAgg(figure).get_renderer()
        return {t.get_text(): t.get_window_extent(renderer).extents for t in figure.texts}


@pytest.mark.parametrize("width", [WIDTH_COLUMN, WIDTH_PAGE])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_every_image_stands_in_its_row_and_column_dot_for_dot(tmp_path: Path, width: float, count: int) -> None:
    rows = [[Panel(image, ("51.2 / 80.1",)) for image in images(count, row)] for row in range(2)]
    figure, axes = image_grid(["SPADE"] * count, rows, width, Around(legend=[("sky", (1, 2, 3))]))
    assert figure.get_size_inches()[0] <= width
    assert figure.dpi >= FINEST
    page = dots(figure, tmp_path / "c.png")
    for panels, places in zip(rows, axes, strict=True):
        for panel, place in zip(panels, places, strict=True):
            x0, y0, x1, y1 = (round(v) for v in place.get_window_extent().extents)
            scale = (x1 - x0) // 24
            assert (x1 - x0, y1 - y0) == (24 * scale, 16 * scale)
            shown = page[page.shape[0] - y1 : page.shape[0] - y0, x0:x1]
            np.testing.assert_array_equal(shown, panel.image.repeat(scale, axis=0).repeat(scale, axis=1))


@pytest.mark.parametrize("width", [WIDTH_COLUMN, WIDTH_PAGE])
def test_no_text_overlaps_another_or_is_cut(width: float) -> None:
    lines = ("a_name_of_a_sample_000019", "51.2 / 80.1")
    figure = comparison(columns(LONG, 1, lines), width, [(f"class {i}", (i, 9, 9)) for i in range(12)], ["note " * 60])
    wide, tall = figure.get_size_inches() * figure.dpi
    with house_style():
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [t.get_window_extent(renderer) for t in figure.texts]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= wide
        assert box.y1 <= tall
    for one, two in combinations(boxes, 2):
        assert min(one.x1, two.x1) - max(one.x0, two.x0) <= 0 or min(one.y1, two.y1) - max(one.y0, two.y0) <= 1


def test_headers_are_kept_as_they_are_written_and_cut_only_when_they_must() -> None:
    shown = " ".join(texts(comparison(columns(LONG), WIDTH_PAGE)))
    assert "$x_1$ &" in shown
    assert "<script>" in shown
    assert "one two" in shown
    assert "…" not in shown
    assert "…" in " ".join(texts(comparison(columns(["a header that goes on and on " * 9] * 5), WIDTH_COLUMN)))


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(comparison(columns(["photo", "SPADE"]), WIDTH_COLUMN, [("sky", (1, 2, 3))]), tmp_path / name)
    for ending in ("pdf", "png", "svg"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


def test_a_column_more_than_the_width_holds_is_refused() -> None:
    with pytest.raises(UserError, match=r"--width: 40 columns of images do not fit into 3\.3 inches"):
        comparison(columns(["SPADE"] * 40), WIDTH_COLUMN)


@pytest.mark.parametrize(
    ("given_columns", "says"),
    [
        ([], "every column"),
        ([Column("a", [])], "a column and a row"),
        ([Column("a", images(2, 0)), Column("b", images(1, 0))], "an image for each sample"),
        ([Column("a", images(2, 0), [("x",)])], "lines for each or for none"),
        ([Column("a", images(1, 0)), Column("b", images(1, 0, (8, 8)))], "column 'b': an image is"),
        ([Column("a", [np.zeros((4, 4), np.uint8)])], "uint8"),
        ([Column("a", [np.zeros((4, 4, 3), np.float32)])], "uint8"),  # type: ignore[list-item]
    ],
)
def test_wrong_images_are_refused(given_columns: list[Column], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        comparison(given_columns, WIDTH_PAGE)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 300), min_size=1, max_size=20))
def test_paint_gives_each_class_its_colour_and_all_else_that_of_void(values: list[int]) -> None:
    palette = ((10, 0, 0), (0, 20, 0), (0, 0, 30))
    painted = paint(np.array([values]), palette, (1, 2, 3))
    expected = [palette[v] if 0 <= v < 3 else (1, 2, 3) for v in values]
    assert painted.dtype == np.uint8
    assert painted[0].tolist() == [list(colour) for colour in expected]


def test_the_legend_has_the_classes_that_occur_and_void_last() -> None:
    palette = ((10, 0, 0), (0, 20, 0), (0, 0, 30))
    labels = [np.array([[2, 2]], np.uint8), np.array([[0, 255]], np.int64)]
    assert occurring(labels, "abc", palette) == [("a", palette[0]), ("c", palette[2]), ("void", (0, 0, 0))]
    assert occurring([np.array([[1]])], "abc", palette) == [("b", palette[1])]


def test_scores_are_written_in_percent_with_a_dash_for_none() -> None:
    assert score_line(0.5123, 0.8) == ("51.2 / 80.0",)
    assert score_line(None, 1.0) == ("– / 100.0",)
