"""COCO-Stuff's instance maps: its pixel maps with the polygons of COCO's things drawn in.

COCO-Stuff has no instance maps; the paper's were made so (paper.md, "COCO-Stuff instance maps"): the
pixel map is the base, every annotation given as polygons takes the next id of its image, counted from 0,
crowds (run lengths) are left out, and polygon coordinates are shifted by -1. Ids can equal label
values: only differences between neighbours are read, as edges.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.data.base import read_indices
from harness.data.pairs import LABEL_SUFFIXES, list_files
from harness.errors import UserError
from harness.files import atomic_path

Polygon = Sequence[float]  # x0, y0, x1, y1, … in pixels
Things = list[list[Polygon]]  # of an image: the polygons of each annotation


def instance_map(label: NDArray[np.integer], things: Sequence[Sequence[Polygon]]) -> NDArray[np.integer]:
    """The instance map of a pixel map (H, W): each thing's polygons filled with its place in `things`.

    Later things cover earlier ones. The result is uint8, or uint16 where there are more than 256 things.
    """
    instances: NDArray[np.integer] = label.astype(np.uint8)
    if len(things) > 256:
        instances = label.astype(np.uint16)
    for number, polygons in enumerate(things):
        for polygon in polygons:
            fill_polygon(instances, np.asarray(polygon, dtype=np.float64).reshape(-1, 2) - 1, number)
    return instances


def fill_polygon(image: NDArray[np.integer], corners: NDArray[np.float64], value: int) -> None:
    """Set the pixels of `image` (H, W) whose whole coordinates lie in or on a polygon, by the even-odd rule.

    corners: (K, 2), x and y; parts outside the image are cut off. PIL's own polygons will not do: they
    cut coordinates to whole numbers first.
    """
    (left, top), (right, bottom) = np.ceil(corners.min(axis=0)), np.floor(corners.max(axis=0))
    left, top = max(0, int(left)), max(0, int(top))
    box = image[top : max(0, int(bottom) + 1), left : max(0, int(right) + 1)]
    if box.size:
        box[_inside(corners - (left, top), box.shape)] = value


def _inside(corners: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W) bool of the given shape: pixels in or on a polygon."""
    height, width = shape
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    rows = np.arange(height, dtype=np.float64)[:, None]
    # Half open, so that a corner between two edges counts once.
    crossed = (np.minimum(y0, y1) <= rows) & (rows < np.maximum(y0, y1))
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros_like(x0), where=y1 != y0)
    crossings = np.sort(np.where(crossed, x0 + (rows - y0) * slope, np.inf), axis=1)
    # Changes along a row: +1 where a run begins, -1 after it.
    changes = np.zeros((height, width + 1), dtype=np.int32)
    number = np.arange(height)
    for pair in range(0, int(crossed.sum(axis=1).max()), 2):
        there = np.isfinite(crossings[:, pair])
        first = np.ceil(crossings[there, pair]).clip(0, width).astype(np.int64)
        after = (np.floor(crossings[there, pair + 1]) + 1).clip(0, width).astype(np.int64)
        # Between two pixels there may be none.
        whole = first < after
        np.add.at(changes, (number[there][whole], first[whole]), 1)
        np.add.at(changes, (number[there][whole], after[whole]), -1)
    inside = changes.cumsum(axis=1)[:, :width] > 0
    _add_lower_border(inside, corners)
    return inside


def _add_lower_border(inside: NDArray[np.bool_], corners: NDArray[np.float64]) -> None:
    """Add what half open edges leave out: whole corners, and level edges on a whole row."""
    height, width = inside.shape
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != int(y0) or not 0 <= y0 < height:
            continue
        low, high = (min(x0, x1), max(x0, x1)) if y0 == y1 else (x0, x0)
        inside[int(y0), max(0, int(np.ceil(low))) : max(0, min(width, int(np.floor(high)) + 1))] = True


def read_things(path: Path) -> dict[str, Things]:
    """The polygons of an instances_*2017.json, by the image's file name without its extension.

    The whole file is held in memory (a few gigabytes for train2017). Raises UserError for a file that
    is missing, no such JSON, or that has a polygon of fewer than three corners.
    """
    if not path.is_file():
        raise UserError("no such file of annotations", where=str(path), mend="it is COCO's instances_*2017.json")
    try:
        tree = json.loads(path.read_bytes())
        stems = {image["id"]: Path(image["file_name"]).stem for image in tree["images"]}
        found: dict[str, Things] = {stem: [] for stem in stems.values()}
        for annotation in tree["annotations"]:
            polygons = annotation["segmentation"]
            # Crowds have a mapping with run lengths here.
            if isinstance(polygons, list):
                found[stems[annotation["image_id"]]].append(_checked(polygons, annotation, path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "not a file of COCO's instance annotations", where=str(path), mend="it is COCO's instances_*2017.json"
        ) from error
    return found


def _checked(polygons: list[Any], annotation: dict[str, Any], path: Path) -> list[Polygon]:
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(isinstance(value, int | float) for value in polygon)
        if not numbers or len(polygon) < 6 or len(polygon) % 2:
            raise UserError(
                f"annotation {annotation.get('id')} has a polygon that is no list of three or more corners",
                where=str(path),
            )
    return polygons


class Made(NamedTuple):
    """How many instance maps were written, and how many were there already."""

    written: int
    kept: int


def make_instance_maps(
    labels: Path,
    annotations: Path,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    overwrite: bool = False,
) -> Made:
    """Write the instance map of every pixel map in `labels` into `folder`.

    annotations: the instances_*2017.json of the same photos. A map that is there is kept, so that a
    stopped run goes on, or made again with `overwrite`. Raises UserError for a folder that is the label
    maps' own, for a pixel map whose photo the annotations do not name, and for broken files.
    """
    if folder.resolve() == labels.resolve():
        raise UserError("instance maps would take the place of the label maps", where=str(folder), mend="another --to")
    files = list_files(labels, LABEL_SUFFIXES, "label")
    if not files:
        raise UserError("no label file in this folder", where=str(labels))
    wanted = {stem: path for stem, path in files.items() if overwrite or not (folder / f"{stem}.png").is_file()}
    kept = len(files) - len(wanted)
    if not wanted:  # the annotations take minutes to read
        if progress is not None:
            progress(kept, kept)
        return Made(0, kept)
    things = read_things(annotations)
    unknown = [path for stem, path in files.items() if stem not in things]
    if unknown:
        raise UserError(
            f"{annotations.name} does not know this label's photo", where=str(unknown[0]), mend="take the same split's"
        )
    for done, (stem, path) in enumerate(wanted.items(), start=1):
        made = instance_map(read_indices(path, "label"), things[stem])
        with atomic_path(folder / f"{stem}.png") as temporary:
            Image.fromarray(made).save(temporary)
        if progress is not None:
            progress(kept + done, len(files))
    return Made(len(wanted), kept)
