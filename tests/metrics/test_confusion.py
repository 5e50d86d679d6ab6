"""Confusion per image, its sparse stack, and the scores of a total."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import UserError
from harness.metrics.confusion import CLASS_MEANS, Confusion, image_confusion, merge, scores

few = settings(max_examples=25, deadline=None)


@st.composite
def pairs(draw: st.DrawFn, most: int = 182) -> tuple[NDArray[np.integer], NDArray[np.integer], int, int]:
    """A label map with void, a prediction with void of both kinds, the number of classes, the void value."""
    classes = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    label = rng.integers(0, classes + 1, (height, width))
    label[label == classes] = 255
    prediction = rng.integers(-1, classes + 2, (height, width))
    label[0, 0] = 0  # at least one labelled pixel
    return label, prediction, classes, 255


@few
@given(pairs())
def test_confusion_equals_a_loop_over_pixels(pair):
    label, prediction, classes, void = pair
    expected = np.zeros((classes + 1, classes + 1), np.int64)
    for one, other in zip(label.flat, prediction.flat, strict=True):
        expected[classes if one == void else one, other if 0 <= other < classes else classes] += 1
    got = image_confusion(label, prediction, classes, void)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, expected)
    assert got.sum() == label.size


@few
@given(pairs(most=20))
def test_scores_equal_sets_of_pixels(pair):
    label, prediction, classes, void = pair
    got = scores(image_confusion(label, prediction, classes, void))
    labelled = label != void
    iou, present = [], []
    for index in range(classes):
        here, there = labelled & (label == index), labelled & (prediction == index)
        union = (here | there).sum()
        iou.append((here & there).sum() / union if union else None)
        present.append(here.any())
    assert got["iou"] == pytest.approx(iou)
    assert got["accuracy"] == pytest.approx((label == prediction)[labelled].mean())
    assert got["accuracy_void_wrong"] == pytest.approx((labelled & (label == prediction)).mean())
    total = image_confusion(label, prediction, classes, void)
    means = {
        "union": np.mean([value for value in iou if value is not None]),
        "present": np.mean([value for value, seen in zip(iou, present, strict=True) if seen]),
        "all": np.mean([value or 0.0 for value in iou]),
    }
    assert {mean: scores(total, mean)["miou"] for mean in CLASS_MEANS} == pytest.approx(means)


def test_scores_by_hand():
    # Rows are labels 0, 1, 2, void; class 2 is nowhere, and one pixel of class 1 is predicted void.
    total = np.array([[3, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0], [5, 0, 4, 1]])
    got = scores(total)
    assert got["iou"] == pytest.approx([3 / 4, 2 / 4, None])
    assert got["miou"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert got["accuracy"] == pytest.approx(5 / 7)
    assert got["accuracy_void_wrong"] == pytest.approx(5 / 17)
    assert scores(total, "all")["miou"] == pytest.approx((3 / 4 + 2 / 4) / 3)
    predicted_only = total + np.array([[0, 0, 1, 0]] + [[0] * 4] * 3)
    assert scores(predicted_only)["iou"][2] == 0.0
    assert scores(predicted_only, "present")["miou"] == pytest.approx((3 / 5 + 2 / 4) / 2)


@few
@given(pairs())
def test_a_perfect_prediction_scores_one_whatever_it_says_of_void(pair):
    label, prediction, classes, void = pair
    perfect = np.where(label == void, prediction, label)
    got = scores(image_confusion(label, perfect, classes, void))
    assert got["miou"] == got["accuracy"] == 1.0
    assert {value for value in got["iou"] if value is not None} == {1.0}
    assert got["accuracy_void_wrong"] == pytest.approx((label != void).mean())


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 12))
def test_stack_keeps_every_image_and_merge_ignores_how_they_were_shared_out(seed, images, classes):
    rng = np.random.default_rng(seed)
    dense = [rng.integers(0, 3, (classes + 1, classes + 1)) * rng.integers(0, 2) for _ in range(images)]
    names = [f"photo_{index:02}" for index in range(images)]
    class_names = [f"class{index}" for index in range(classes)]
    whole = Confusion.from_dense(dense, names, class_names)
    for index, matrix in enumerate(dense):
        np.testing.assert_array_equal(whole.dense(index), matrix)
    np.testing.assert_array_equal(whole.total(), np.sum(dense, axis=0))
    order, shards = rng.permutation(images), rng.integers(1, images + 1)
    parts = [
        Confusion.from_dense([dense[i] for i in part], [names[i] for i in part], class_names)
        for part in np.array_split(order, shards)
    ]
    merged = merge(parts)
    assert merged.names == tuple(names)
    for key in ("image", "label", "prediction", "count"):
        np.testing.assert_array_equal(getattr(merged, key), getattr(whole, key))


def test_save_and_load_keep_everything_and_the_bytes_are_the_same_each_time(tmp_path):
    dense = [np.arange(9).reshape(3, 3), np.zeros((3, 3), int), np.eye(3, dtype=int) * 2**40]
    stack = Confusion.from_dense(dense, ["a", "b", "c/ü"], ["sky", "road"])
    stack.save(tmp_path / "one.npz")
    stack.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]
    loaded = Confusion.load(tmp_path / "one.npz")
    assert (loaded.names, loaded.classes) == (stack.names, stack.classes)
    for index, matrix in enumerate(dense):
        np.testing.assert_array_equal(loaded.dense(index), matrix)


def test_an_empty_stack_travels_too(tmp_path):
    Confusion.from_dense([], [], ["sky"]).save(tmp_path / "none.npz")
    loaded = Confusion.load(tmp_path / "none.npz")
    assert len(loaded) == 0
    assert loaded.total().tolist() == [[0, 0], [0, 0]]


def _truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def _out_of_range(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays["label"] = arrays["label"] + 7
    np.savez(path, **arrays)


def _without_counts(path):
    with np.load(path) as file:
        arrays = {key: file[key] for key in file if key != "count"}
    np.savez(path, **arrays)


def _with_a_pickle(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays["count"] = np.array([object()], dtype=object)
    np.savez(path, **arrays)


def _plain_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    "damage",
    [_truncate, _out_of_range, _without_counts, _with_a_pickle, _plain_array, lambda path: path.unlink()],
)
def test_a_bad_file_is_named(tmp_path, damage):
    path = tmp_path / "confusion.npz"
    Confusion.from_dense([np.eye(2, dtype=int)], ["a"], ["sky"]).save(path)
    damage(path)
    with pytest.raises(UserError, match=r"confusion\.npz"):
        Confusion.load(path)


def test_an_illegal_label_is_told_with_its_value_and_the_legal_range():
    with pytest.raises(UserError, match=r"label value 7 is out of range .*0 to 2 or 255 \(void\)"):
        image_confusion(np.array([[0, 7]]), np.array([[0, 0]]), 3, 255)
    with pytest.raises(UserError, match=r"label value -1 .*legal: 0 to 2"):
        image_confusion(np.array([[0, -1]]), np.array([[0, 0]]), 3, None)


def test_sizes_that_differ_are_told():
    with pytest.raises(UserError, match=r"\(2, 3\).*\(3, 2\)"):
        image_confusion(np.zeros((2, 3), int), np.zeros((3, 2), int), 3, None)


def test_small_integer_types_do_not_overflow():
    label, prediction = np.full((40, 40), 181, np.uint8), np.full((40, 40), 180, np.uint8)
    assert image_confusion(label, prediction, 182, 255)[181, 180] == 1600


def test_a_void_value_inside_the_classes_is_void():
    got = image_confusion(np.array([[0, 1]]), np.array([[1, 1]]), 2, 0)
    assert got.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_nothing_labelled_is_no_score():
    with pytest.raises(UserError, match="no pixel is labelled"):
        scores(np.array([[0, 0], [3, 4]]))


def test_an_unknown_class_mean_is_told():
    with pytest.raises(UserError, match="did you mean present"):
        scores(np.eye(3), "presnt")  # type: ignore[arg-type]


def test_merging_the_same_image_twice_or_other_classes_is_refused():
    one = Confusion.from_dense([np.eye(2, dtype=int)], ["a"], ["sky"])
    with pytest.raises(UserError, match="'a' was scored twice"):
        merge([one, one])
    with pytest.raises(UserError, match="different classes"):
        merge([one, Confusion.from_dense([np.eye(2, dtype=int)], ["b"], ["road"])])
