"""COCO-Stuff with 182 classes: 118,287 / 5,000 photos of COCO 2017 with pixel maps of things and stuff.

Caesar, Uijlings and Ferrari, "COCO-Stuff: thing and stuff classes in context", CVPR 2018 (the 164k
release). A label is the COCO id - 1: 0 to 90 things, 91 to 181 stuff, 255 unknown; 11 of the ids name
classes that were never labelled. Three layouts are read, told apart by the label folder:

    train2017/ val2017/                               photos
    stuffthingmaps_trainval2017/{train2017,val2017}/  pixel maps
    instancemaps_trainval2017/{train2017,val2017}/    instance maps, made by `spadebench instance-maps`

    images/{train2017,val2017}/                       the same, as the COCO-Stuff repository lays it out
    annotations/{train2017,val2017}/
    instancemaps_trainval2017/{train2017,val2017}/

    train_img/ train_label/ train_inst/               the SPADE repository's sample
    val_img/ val_label/ val_inst/
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

from harness.data.base import Classes
from harness.data.class_names import read_classes
from harness.data.pairs import PairedFiles, find_pairs
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

CLASSES: Classes = read_classes("coco_stuff", void=255)
SPLITS = ("train", "val")


class Layout(NamedTuple):
    """Folders of a split, relative to the root; {split} stands for train or val."""

    labels: str
    photos: str
    instances: str


_INSTANCES = "instancemaps_trainval2017/{split}2017"
LAYOUTS = (
    Layout("stuffthingmaps_trainval2017/{split}2017", "{split}2017", _INSTANCES),
    Layout("annotations/{split}2017", "images/{split}2017", _INSTANCES),
    Layout("{split}_label", "{split}_img", "{split}_inst"),
)


@DATASETS.register_module(name="coco_stuff")
class CocoStuff(PairedFiles):
    """A split (train, val) of COCO-Stuff in `root`.

    with_photos=False reads no photos, instances=False no instance maps, which then need not be there.
    """

    classes = CLASSES
    markers: ClassVar[tuple[str, ...]] = tuple(
        layout.labels.format(split=split) for layout in LAYOUTS for split in SPLITS
    )
    howto: ClassVar[str] = (
        "expected the folders train2017, val2017 (COCO's photos), stuffthingmaps_trainval2017 (COCO-Stuff's pixel "
        "maps) and instancemaps_trainval2017, or the SPADE repository's train_img, train_label, train_inst; "
        "see docs/datasets.md"
    )

    def __init__(self, root: Path | None, split: str, *, with_photos: bool = True, instances: bool = True) -> None:
        if split not in SPLITS:
            raise UserError(f"coco_stuff has no split '{split}'", mend=did_you_mean(split, SPLITS))
        if root is None:
            raise UserError("coco_stuff needs its folder", mend=self.howto)
        labels, photos, maps = (root / folder.format(split=split) for folder in find_layout(root, split))
        if instances and not maps.is_dir():
            raise UserError(
                "no such folder of instance maps",
                where=str(maps),
                mend="make them with: spadebench instance-maps, see docs/datasets.md",
            )
        super().__init__(
            root, CLASSES, find_pairs(labels, photos if with_photos else None, maps if instances else None)
        )


def find_layout(root: Path, split: str) -> Layout:
    """The first layout whose label folder is there. Raises UserError where none is."""
    for layout in LAYOUTS:
        if (root / layout.labels.format(split=split)).is_dir():
            return layout
    looked = ", ".join(layout.labels.format(split=split) for layout in LAYOUTS)
    raise UserError(f"no label folder for split '{split}'", where=str(root), mend=f"looked for {looked}")
