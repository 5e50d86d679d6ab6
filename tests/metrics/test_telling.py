"""Which images are shown: the rules as they are documented, on confusions of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.metrics.confusion import Confusion, scores
from harness.metrics.telling import lowest_classes, most_telling, scores_by_image, worst_images

CLASSES = ("sky", "road", "bus")


def confusion(*images: list[list[int]], names: tuple[str, ...] | None = None) -> Confusion:
    """From 4x4 matrices, void last."""
    return Confusion.from_dense([np.array(i) for i in images], names or tuple("abcdef"[: len(images)]), CLASSES)


def mixed(right: int, wrong: int = 0, bus: int = 0, bus_wrong: int = 0) -> list[list[int]]:
    """Sky pixels, right and read as road, and bus pixels, right and read as sky."""
    return [[right, wrong, 0, 0], [0, 0, 0, 0], [bus_wrong, 0, bus, 0], [0, 0, 0, 5]]


VOID = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_an_image_scores_as_it_would_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 20, (4, 4, 4)) * (rng.random((4, 4, 4)) < 0.6)
    images[:, 0, 0] += 1
    found = scores_by_image(confusion(*images.tolist()))
    for i, matrix in enumerate(images):
        alone = scores(matrix)
        assert found.miou[i] == pytest.approx(alone["miou"], abs=1e-12)
        assert found.accuracy[i] == pytest.approx(alone["accuracy"], abs=1e-12)
        assert np.allclose(found.iou[i], [np.nan if v is None else v for v in alone["iou"]], equal_nan=True)
        assert np.allclose(found.share[i], matrix[:-1].sum(axis=1) / matrix[:-1].sum())


def test_an_image_without_labels_has_no_score_and_is_not_picked() -> None:
    one, two = confusion(mixed(5, 5), VOID), confusion(mixed(10), VOID)
    found = [scores_by_image(one), scores_by_image(two)]
    assert np.isnan([found[0].miou[1], found[0].accuracy[1], *found[0].share[1]]).all()
    assert [t.name for t in most_telling(found, 1)] == ["a"]
    with pytest.raises(UserError, match=r"2 images of 1 \(choose 1 to 1\)"):
        most_telling(found, 2)


def test_the_largest_spread_comes_first_and_equal_ones_by_name() -> None:
    # Accuracy spreads of b 0.5, a and c 0.2, d 0.
    names = ("d", "c", "b", "a")
    methods = [
        confusion(mixed(9, 1), mixed(10), mixed(10), mixed(8, 2), names=names),
        confusion(mixed(9, 1), mixed(8, 2), mixed(5, 5), mixed(10), names=names),
        confusion(mixed(9, 1), mixed(9, 1), mixed(7, 3), mixed(9, 1), names=names),
    ]
    found = most_telling([scores_by_image(one) for one in methods], 4, "accuracy")
    assert [t.name for t in found] == ["b", "a", "c", "d"]
    assert [t.spread for t in found] == pytest.approx([0.5, 0.2, 0.2, 0])


def test_one_method_tells_nothing() -> None:
    with pytest.raises(UserError, match="here is one"):
        most_telling([scores_by_image(confusion(mixed(5), mixed(6)))], 1)


def test_the_worst_images_are_those_with_enough_of_the_class_and_the_lowest_iou() -> None:
    images = [
        mixed(90, 0, bus=5, bus_wrong=5),  # a: IoU 0.5
        mixed(90, 0, bus=0, bus_wrong=10),  # b: 0
        mixed(80, 0, bus=0, bus_wrong=20),  # c: 0, with more of the class
        mixed(999, 0, bus=0, bus_wrong=1),  # d: 0, with a thousandth of the class
        mixed(90, 0, bus=10),  # e: 1
        mixed(100),  # f: none of it
    ]
    found = scores_by_image(confusion(*images))
    assert [found.names[i] for i in worst_images(found, 2, 9)] == ["c", "b", "a", "e"]
    assert [found.names[i] for i in worst_images(found, 2, 2)] == ["c", "b"]
    assert [found.names[i] for i in worst_images(found, 2, 9, share=0)] == ["c", "b", "d", "a", "e"]
    assert worst_images(found, 1, 9) == []


def test_the_lowest_classes_are_those_that_some_image_has_enough_of() -> None:
    stack = confusion(mixed(90, 10, bus=0, bus_wrong=50), mixed(100))
    assert lowest_classes(stack, 3) == [2, 0]  # road is predicted, and in no label
    assert lowest_classes(stack, 1) == [2]
    assert lowest_classes(stack, 3, share=0.5) == [0]
