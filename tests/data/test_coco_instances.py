"""Instance maps from COCO's polygons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import save
from matplotlib.path import Path as Outline

from harness.data.base import read_indices
from harness.data.coco_instances import fill_polygon, instance_map, make_instance_maps, read_things
from harness.data.coco_stuff import CocoStuff
from harness.errors import UserError

# In COCO's coordinates, one more than the pixels'.
SQUARE = [3.0, 3.0, 6.0, 3.0, 6.0, 6.0, 3.0, 6.0]
CORNER = [0.5, 0.5, 3.2, 0.5, 3.2, 3.2, 0.5, 3.2]


def annotations(path: Path, things: list[dict[str, Any]], names: tuple[str, ...] = ("a", "b")) -> Path:
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": things}), encoding="utf-8")
    return path


def thing(image: int, *polygons: list[float]) -> dict[str, Any]:
    return {"id": 5, "image_id": image, "segmentation": list(polygons), "iscrowd": 0}


CROWD = {"id": 6, "image_id": 0, "segmentation": {"counts": [3, 4], "size": [8, 8]}, "iscrowd": 1}


def test_things_are_numbered_from_0_and_drawn_one_pixel_up_and_left():
    label = np.full((8, 8), 104, np.uint8)
    found = instance_map(label, [[CORNER], [SQUARE]])
    wanted = label.copy()
    wanted[:3, :3] = 0
    wanted[2:6, 2:6] = 1
    assert found.dtype == np.uint8
    assert np.array_equal(found, wanted)
    assert (label == 104).all()


def test_all_polygons_of_a_thing_have_one_number():
    found = instance_map(np.full((8, 8), 9, np.uint8), [[CORNER, [7, 7, 8, 7, 8, 8, 7, 8]]])
    assert (found[0, 0], found[7, 7], found[4, 4]) == (0, 0, 9)


def test_more_than_256_things_get_16_bits():
    found = instance_map(np.zeros((8, 8), np.uint8), [[SQUARE]] * 300)
    assert (found.dtype, found[3, 3]) == (np.uint16, 299)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-6, 26), st.floats(-6, 26)), min_size=3, max_size=9))
def test_pixels_inside_are_those_of_another_even_odd_rule(corners: list[tuple[float, float]]):
    points = np.array(corners)
    image = np.zeros((16, 20), np.uint8)
    fill_polygon(image, points, 1)
    rows, columns = np.mgrid[:16, :20]
    places = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float)
    odd = np.zeros(len(places), dtype=bool)
    near = np.zeros(len(places), dtype=bool)
    for one, two in zip(points, np.roll(points, -1, axis=0), strict=True):
        upper, lower = (one, two) if one[1] <= two[1] else (two, one)
        side = (lower[0] - upper[0]) * (places[:, 1] - upper[1]) - (lower[1] - upper[1]) * (places[:, 0] - upper[0])
        odd ^= (upper[1] <= places[:, 1]) & (places[:, 1] < lower[1]) & (side > 0)
        near |= np.abs(side) < 1e-6
    # On a line between two corners rounding may decide.
    assert np.array_equal(image.ravel()[~near] == 1, odd[~near])


def test_a_real_outline_agrees_with_matplotlib():
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([30 + 22.3 * np.cos(turn) + 4 * np.sin(5 * turn), 25 + 18.1 * np.sin(turn)], axis=1)
    image = np.zeros((50, 60), np.uint8)
    fill_polygon(image, points, 1)
    rows, columns = np.mgrid[:50, :60]
    inside = Outline(points).contains_points(np.stack([columns.ravel(), rows.ravel()], axis=1))
    assert np.array_equal(image.ravel() == 1, inside)


def test_borders_and_corners_on_whole_coordinates_count_as_inside():
    image = np.zeros((7, 7), np.uint8)
    fill_polygon(image, np.array([[1.0, 1], [5, 1], [5, 5], [1, 5]]), 1)
    assert (image[1:6, 1:6] == 1).all()
    assert image.sum() == 25


def test_a_polygon_outside_the_image_changes_nothing():
    image = np.zeros((4, 4), np.uint8)
    for shift in ((9.5, 0), (-9.5, 0), (0, 9.5), (0, -9.5)):
        fill_polygon(image, np.array([[0.0, 0], [2, 0], [2, 2]]) + shift, 1)
    assert not image.any()


def test_maps_are_made_for_every_label_and_crowds_are_left_out(tmp_path: Path):
    for name in ("a", "b"):
        save(tmp_path / "labels" / f"{name}.png", np.full((8, 8), 104, np.uint8))
    path = annotations(tmp_path / "instances.json", [CROWD, thing(0, SQUARE)])
    steps: list[tuple[int, int]] = []
    out = tmp_path / "maps"
    assert make_instance_maps(tmp_path / "labels", path, out, lambda done, all_: steps.append((done, all_))) == (2, 0)
    assert steps == [(1, 2), (2, 2)]
    assert np.unique(read_indices(out / "a.png", "instance")).tolist() == [0, 104]
    assert np.unique(read_indices(out / "b.png", "instance")).tolist() == [104]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]


def test_maps_that_are_there_are_kept_unless_they_are_to_be_made_again(tmp_path: Path):
    for name in ("a", "b"):
        save(tmp_path / "labels" / f"{name}.png", np.full((8, 8), 104, np.uint8))
    path = annotations(tmp_path / "instances.json", [thing(0, SQUARE)])
    mine = save(tmp_path / "maps" / "a.png", np.full((8, 8), 7, np.uint8))
    steps: list[tuple[int, int]] = []
    labels, out = tmp_path / "labels", tmp_path / "maps"
    assert make_instance_maps(labels, path, out, lambda done, all_: steps.append((done, all_))) == (1, 1)
    assert steps == [(2, 2)]
    assert read_indices(mine, "instance").max() == 7
    # All of them there: the annotations, which take minutes, are not read.
    assert make_instance_maps(labels, tmp_path / "none.json", out) == (0, 2)
    assert make_instance_maps(labels, path, out, overwrite=True) == (2, 0)
    assert np.unique(read_indices(mine, "instance")).tolist() == [0, 104]


def test_the_label_maps_themselves_are_never_written_over(tmp_path: Path):
    save(tmp_path / "labels" / "a.png", np.full((8, 8), 104, np.uint8))
    path = annotations(tmp_path / "instances.json", [thing(0, SQUARE)])
    with pytest.raises(UserError, match="would take the place of the label maps"):
        make_instance_maps(tmp_path / "labels", path, tmp_path / "maps" / ".." / "labels", overwrite=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no label file in this folder"):
        make_instance_maps(tmp_path / "empty", path, tmp_path / "maps")


def test_the_official_maps_of_the_real_samples_are_what_ours_are_made_to_be(shared: Path):
    """Without the polygons the official maps cannot be made again; how they are built can be seen in them."""
    data, sizes = CocoStuff(shared / "data" / "coco_stuff_sample", "val"), []
    for index in range(len(data)):
        sample = data.load(index)
        assert sample.instance is not None
        drawn = sample.instance != sample.label
        numbers = np.unique(sample.instance[drawn])
        # Counted from 0 within the image, none missing here, and drawn over things (and their edges) alone.
        assert numbers.tolist() == list(range(len(numbers)))
        assert (sample.label[drawn] <= 90).mean() > 0.85
        assert sample.instance.dtype == np.uint8
        sizes.append(len(numbers))
    assert sizes == [20, 2, 11, 2, 5, 14, 2, 4]


def test_a_real_maps_things_drawn_from_their_outlines_give_the_same_map(shared: Path):
    """Each run of a thing's pixels, given as a polygon in COCO's coordinates, is drawn where it was."""
    sample = CocoStuff(shared / "data" / "coco_stuff_sample", "val").load(0)
    assert sample.instance is not None
    drawn = sample.instance != sample.label
    things: list[list[list[float]]] = []
    for number in range(int(sample.instance[drawn].max()) + 1):
        runs = np.diff((drawn & (sample.instance == number)).astype(np.int8), axis=1, prepend=0, append=0)
        rows, starts = np.nonzero(runs == 1)
        ends = np.nonzero(runs == -1)[1]
        polygons = [
            [x0 + 0.6, y + 0.6, x1 + 0.4, y + 0.6, x1 + 0.4, y + 1.4, x0 + 0.6, y + 1.4]
            for y, x0, x1 in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
        ]
        things.append(polygons)
    assert np.array_equal(instance_map(sample.label, things), sample.instance)


def test_annotations_of_another_split_are_reported(tmp_path: Path):
    save(tmp_path / "labels" / "c.png", np.zeros((8, 8), np.uint8))
    path = annotations(tmp_path / "instances.json", [])
    with pytest.raises(UserError, match=r"c\.png: instances\.json does not know this label's photo"):
        make_instance_maps(tmp_path / "labels", path, tmp_path / "maps")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"images": [{}], "annotations": []}', '{"images": 3}', "\xff"])
def test_another_file_is_reported_in_one_line(tmp_path: Path, text: str):
    path = tmp_path / "instances.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"instances\.json: not a file of COCO's instance annotations") as caught:
        read_things(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("polygon", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], ["a"] * 6])
def test_a_polygon_without_three_corners_is_reported(tmp_path: Path, polygon: list[Any]):
    path = annotations(tmp_path / "instances.json", [thing(0, polygon)])
    with pytest.raises(UserError, match="annotation 5 has a polygon that is no list of three or more corners"):
        read_things(path)


def test_a_missing_file_is_reported(tmp_path: Path):
    with pytest.raises(UserError, match="no such file of annotations"):
        read_things(tmp_path / "instances_val2017.json")
