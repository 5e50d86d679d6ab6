"""Names and colours of the known data sets' classes."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

import numpy as np
import pytest

from harness.data.class_names import class_table, read_classes, read_scored

SIZES = {"coco_stuff": 182, "ade20k": 150, "cityscapes": 35}
# COCO ids that name a class but were never labelled.
UNLABELLED = {
    12: "street sign",
    26: "hat",
    29: "shoe",
    30: "eye glasses",
    45: "plate",
    66: "mirror",
    68: "window",
    69: "desk",
    71: "door",
    83: "blender",
    91: "hair brush",
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_every_class_has_a_name_of_its_own_and_a_colour(name: str, size: int):
    classes = read_classes(name, void=255)
    assert (len(classes), len(set(classes.names)), classes.void) == (size, size, 255)
    assert all(text == text.strip() and text for text in classes.names)
    assert all(len(colour) == 3 and 0 <= min(colour) <= max(colour) <= 255 for colour in classes.palette)


@pytest.mark.parametrize("name", ["coco_stuff", "ade20k"])
def test_our_own_colours_are_all_different_and_none_is_black(name: str):
    palette = read_classes(name, void=255).palette
    assert len(set(palette)) == len(palette)
    assert (0, 0, 0) not in palette


def test_coco_stuffs_index_is_the_coco_id_less_one():
    names = read_classes("coco_stuff", void=255).names
    assert {number: names[number - 1] for number in UNLABELLED} == UNLABELLED
    ids = {1: "person", 62: "chair", 90: "toothbrush", 92: "banner", 159: "snow", 182: "wood"}
    assert {number: names[number - 1] for number in ids} == ids


def test_cityscapes_labels_and_the_19_that_are_scored():
    labels = read_classes("cityscapes", void=None)
    named = {7: "road", 11: "building", 24: "person", 33: "bicycle", 34: "license plate"}
    assert {number: labels.names[number] for number in named} == named
    scored, table = read_scored("cityscapes")
    assert (len(scored), scored.void, table.shape, table.dtype) == (19, 255, (35,), np.uint8)
    assert (scored.names[0], scored.names[10], scored.names[18]) == ("road", "sky", "bicycle")
    kept = np.flatnonzero(table != 255)
    assert table[kept].tolist() == list(range(19))
    assert [labels.names[index] for index in kept] == list(scored.names)
    assert [labels.palette[index] for index in kept] == list(scored.palette)


def test_only_cityscapes_has_classes_that_are_not_scored():
    assert [name for name in SIZES if "train" in class_table(name)[0]] == ["cityscapes"]


@pytest.fixture(scope="module")
def mmseg_names() -> ModuleType:
    """mmsegmentation's module of class names, where it is installed."""
    if not (importlib.util.find_spec("mmcv") and importlib.util.find_spec("mmseg")):
        pytest.skip("the extra mmseg is not installed")
    return importlib.import_module("mmseg.utils.class_names")


def test_the_names_are_those_of_mmsegmentation(mmseg_names: ModuleType):
    def theirs(name: str) -> list[str]:
        return [text.strip() for text in mmseg_names.get_classes(name)]

    coco = read_classes("coco_stuff", void=255).names
    assert [name for number, name in enumerate(coco, start=1) if number not in UNLABELLED] == theirs("cocostuff")
    assert list(read_classes("ade20k", void=255).names) == theirs("ade")
    scored, _ = read_scored("cityscapes")
    assert list(scored.names) == theirs("cityscapes")
    assert [list(colour) for colour in scored.palette] == mmseg_names.get_palette("cityscapes")


def test_our_palettes_are_not_mmsegmentations_whose_colours_repeat(mmseg_names: ModuleType):
    """Theirs gives several classes one colour (and COCO-Stuff's black), so a coloured map could not be read back."""
    for name, theirs, distinct in (("coco_stuff", "cocostuff", 162), ("ade20k", "ade", 149)):
        palette = {tuple(colour) for colour in mmseg_names.get_palette(theirs)}
        assert (len(palette), len(palette) < len(mmseg_names.get_classes(theirs))) == (distinct, True)
        ours = read_classes(name, void=255)
        assert len(set(ours.palette)) == len(ours)
        assert (0, 0, 0) not in ours.palette
