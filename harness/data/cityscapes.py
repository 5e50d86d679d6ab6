"""Cityscapes, finely annotated: 2,975 / 500 street photos of 2048x1024 (train, val).

Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016. Layout:

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png      8 bit grey
    gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png   16 bit grey
    leftImg8bit/val/ gtFine/val/                                      the same

Networks read the 35 labels of the data set as they are: class index = labelId, 0 to 33, and the licence
plate (labelId -1, which 8 bits hold as 255; the released files have none) = 34. There is no void: the
labels that are not scored (unlabeled, static, …) are classes of their own. Scores are counted over the
19 trainIds: `scored_classes`, `to_scored`.

A sample is named as its photo (aachen_000000_000019_leftImg8bit), as the official code names its images.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.data.base import read_indices
from harness.data.class_names import read_classes, read_scored
from harness.data.pairs import Pair, PairedFiles
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

CLASSES = read_classes("cityscapes", void=None)
SCORED_CLASSES, TO_SCORED = read_scored("cityscapes")
LICENCE_PLATE = 34
UNLABELED = 0
SPLITS = ("train", "val")
_LABEL, _INSTANCE, _PHOTO = "_gtFine_labelIds.png", "_gtFine_instanceIds.png", "_leftImg8bit.png"
# aachen_000000_000019, and what the data set puts behind it.
_FRAME = re.compile(r"(.+_\d{6}_\d{6})_(?:leftImg8bit|gt(?:Fine|Coarse)_[A-Za-z]+)")


@DATASETS.register_module(name="cityscapes")
class Cityscapes(PairedFiles):
    """A split (train, val) of Cityscapes in `root`.

    with_photos=False reads no photos, instances=False no instance maps. scored_classes: the 19 classes
    that are scored, void 255. to_scored: (35,) uint8, class index -> scored class or 255.
    """

    classes = CLASSES
    scored_classes = SCORED_CLASSES
    to_scored = TO_SCORED
    label_ending: ClassVar[str] = _LABEL
    markers: ClassVar[tuple[str, ...]] = ("gtFine",)
    howto: ClassVar[str] = (
        "expected the folders leftImg8bit and gtFine, each with train and val; they are the contents of "
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com"
    )

    def __init__(self, root: Path | None, split: str, *, with_photos: bool = True, instances: bool = True) -> None:
        if split not in SPLITS:
            raise UserError(f"cityscapes has no split '{split}' with labels", mend=did_you_mean(split, SPLITS))
        if root is None:
            raise UserError("cityscapes needs its folder", mend=self.howto)
        super().__init__(root, CLASSES, _pairs(root, split, with_photos, instances))

    @staticmethod
    def read_label(path: Path) -> NDArray[np.integer]:
        """A labelIds file as class indices 0 .. 34."""
        values = read_indices(path, "label")
        values[(values == 255) | (values == -1)] = LICENCE_PLATE
        return values

    @staticmethod
    def sample_key(stem: str) -> str:
        """City, sequence and frame of a file name: what photo, labels and anybody's output of a sample share."""
        frame = _FRAME.fullmatch(stem)
        return frame[1] if frame else stem

    def fingerprint(self) -> str:
        """As of any data set, and over the way from labelIds to the 19 classes that are scored."""
        scored = f"{self.scored_classes.names} {self.scored_classes.void} {self.to_scored.tolist()}"
        return hashlib.sha256(f"{super().fingerprint()} {scored}".encode()).hexdigest()


def train_ids_to_label_ids(train_ids: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Predictions as trainIds (any shape; 0 to 18, void 255) as labelIds, the form of the benchmark's server.

    Void becomes labelId 0, unlabeled. `TO_SCORED[label]` is the way back. Raises UserError for another value.
    """
    table = np.full(256, UNLABELED, dtype=np.uint8)
    label_ids = np.flatnonzero(SCORED_CLASSES.void != TO_SCORED)
    table[TO_SCORED[label_ids]] = label_ids
    legal = ((train_ids >= 0) & (train_ids < len(SCORED_CLASSES))) | (train_ids == SCORED_CLASSES.void)
    if not legal.all():
        raise UserError(
            f"{int(train_ids[~legal].flat[0])} is no trainId of cityscapes",
            mend=f"legal: 0 to {len(SCORED_CLASSES) - 1}, or 255 (void)",
        )
    return table[train_ids]


def _pairs(root: Path, split: str, with_photos: bool, instances: bool) -> list[Pair]:
    """The samples of a split, over all cities, sorted by name. Raises UserError for the first one alone."""
    labels = _files(root / "gtFine" / split, _LABEL, "label")
    photos = _files(root / "leftImg8bit" / split, _PHOTO, "photo") if with_photos else {}
    maps = _files(root / "gtFine" / split, _INSTANCE, "instance") if instances else {}
    for wanted, files, kind, partners, partner in (
        (with_photos, labels, "label", photos, "photo"),
        (with_photos, photos, "photo", labels, "label"),
        (instances, labels, "label", maps, "instance"),
    ):
        alone = [path for name, path in files.items() if wanted and name not in partners]
        if alone:
            more = f" (the first of {len(alone)} such files)" if len(alone) > 1 else ""
            raise UserError(
                f"this {kind} has no {partner}{more}", where=str(alone[0]), mend="put back the missing files"
            )
    found = [
        Pair(f"{name}{_PHOTO.removesuffix('.png')}", label, photos.get(name), maps.get(name))
        for name, label in labels.items()
    ]
    return sorted(found, key=lambda pair: pair.name)


def _files(folder: Path, ending: str, kind: str) -> dict[str, Path]:
    """city_sequence_frame -> file for the files of a kind in the city folders, sorted."""
    if not folder.is_dir():
        raise UserError(f"no such {kind} folder", where=str(folder), mend=Cityscapes.howto)
    found = {
        path.name.removesuffix(ending): path for path in folder.glob(f"*/*{ending}") if not path.name.startswith(".")
    }
    if not found:
        raise UserError(f"no {kind} file in the city folders", where=str(folder), mend=f"they end in {ending}")
    return dict(sorted(found.items()))
