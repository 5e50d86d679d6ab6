"""The heat map of classes: differences, order, marks, and room for few and many classes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.errors import UserError
from harness.metrics.confusion import Confusion
from harness.metrics.paired import ClassDifference
from reports.figures.classes import ClassRow, class_order, class_rows, draw_classes
from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE, lacking

CLASSES = ("road", "car", "never")


def confusion(share: float, images: int = 12) -> Confusion:
    """Two classes, of which `car` is read right in this share of its pixels."""
    right = round(100 * share)
    matrix = np.array([[200, 0, 0, 0], [100 - right, right, 0, 0], [0] * 4, [0] * 4])
    names = [f"image{i}" for i in range(images)]
    return Confusion.from_dense([matrix + np.diag([i, i % 3, 0, 0]) for i in range(images)], names, CLASSES)


def made_up(classes: int, rows: int = 3, title: str = "method") -> list[ClassRow]:
    rng = np.random.default_rng(0)

    def one(k: int) -> ClassDifference:
        d = None if k % 17 == 16 else float(rng.normal(0, 0.08))
        p = None if d is None else float(abs(d) < 0.1)
        return ClassDifference(f"class number {k}", 9, d, d, d, p, p)

    return [ClassRow(f"{title} {i}", tuple(map(one, range(classes))), "test", "images") for i in range(rows)]


def names(rows: list[ClassRow]) -> list[str]:
    return [one.name for one in rows[0].classes]


def test_a_class_read_better_has_a_plus_and_one_that_is_absent_has_none() -> None:
    ticks: list[int] = []
    (row,), shares = class_rows([("better", [confusion(0.9)])], [confusion(0.5)], 500, lambda: ticks.append(1))
    road, car, never = row.classes
    assert car.difference == pytest.approx(0.4, abs=0.02)
    assert road.difference is not None
    assert road.difference > 0
    assert never.difference is None
    assert car.p_holm is not None
    assert car.p_holm <= 0.05
    assert row.unit == "images"
    assert shares["road"] > 2 * shares["car"] / 1.1 > shares["never"] == 0
    assert ticks == [1]


def test_classes_are_sorted_by_frequency_name_or_as_the_suite_has_them() -> None:
    shares = {"b": 0.2, "c": 0.6, "a": 0.2}
    assert class_order(shares, "frequency") == ["c", "a", "b"]
    assert class_order(shares, "name") == ["a", "b", "c"]
    assert class_order(shares, "suite") == ["b", "c", "a"]


def boxes(figure: Figure, kind: type) -> list[object]:
    return [patch for axes in figure.axes for patch in axes.patches if type(patch) is kind]


@pytest.mark.parametrize(
    ("classes", "width"), [(8, WIDTH_COLUMN), (8, WIDTH_PAGE), (35, WIDTH_PAGE), (150, WIDTH_PAGE)]
)
def test_few_and_many_classes_fit_into_the_figure(classes: int, width: float) -> None:
    rows = made_up(classes)
    figure = draw_classes(rows, "SPADE", names(rows), ["a note"], width)
    with_cells = [axes for axes in figure.axes if axes.patches]
    assert len(boxes(figure, Rectangle)) == 3 * classes
    assert figure.get_size_inches()[1] < 9.5
    figure.draw_without_rendering()
    whole = figure.bbox
    for text in (
        text for axes in figure.axes for text in [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts]
    ):
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= whole.x1 + 1
        assert box.y1 <= whole.y1 + 1
    for axes in with_cells:
        wide = axes.get_window_extent().width / len(axes.get_xticks())
        assert all(text.get_window_extent().width <= wide for text in axes.texts)


def test_what_is_called_is_marked_and_what_is_absent_is_hatched() -> None:
    rows = made_up(20)
    figure = draw_classes(rows, "SPADE", names(rows), [], WIDTH_PAGE)
    every = [one for row in rows for one in row.classes]
    called = [one for one in every if one.p_holm is not None and one.p_holm <= 0.05]
    assert 0 < len(called) == len(figure.axes[0].lines)
    hatched = [patch for patch in boxes(figure, Rectangle) if patch.get_hatch()]  # type: ignore[attr-defined]
    assert len(hatched) == sum(one.difference is None for one in every) == 3


def test_rows_that_fit_neither_way_are_refused() -> None:
    rows = made_up(60, rows=20)
    with pytest.raises(UserError, match=r"20 rows do not fit into 3\.3 inches"):
        draw_classes(rows, "SPADE", names(rows), [], WIDTH_COLUMN)


def test_equal_rows_are_drawn_without_a_scale_of_nothing() -> None:
    same = ClassRow("same", (ClassDifference("road", 9, 0.0, 0.0, 0.0, 1.0, 1.0),), "test", "images")
    none = ClassRow("none", (ClassDifference("road", 0, None, None, None, None, None),), "test", "images")
    figure = draw_classes([same, none], "$x$", ["road"], [], WIDTH_COLUMN)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0"]
    assert lacking(figure) == ""
