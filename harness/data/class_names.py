"""Names and colours of the classes of the known data sets, read from data files beside this module.

A file `classes/<data set>.json` lists the classes in index order: name, rgb and, for Cityscapes, the
index among the classes that are scored (`train`). COCO-Stuff's and ADE20K's colours are our own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.base import Classes

SCORED_VOID = 255


def class_table(name: str) -> list[dict[str, Any]]:
    """The rows of a data set's file of classes, in index order: name, rgb and perhaps train."""
    path = Path(__file__).parent / "classes" / f"{name}.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def read_classes(name: str, void: int | None) -> Classes:
    """The classes of a data set. void: the value of unlabelled pixels in its labels."""
    return _classes(class_table(name), void)


def read_scored(name: str) -> tuple[Classes, NDArray[np.uint8]]:
    """The classes that are scored where they are fewer than those that networks read, and the way to them.

    The table (one value for each class of `read_classes`) maps a class index to a scored class's index,
    or to 255 where the class is left out of scores; 255 is the void of the scored classes.
    """
    rows = class_table(name)
    kept = sorted((row for row in rows if row["train"] is not None), key=lambda row: row["train"])
    table = np.array([SCORED_VOID if row["train"] is None else row["train"] for row in rows], dtype=np.uint8)
    return _classes(kept, SCORED_VOID), table


def _classes(rows: list[dict[str, Any]], void: int | None) -> Classes:
    return Classes(
        names=tuple(row["name"] for row in rows),
        void=void,
        palette=tuple((row["rgb"][0], row["rgb"][1], row["rgb"][2]) for row in rows),
    )
