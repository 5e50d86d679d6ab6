"""Images that somebody's code made, as files: in a folder or in an archive, matched to the samples by name.

Files may lie in any sub-folders, as PNG, JPEG, WebP, TIFF or BMP. The id of a source is a hash over the
matched samples' names and the bytes of their files: a folder and an archive of it have the same one.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.data.base import DataSet
from harness.data.loading import ScoreBatch
from harness.data.matching import Matching, check_matching, find_files, match_names
from harness.errors import UserError
from harness.evaluation.archives import Archive, open_archive

T = TypeVar("T")

# What PIL raises for a broken file: no single base class covers them.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@dataclass
class FolderSource:
    """The images of a folder. files: sample -> file. matching: what did not match, in a partial set.

    names: the samples that have an image, in the data set's order.
    """

    files: dict[str, Path]
    id: str
    matching: Matching
    kind: str = "folder"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        """(H, W, 3) uint8 RGB, at the images' own sizes. Raises UserError naming a file that is no image."""
        return [decoded(_bytes(self.files[name]), str(self.files[name])) for name in batch.names]

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, **_counts(self.matching)}


@dataclass
class ArchiveSource:
    """The images of a zip or tar file, read in place; else as FolderSource. members: sample -> name in the archive."""

    path: Path
    archive: Archive
    members: dict[str, str]
    id: str
    matching: Matching
    kind: str = "archive"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        """(H, W, 3) uint8 RGB, at the images' own sizes. Raises UserError naming a member that is no image."""
        members = [self.members[name] for name in batch.names]
        return [decoded(self.archive.read(member), f"{self.path}:{member}") for member in members]

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, **_counts(self.matching)}


def given_source(path: Path, dataset: DataSet, allow_partial: bool = False) -> FolderSource | ArchiveSource:
    """The images of a folder or an archive, whichever `path` is; arguments and errors as `folder_source` has them."""
    return (
        folder_source(path, dataset, allow_partial) if path.is_dir() else archive_source(path, dataset, allow_partial)
    )


def folder_source(folder: Path, dataset: DataSet, allow_partial: bool = False) -> FolderSource:
    """The images in and below a folder, matched to the samples by name (harness.data.matching).

    allow_partial: samples without an image and images without a sample may be; score over
    `Subset(dataset, source.names)`. Raises UnmatchedError, which has the whole lists, otherwise.
    """
    files = find_files(folder, "image")
    matching = match_names(files, dataset.names, getattr(dataset, "sample_key", None))
    check_matching(matching, folder, allow_partial)
    chosen = {name: files[file] for name, file in matching.matched.items()}
    return FolderSource(chosen, content_id(chosen, _bytes), matching)


def archive_source(path: Path, dataset: DataSet, allow_partial: bool = False) -> ArchiveSource:
    """The images of a zip or tar (gz, xz), matched as those of a folder. Arguments and errors as `folder_source`."""
    archive = open_archive(path)
    if not archive.names:
        raise UserError("this archive holds no images", where=str(path))
    matching = match_names(archive.names, dataset.names, getattr(dataset, "sample_key", None))
    check_matching(matching, path, allow_partial)
    return ArchiveSource(path, archive, matching.matched, content_id(matching.matched, archive.read), matching)


def content_id(chosen: dict[str, T], read: Callable[[T], bytes]) -> str:
    """12 hex digits of a hash over the samples' names and the bytes of their files, in the order of `chosen`."""
    total = hashlib.sha256()
    for name, place in chosen.items():
        total.update(name.encode() + b"\0" + hashlib.sha256(read(place)).digest())
    return total.hexdigest()[:12]


def decoded(data: bytes, where: str) -> NDArray[np.uint8]:
    """An encoded image as (H, W, 3) uint8 RGB. Raises UserError for a broken one, and as `rgb` does."""
    try:
        with Image.open(BytesIO(data)) as image:
            image.load()
            return rgb(image, where)
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise UserError(
            "cannot read this image file, it is broken or no image", where=where, mend="replace the file"
        ) from error


def rgb(image: Image.Image, where: str) -> NDArray[np.uint8]:
    """A PIL image as (H, W, 3) uint8 RGB; grey is repeated, an alpha channel dropped.

    Raises UserError for values of more than 8 bits, which PIL would cut off.
    """
    if image.mode.startswith(("I", "F")):
        raise UserError(f"an image of mode {image.mode} has more than 8 bits", where=where, mend="save it as 8 bit RGB")
    # A copy: PIL's own buffer is read-only, which torch warns about.
    return np.array(image.convert("RGB"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read: {error.strerror}", where=str(path)) from error


def _counts(matching: Matching) -> dict[str, int]:
    """For the record; a partial set says what it left out."""
    counts = {"images": len(matching.matched)}
    return counts if matching.complete else {**counts, "missing": len(matching.missing), "extra": len(matching.extra)}
