"""Anybody's folder of label files in the values of a known data set, with or without the photos.

A data set's own layout need not be there: label files lie in any sub-folders and are read as that data
set reads its own (Cityscapes' labelIds, ADE20K's annotations …). Its class must have `classes` and
`read_label`; `label_ending` says how label files end where other PNGs lie beside them, `sample_key`
what the file names of one sample share.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.data.base import Classes
from harness.data.matching import check_matching, find_files, match_names, without_extension
from harness.data.pairs import LABEL_SUFFIXES, Pair, PairedFiles
from harness.data.subset import sample_fingerprint
from harness.errors import UserError
from harness.registry import DATASETS, lookup


class LabelFolder(PairedFiles):
    """Label files of any folder. A sample's name is its path below the folder, without the extension."""

    def __init__(self, entry: Any, labels: Path, pairs: list[Pair]) -> None:
        super().__init__(labels, entry.classes, pairs, read_label=entry.read_label)
        self.scored_classes: Classes | None = getattr(entry, "scored_classes", None)
        self.to_scored = getattr(entry, "to_scored", None)
        self.sample_key: Callable[[str], str] | None = getattr(entry, "sample_key", None)

    def fingerprint(self) -> str:
        """sha256 over the classes and over names and contents of the samples, wherever the photos lie."""
        return sample_fingerprint(self)


def label_folder(entry: str, labels: Path, photos: Path | None = None) -> LabelFolder:
    """The label files below `labels` as a data set of the convention of `entry`, a registered data set.

    photos: a folder of their photos, matched by name (harness.data.matching). Raises UserError for a
    data set without a convention of its own, an empty folder, and labels and photos that do not match.
    """
    known = lookup(DATASETS, entry)
    if getattr(known, "classes", None) is None or not hasattr(known, "read_label"):
        raise UserError(
            f"data set '{entry}' has no label files of its own kind to read a folder by",
            where=str(labels),
            mend="describe the folder by a classes.yaml and open it as data set 'folder', see docs/your-data.md",
        )
    files = _named(find_files(labels, "label file", LABEL_SUFFIXES), getattr(known, "label_ending", ""))
    by_name: dict[str, Path] = {}
    for file, path in files.items():
        name = without_extension(file)
        if name in by_name:
            raise UserError(
                f"{by_name[name].name} and {path.name} are two label files of one name",
                where=str(path.parent),
                mend="keep one of them",
            )
        by_name[name] = path
    names = sorted(by_name)
    if photos is None:
        return LabelFolder(known, labels, [Pair(name, by_name[name]) for name in names])
    photo_files = find_files(photos, "photo")
    matching = match_names(photo_files, names, getattr(known, "sample_key", None))
    check_matching(matching, photos, kind="photo", sample="label file")
    return LabelFolder(
        known, labels, [Pair(name, by_name[name], photo_files[matching.matched[name]]) for name in names]
    )


def _named(files: dict[str, Path], ending: str) -> dict[str, Path]:
    """The files with a data set's own ending, where any has it."""
    own = {file: path for file, path in files.items() if file.endswith(ending)}
    return own or files
