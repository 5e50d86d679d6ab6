"""Label maps, photos and instance maps in folders, paired by file name: what camvid and folder share.

Names and pairing are checked when a data set is opened, contents when a sample is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data.base import (
    Classes,
    Sample,
    check_labels,
    check_same_size,
    read_image,
    read_indices,
)
from harness.data.digests import file_digests
from harness.errors import UserError

T = TypeVar("T")

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# Lossless formats only: JPEG changes label values.
LABEL_SUFFIXES = frozenset({".png", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Pair:
    """The files of one sample. name: file name without its extension."""

    name: str
    label: Path
    photo: Path | None = None
    instance: Path | None = None


def list_files(folder: Path, suffixes: frozenset[str], kind: str) -> dict[str, Path]:
    """Name -> file for the files of a kind directly in `folder`, sorted by name.

    Extensions are compared without case; hidden files and other extensions are left out. Raises
    UserError where the folder is missing or holds two files of one name.
    """
    if not folder.is_dir():
        raise UserError(f"no such {kind} folder", where=str(folder))
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list this {kind} folder: {error.strerror}", where=str(folder)) from error
    found: dict[str, Path] = {}
    for path in entries:
        if path.name.startswith(".") or path.suffix.lower() not in suffixes or path.is_dir():
            continue
        if path.stem in found:
            raise UserError(
                f"{found[path.stem].name} and {path.name} are two {kind} files of one name",
                where=str(folder),
                mend="keep one of them",
            )
        found[path.stem] = path
    return dict(sorted(found.items()))


def find_pairs(labels: Path, photos: Path | None, instances: Path | None) -> list[Pair]:
    """The samples of a split, sorted by name. `photos` or `instances` None: samples go without.

    Raises UserError for a missing or empty folder and for the first file without its partner.
    """
    label_files = list_files(labels, LABEL_SUFFIXES, "label")
    photo_files = None if photos is None else list_files(photos, PHOTO_SUFFIXES, "photo")
    instance_files = None if instances is None else list_files(instances, LABEL_SUFFIXES, "instance")
    for folder, files, kind, suffixes in (
        (labels, label_files, "label", LABEL_SUFFIXES),
        (photos, photo_files, "photo", PHOTO_SUFFIXES),
    ):
        if files is not None and not files:
            extensions = ", ".join(sorted(suffixes))
            raise UserError(
                f"no {kind} file in this folder", where=str(folder), mend=f"it must hold {extensions} files"
            )
    if photos is not None and photo_files is not None:
        _check_partners(label_files, "label", photo_files, "photo", photos)
        _check_partners(photo_files, "photo", label_files, "label", labels)
    if instances is not None and instance_files is not None:
        _check_partners(label_files, "label", instance_files, "instance", instances)
    return [
        Pair(
            name,
            label,
            None if photo_files is None else photo_files[name],
            None if instance_files is None else instance_files[name],
        )
        for name, label in label_files.items()
    ]


def _check_partners(
    files: dict[str, Path], kind: str, partners: dict[str, Path], partner_kind: str, partner_folder: Path
) -> None:
    alone = [path for name, path in files.items() if name not in partners]
    if alone:
        more = f" (the first of {len(alone)} such files)" if len(alone) > 1 else ""
        raise UserError(
            f"this {kind} has no {partner_kind}{more}",
            where=str(alone[0]),
            mend=f"expected {partner_folder / alone[0].stem} with a {partner_kind}'s extension",
        )


ReadLabel = Callable[[Path], NDArray[np.integer]]


class PairedFiles:
    """A split whose samples are files in folders under `root`. Meets the DataSet contract.

    read_label: reads a label file as class indices, where not as this class does.
    load may be called from several threads at once.
    """

    def __init__(
        self, root: Path, classes: Classes, pairs: Sequence[Pair], read_label: ReadLabel | None = None
    ) -> None:
        self._read_label = read_label or self.read_label
        self.root = root
        self.classes = classes
        self.pairs = tuple(pairs)
        self.names = tuple(pair.name for pair in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> Sample:
        """The sample at its native size, checked. Raises UserError naming the file."""
        pair = self.pairs[index]
        label = self._read_label(pair.label)
        check_labels(label, self.classes, pair.label)
        photo = None
        if pair.photo is not None:
            photo = read_image(pair.photo, "photo")
            check_same_size(label, photo, pair.label)
        instance = None
        if pair.instance is not None:
            instance = read_indices(pair.instance, "instance")
            if instance.shape != label.shape:
                (h, w), (lh, lw) = instance.shape, label.shape
                raise UserError(
                    f"instance map is {w}x{h} but label is {lw}x{lh}",
                    where=str(pair.instance),
                    mend="instance map and label must have one size",
                )
        return Sample(pair.name, label, photo, instance)

    @staticmethod
    def read_label(path: Path) -> NDArray[np.integer]:
        """A label file as class indices. A data set whose files hold other values translates them here."""
        return read_indices(path, "label")

    def fingerprint(self) -> str:
        """sha256 over the classes and over the names and bytes of all files of the split."""
        files = [path for pair in self.pairs for path in (pair.label, pair.photo, pair.instance) if path is not None]
        contents = _readable(lambda: _contents(files, self.root))
        return hashlib.sha256(f"{self.classes.names} {self.classes.void} {contents}".encode()).hexdigest()

    def digests(self) -> list[str]:
        """sha256 of each sample's label and photo files, in the order of `names`; names do not count."""
        own = [[path for path in (pair.label, pair.photo) if path is not None] for pair in self.pairs]
        found = iter(_readable(lambda: file_digests([path for paths in own for path in paths])))
        return [hashlib.sha256(b"".join(next(found) for _ in paths)).hexdigest() for paths in own]


def _contents(files: Sequence[Path], root: Path) -> str:
    """sha256 over names below `root` and contents of files, in the given order."""
    total = hashlib.sha256()
    for path, digest in zip(files, file_digests(files), strict=True):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + digest)
    return total.hexdigest()


def _readable(read: Callable[[], T]) -> T:
    """What `read` gives; a file that cannot be read becomes a UserError."""
    try:
        return read()
    except OSError as error:
        raise UserError(f"cannot read: {error.strerror}", where=str(error.filename)) from error
