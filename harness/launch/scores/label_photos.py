"""Labels for photos that have none, by a segmenter, as a data set of the kind `folder`.

    TO/classes.yaml             names, void, palette, and labels_by: the segmenter and its weights
    TO/photos/<split>/          copies of the photos, unless these are the photos that were named
    TO/labels/<split>/NAME.png  class indices at the photo's own size

The paper trained so on photos of landscapes, with DeepLabV2's labels.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from harness.data.base import Classes, read_image
from harness.data.folder import Description, distinct_colours, read_description
from harness.data.pairs import PHOTO_SUFFIXES, list_files
from harness.errors import UserError
from harness.evaluation.evaluate import exact_arithmetic
from harness.files import atomic_path, write_text
from harness.registry import DATASETS, SEGMENTERS, SUITES, lookup, names
from harness.segmenters.base import Segmenter

VOID = 255


@dataclass(frozen=True)
class Labelled:
    """What was done. labels_by: name@weights of the segmenter."""

    written: int
    kept: int
    labels_by: str


def scored_classes_of(suite_name: str) -> Classes:
    """The classes that a suite's segmenter answers in, without the files of its data set.

    Raises UserError for a suite whose data set says its classes only when it is opened.
    """
    entry = lookup(DATASETS, lookup(SUITES, suite_name)().data)
    found = getattr(entry, "scored_classes", None) or getattr(entry, "classes", None)
    if not isinstance(found, Classes):
        raise UserError(
            f"suite '{suite_name}' has no classes of its own", where="--classes", mend="name a classes.yaml"
        )
    return found


def classes_of(spec: str, named: str | None) -> Classes:
    """The classes that a segmenter's answers are indices of.

    named: a suite, or a YAML file as data set `folder` has it; None: the suite that is scored by the
    segmenter `spec`. Raises UserError where none or several have other classes.
    """
    if named is not None and Path(named).suffix in (".yaml", ".yml"):
        said = read_description(Path(named))
        palette = tuple(said.palette) if said.palette else distinct_colours(len(said.names))
        return Classes(tuple(said.names), said.void, palette)
    if named is not None:
        return scored_classes_of(named)
    if ":" not in spec:
        lookup(SEGMENTERS, spec)
    found: dict[Classes, str] = {}
    for name in names(SUITES):
        suite = lookup(SUITES, name)()
        if spec not in (suite.protocol.segmenter, *(changed.get("segmenter") for changed in suite.variants.values())):
            continue
        try:
            found.setdefault(scored_classes_of(name), name)
        except UserError:  # a suite that borrows the segmenter for a user's folder
            continue
    if len(found) != 1:
        why = f"suites {', '.join(found.values())} differ" if found else f"no suite is scored by '{spec}'"
        raise UserError(
            f"the names of the classes are not known: {why}",
            where="make-labels",
            mend="--classes SUITE, or --classes FILE.yaml with `names: [sky, …]`",
        )
    return next(iter(found))


def label_photos(
    photos: Path,
    segmenter: Segmenter,
    classes: Classes,
    to: Path,
    split: str = "train",
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Label every photo that lies directly in `photos`, into the split `split` of the data set in `to`.

    Photos that lie in TO/photos/<split> already are used there, others are copied. A label that is there
    is kept, so that a stopped run goes on, or made again with `overwrite`. Answers of `len(classes)` and
    above become void, 255 (65535 beyond 255 classes).

    Raises UserError where the segmenter has another number of classes, where `to` holds labels of other
    classes or by another segmenter, and for broken photos.
    """
    labels_by = f"{segmenter.name}@{segmenter.weights}"
    if segmenter.classes != len(classes):
        raise UserError(
            f"segmenter {segmenter.name} has {segmenter.classes} classes, {len(classes)} are named",
            where="--classes",
            mend="name the suite or file of the data that it was trained on",
        )
    if not split or split.startswith(".") or Path(split).name != split:
        raise UserError(f"'{split}' is no name of a split", where="--split", mend="a folder's name, such as train")
    files = list_files(photos, PHOTO_SUFFIXES, "photo")
    if not files:
        raise UserError("no photo in this folder", where=str(photos), mend="jpg, png, webp, bmp or tiff, not below it")
    void = VOID if len(classes) <= VOID else 65535
    _describe(to, classes, void, labels_by)
    kept = 0
    for done, (name, path) in enumerate(files.items(), start=1):
        label_file = to / "labels" / split / f"{name}.png"
        fresh = _copied(path, to / "photos" / split / path.name)
        if label_file.is_file() and not fresh and not overwrite:
            kept += 1
        else:
            label = _label(segmenter, read_image(path, "photo"), void)
            with atomic_path(label_file) as temporary:
                Image.fromarray(label).save(temporary)
        if progress is not None:
            progress(done, len(files))
    return Labelled(len(files) - kept, kept, labels_by)


def _label(segmenter: Segmenter, photo: NDArray[np.uint8], void: int) -> NDArray[np.integer]:
    """(H, W, 3) uint8 -> (H, W) class indices, uint8 or uint16."""
    with exact_arithmetic():
        found = segmenter.predict(torch.from_numpy(photo).permute(2, 0, 1)[None].float())[0]
    if tuple(found.shape) != photo.shape[:2]:
        raise UserError(f"segmenter {segmenter.name} answers {tuple(found.shape)} for {photo.shape[:2]} pixels")
    found = torch.where((found >= 0) & (found < segmenter.classes), found, void)
    return found.cpu().numpy().astype(np.uint8 if void <= VOID else np.uint16)


def _copied(source: Path, target: Path) -> bool:
    """Copy a photo to where the data set reads it; whether that was needed."""
    if target.is_file() and (target.samefile(source) or target.stat().st_size == source.stat().st_size):
        return False
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return True


def _describe(to: Path, classes: Classes, void: int, labels_by: str) -> None:
    """Write classes.yaml, before the first label; one that is there must say the same."""
    path = to / "classes.yaml"
    if path.is_file():
        there = read_description(path)
        if (tuple(there.names), there.void, there.labels_by) != (classes.names, void, labels_by):
            raise UserError(
                f"this data set's labels are by {there.labels_by or 'nobody it names'}, or of other classes",
                where=str(path),
                mend=f"write those by {labels_by} to another folder",
            )
        return
    if (to / "labels").is_dir():
        raise UserError("label maps without a description are here", where=str(to), mend="write to another folder")
    said = Description(names=list(classes.names), void=void, palette=list(classes.palette), labels_by=labels_by)
    values = {key: value for key, value in said.model_dump(mode="json").items() if value}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    write_text(path, f"# The labels were made by a segmenter, not by people.\n{text}")
