"""Images handed over by a Python program: every form of them, each order, and their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from named import Names, batch
from numpy.typing import NDArray
from PIL import Image

from harness.errors import UserError
from harness.evaluation.sources import iterable_source

NAMES = ("a", "b", "c", "d")
DATASET: Any = Names(*NAMES)


def array(value: int) -> NDArray[np.uint8]:
    return np.full((2, 3, 3), value, np.uint8)


ARRAYS = [array(i) for i in range(4)]
PAIRS = list(zip(NAMES, ARRAYS, strict=True))


def values(source: Any, *names: str) -> list[int]:
    return [int(image[0, 0, 0]) for image in source.images(batch(*names))]


def whole_id(images: Any, **options: Any) -> str:
    source = iterable_source(images, DATASET, **options)
    assert (values(source, "a", "b", "c"), source.id) == ([0, 1, 2], "")
    assert values(source, "d") == [3]
    assert source.describe() == {"kind": "images", "id": source.id, "images": 4}
    return source.id


def test_all_forms_and_orders_of_the_same_pixels_have_one_id() -> None:
    tensors = [torch.from_numpy(a).permute(2, 0, 1) for a in ARRAYS]
    forms: list[Any] = [
        ARRAYS,
        np.stack(ARRAYS),
        torch.stack(tensors),
        tensors,
        (Image.fromarray(a) for a in ARRAYS),
        iter(PAIRS),
        PAIRS[::-1],
        [(f"deep/{name}.png", image) for name, image in PAIRS],
        dict(PAIRS[::-1]),
        {f"x/{name}.jpg": image for name, image in PAIRS},
    ]
    ids = {whole_id(form) for form in forms} | {whole_id(reversed(ARRAYS), names=["d.png", "c.png", "b.png", "a.png"])}
    assert len(ids) == 1
    assert len(ids.pop()) == 12


def test_the_id_follows_pixels_shape_and_name() -> None:
    def made(images: list[Any], *names: str) -> str:
        source = iterable_source(images, Names(*names))  # type: ignore[arg-type]
        source.finish()
        return source.id

    ids = [
        made([array(1)], "a"),
        made([array(2)], "a"),
        made([array(1)], "b"),
        made([array(1).transpose(1, 0, 2)], "a"),
    ]
    assert len(set(ids)) == 4
    assert made([array(1)], "a") == ids[0]


@given(st.permutations(NAMES), st.permutations(NAMES), st.booleans())
def test_named_images_may_come_and_be_asked_for_in_any_order(come, asked, once) -> None:
    pairs = [(name, array(NAMES.index(name))) for name in come]
    source = iterable_source(iter(pairs) if once else pairs, DATASET)
    assert values(source, *asked) == [NAMES.index(name) for name in asked]
    assert source.id == whole_id(ARRAYS)


def test_what_can_be_gone_through_again_is_scored_again() -> None:
    class Fresh:
        def __iter__(self) -> Iterator[NDArray[np.uint8]]:
            return iter(ARRAYS)

    for images in (ARRAYS, Fresh(), dict(PAIRS)):
        source = iterable_source(images, DATASET)  # type: ignore[arg-type]
        assert values(source, *NAMES) == values(source, *NAMES) == [0, 1, 2, 3]
    source = iterable_source(iter(ARRAYS), DATASET)
    values(source, *NAMES)
    with pytest.raises(UserError, match="'a' was asked for twice, and a generator gives each once"):
        values(source, "a")


def test_another_image_the_second_time_is_refused() -> None:
    images = {name: array(i) for i, name in enumerate(NAMES)}
    source = iterable_source(images, DATASET)
    values(source, *NAMES)
    images["b"] = array(9)
    with pytest.raises(UserError, match="'b' is another one the second time"):
        values(source, "b")


@pytest.mark.parametrize("images", [iter(ARRAYS), PAIRS, dict(PAIRS)], ids=["bare", "pairs", "mapping"])
def test_a_part_of_a_pass_finishes_to_the_same_id(images: Any) -> None:
    source = iterable_source(images, DATASET)
    assert values(source, "c", "d") == [2, 3]
    assert source.id == ""
    source.finish()
    assert source.id == whole_id(ARRAYS)


def test_a_buffer_that_a_program_uses_again_does_no_harm() -> None:
    def reused() -> Iterator[NDArray[np.uint8]]:
        buffer = array(0)
        for value in range(4):
            buffer[:] = value
            yield buffer

    assert values(iterable_source(reused(), DATASET), *NAMES) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (ARRAYS[:3], "3 images for 4 samples, none for 'd'"),
        ([*ARRAYS, array(4)], "more images than the 4 samples"),
        (PAIRS[:3], "3 images for 4 samples, none for 'd'"),
        ([*PAIRS, ("a", array(1))], "more images than the 4 samples"),
        ([PAIRS[0], *PAIRS], "two images for 'a'"),
        ([("z", array(1)), *PAIRS], "no sample for 'z'"),
        ([ARRAYS[0], *PAIRS[1:]], "some images have a name and some have none"),
        ([array(0).astype(np.float32)] * 4, "a: an image of float32 values must be made uint8 first .*truncate"),
        ([torch.zeros(3, 2, 2)] * 4, "an image of float32 values"),
        ([torch.zeros(2, 2, 3, dtype=torch.uint8)] * 4, r"of shape \(2, 2, 3\) is not \(3, H, W\)"),
        ([array(0)[..., 0]] * 4, r"of shape \(2, 3\) is not \(H, W, 3\)"),
        ([np.stack(ARRAYS)] * 4, r"of shape \(4, 2, 3, 3\)"),
        ([Image.new("I;16", (2, 2))] * 4, "has more than 8 bits"),
        (["a.png"] * 4, "an image cannot be a str"),
    ],
)
def test_wrong_images_and_wrong_numbers_are_refused_in_the_pass(images: list[Any], said: str) -> None:
    source = iterable_source(images, DATASET)
    with pytest.raises(UserError, match=said) as error:
        source.images(batch(*NAMES))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "options", "said"),
    [
        ("a/folder", {}, "a path is no iterable of images"),
        (dict(PAIRS[:3]), {}, "no image for d"),
        (dict(PAIRS), {"names": NAMES}, "a mapping has its names"),
        ({1: ARRAYS[0]}, {}, "1 is no name of an image"),
        (ARRAYS, {"names": ["a", "b", "c", "x"]}, "no sample for x"),
        (ARRAYS, {"names": ["a", "b", "c", "c"]}, "'c' stands twice"),
        (ARRAYS, {"allow_partial": True}, "cannot be known beforehand"),
    ],
)
def test_names_that_do_not_match_are_refused_at_once(images: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        iterable_source(images, DATASET, **options)


def test_names_and_images_must_be_as_many() -> None:
    for images, said in ((ARRAYS[:3], "more names than images"), ([*ARRAYS, array(1)], "fewer names than images")):
        with pytest.raises(UserError, match=said):
            values(iterable_source(images, DATASET, names=NAMES), *NAMES)


def test_a_part_is_scored_where_the_images_have_names() -> None:
    given: list[tuple[Any, dict[str, Any]]] = [
        (dict(PAIRS[1:3]), {}),
        (iter([*ARRAYS[1:3], array(9)]), {"names": ["b", "c", "z"]}),
    ]
    for images, options in given:
        source = iterable_source(images, DATASET, allow_partial=True, **options)
        assert source.names == ("b", "c")
        assert values(source, "b", "c") == [1, 2]
        assert source.id
