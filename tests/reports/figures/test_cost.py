"""Quality against cost: what the Pareto front is, and labels that cover nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from reports.columns import metric_of
from reports.figures.cost import Point, draw_cost, pareto_front
from reports.figures.placement import Box, place
from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25)
MIOU, FID, PARAMETERS = (metric_of(key).column for key in ("miou", "fid", "parameters"))


def beats(one: tuple[float, float], other: tuple[float, float], lower: bool) -> bool:
    better = one[1] < other[1] if lower else one[1] > other[1]
    return one != other and one[0] <= other[0] and (better or one[1] == other[1])


@given(POINTS, st.booleans())
def test_the_front_is_what_no_point_beats(points: list[tuple[float, float]], lower: bool) -> None:
    front = pareto_front(points, lower)
    unbeaten = {i for i, point in enumerate(points) if not any(beats(other, point, lower) for other in points)}
    assert set(front) == unbeaten
    assert len(front) == len(set(front)) > 0


@given(POINTS, st.booleans(), st.randoms(use_true_random=False))
def test_the_front_goes_up_and_does_not_depend_on_the_order(
    points: list[tuple[float, float]], lower: bool, rng: random.Random
) -> None:
    front = [points[i] for i in pareto_front(points, lower)]
    assert front == sorted(front, key=lambda point: (point[0], -point[1] if lower else point[1]))
    mixed = rng.sample(points, len(points))
    assert [mixed[i] for i in pareto_front(mixed, lower)] == front


SPOTS = st.lists(st.tuples(st.floats(5, 195), st.floats(5, 95)), min_size=1, max_size=9)


@settings(max_examples=60, deadline=None)
@given(SPOTS, st.floats(5, 90))
def test_placed_labels_touch_no_label_and_no_marker_and_stay_inside(
    spots: list[tuple[float, float]], width: float
) -> None:
    bounds = Box(0, 0, 200, 100)
    taken = [Box(x - 2, y - 2, x + 2, y + 2) for x, y in spots]
    boxes = [box for box in place(spots, [(width, 9.0)] * len(spots), bounds, taken, gap=5.0) if box]
    assert all(box.within(bounds) for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert not any(box.overlaps(marker) for box in boxes for marker in taken)


def test_a_label_alone_stands_right_of_its_point() -> None:
    (box,) = place([(50, 50)], [(30, 8)], Box(0, 0, 200, 100), [], gap=5.0)
    assert box == Box(55, 46, 85, 54)


def test_without_room_there_is_no_place() -> None:
    assert place([(50, 50)], [(300, 8)], Box(0, 0, 200, 100), []) == [None]


def cluster(titles: list[str]) -> list[Point]:
    rng = random.Random(0)
    return [Point(title, 90 + 8 * rng.random(), (60 + 4 * rng.random(),) * 2) for title in titles]


SETS = {
    "alone": [Point("SPADE", 93.0, (62.3, 63.0))],
    "cluster": cluster(["SPADE", "pix2pixHD", "CRN", "SIMS", "kernel 1x1", "BatchNorm"]),
    "equal": [Point("one", 5.0, (1.0,)), Point("other", 5.0, (1.0,))],
    "long": cluster([f"a method of a name that is far too long for a column, number {i}" for i in range(6)]),
    "many": cluster([f"method {i}" for i in range(20)]),
    "wide": [Point("a", 0.1, (3.0, 4.0)), Point("b", 1000.0, (5.0,), (900.0, 1200.0)), Point("c", 20.0, (1.0, 9.0))],
}


def labels(figure: Figure, points: list[Point]) -> list[Box]:
    figure.draw_without_rendering()
    wanted = {point.title for point in points} | {str(i + 1) for i in range(len(points))}
    # Of the text alone: that of an annotation holds its line too.
    extents = [Text.get_window_extent(text) for text in figure.axes[0].texts if text.get_text() in wanted]
    return [Box(box.x0, box.y0, box.x1, box.y1) for box in extents]


@pytest.mark.parametrize("width", [WIDTH_COLUMN, WIDTH_PAGE])
@pytest.mark.parametrize("name", SETS)
def test_drawn_labels_cover_neither_each_other_nor_a_point(name: str, width: float) -> None:
    points = SETS[name]
    figure = draw_cost(points, MIOU, PARAMETERS, ["a note"], width, 2.3)
    boxes = labels(figure, points)
    assert len(boxes) == len(points)
    axes = figure.axes[0]
    spots = axes.transData.transform([(point.cost, point.quality) for point in points])
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for x, y in spots:
        marker = Box(float(x) - 1, float(y) - 1, float(x) + 1, float(y) + 1)
        assert not any(box.overlaps(marker) for box in boxes)


def test_where_titles_have_no_room_numbers_stand_for_them_and_a_note_names_them() -> None:
    figure = draw_cost(SETS["long"], MIOU, PARAMETERS, [], WIDTH_COLUMN, 2.3)
    assert "1" in [text.get_text() for text in figure.axes[0].texts]
    note = " ".join(text.get_text() for text in figure.texts)
    assert "3 a method of a name that is far too long for a column, number 2" in note


def test_cost_is_drawn_by_its_logarithm_only_where_it_spans() -> None:
    assert draw_cost(SETS["wide"], MIOU, PARAMETERS, [], 3.3, 2.3).axes[0].get_xscale() == "log"
    assert draw_cost(SETS["cluster"], MIOU, PARAMETERS, [], 3.3, 2.3).axes[0].get_xscale() == "linear"
    free = [replace(SETS["wide"][0], cost=0.0), *SETS["wide"][1:]]
    assert draw_cost(free, MIOU, PARAMETERS, [], 3.3, 2.3).axes[0].get_xscale() == "linear"


@pytest.mark.parametrize(("column", "arrow", "corner"), [(MIOU, "mIoU (%) ↑", "↖"), (FID, "FID ↓", "↙")])
def test_the_figure_says_which_way_is_better(column: object, arrow: str, corner: str) -> None:
    axes = draw_cost(SETS["cluster"], column, PARAMETERS, [], 3.3, 2.3).axes[0]  # type: ignore[arg-type]
    assert axes.get_ylabel() == arrow
    assert axes.get_xlabel() == "Parameters (M) ↓"
    assert axes.get_title(loc="left").startswith(corner)


def test_error_bars_are_the_sample_deviation_over_seeds() -> None:
    assert Point("a", 1.0, (1.0, 2.0, 3.0)).spread == pytest.approx(1.0)
    assert Point("a", 1.0, (1.0,)).spread is None
