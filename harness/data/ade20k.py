"""ADE20K with 150 classes, in the layout of the scene parsing challenge (20,210 / 2,000 photos).

Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017; the release ADEChallengeData2016. Layout:

    images/training/       ADE_train_00000001.jpg …
    annotations/training/  ADE_train_00000001.png …    8 bit grey: 0 unknown, 1 to 150 the classes
    images/validation/ annotations/validation/         the same

Where `images` and `annotations` have no sub-folders, a split is the files ADE_train_* or ADE_val_*.
A label is returned as class index, file value - 1, with void 255 for unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.data.base import read_indices
from harness.data.class_names import read_classes
from harness.data.pairs import PairedFiles, find_pairs
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

CLASSES = read_classes("ade20k", void=255)
# Split: its folder's name, and how its file names begin.
SPLITS = {"train": ("training", "ADE_train_"), "val": ("validation", "ADE_val_")}
# What lies at the top of the full releases of 2016 and 2021.
_FULL = ("index_ade20k.mat", "index_ade20k.pkl", "ADE20K_2016_07_26", "ADE20K_2021_17_01")


@DATASETS.register_module(name="ade20k")
class Ade20k(PairedFiles):
    """A split (train, val) of ADE20K in `root`. with_photos=False reads the label maps only."""

    classes = CLASSES
    markers: ClassVar[tuple[str, ...]] = (
        "annotations/training",
        "annotations/validation",
        "annotations/ADE_val_00000001.png",
        *_FULL,
    )
    howto: ClassVar[str] = (
        "expected images/training, annotations/training, images/validation, annotations/validation; they are the "
        "contents of ADEChallengeData2016, the scene parsing release of sceneparsing.csail.mit.edu"
    )

    def __init__(self, root: Path | None, split: str, *, with_photos: bool = True) -> None:
        if split not in SPLITS:
            raise UserError(f"ade20k has no split '{split}'", mend=did_you_mean(split, SPLITS))
        if root is None:
            raise UserError("ade20k needs its folder", mend=self.howto)
        _check_release(root)
        folder, beginning = SPLITS[split]
        labels, photos = root / "annotations", root / "images"
        if any((labels / name).is_dir() for name, _ in SPLITS.values()):
            pairs = find_pairs(labels / folder, photos / folder if with_photos else None, None)
        else:
            pairs = find_pairs(labels, photos if with_photos else None, None)
            pairs = [pair for pair in pairs if pair.name.startswith(beginning)]
            if not pairs:
                raise UserError(f"no file {beginning}* in this folder", where=str(labels), mend=self.howto)
        super().__init__(root, CLASSES, pairs)

    @staticmethod
    def read_label(path: Path) -> NDArray[np.integer]:
        """A label file as class indices 0 .. 149, void 255. Raises UserError for a value above 150."""
        values = read_indices(path, "label")
        wrong = values[(values < 0) | (values > len(CLASSES))]
        if wrong.size:
            raise UserError(
                f"label value {int(wrong.max())} is out of range",
                where=str(path),
                mend=f"legal: 1 to {len(CLASSES)}, or 0 (unknown)",
            )
        # 0 - 1 wraps around to 255, the void.
        return values.astype(np.uint8) - np.uint8(1)


def _check_release(root: Path) -> None:
    """Raise UserError where `root` holds the full release, whose files are laid out and coded otherwise."""
    if (root / "annotations").is_dir():
        return
    found = [name for name in _FULL if (root / name).exists()]
    found += [path.name for path in root.glob("images/*/**/*_seg.png")][:1] if not found else []
    if found:
        raise UserError(
            "this is the full release of ADE20K, which is not supported",
            where=str(root / found[0]),
            mend="use the scene parsing release with 150 classes, ADEChallengeData2016",
        )
