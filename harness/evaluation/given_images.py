"""Images that somebody's code made, as files: in a folder or in an archive, matched to the samples by name.

Files may lie in any sub-folders, as PNG, JPEG, WebP, TIFF or BMP. The id of a source is a hash over the
matched samples' names and the bytes of their files: a folder and an archive of it have the same one.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
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
from harness.evaluation.archives import open_archive

T = TypeVar("T")

# What PIL raises for a broken file: no single base class covers them.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@dataclass
class FileSource:
    """Images in files, of a folder or in an archive. kind: `folder` or `archive`.

    places: sample -> where its file is, as `read` takes it; its keys are in the data set's order. where: how a
    place is told to people. matching: what did not match, in a partial set.
    """

    kind: str
    id: str
    places: Mapping[str, Any]
    read: Callable[[Any], bytes]
    where: Callable[[Any], str]
    matching: Matching

    @property
    def names(self) -> tuple[str, ...]:
        """The samples that have an image."""
        return tuple(self.places)

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        """(H, W, 3) uint8 RGB, at the images' own sizes. Raises UserError naming a file that is no image."""
        places = [self.places[name] for name in batch.names]
        return [decoded(self.read(place), self.where(place)) for place in places]

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, **_counts(self.matching)}


def given_source(path: Path, dataset: DataSet, allow_partial: bool = False) -> FileSource:
    """The images of a folder or an archive, whichever `path` is; arguments and errors as `folder_source` has them."""
    opening = folder_source if path.is_dir() else archive_source
    return opening(path, dataset, allow_partial)


def folder_source(folder: Path, dataset: DataSet, allow_partial: bool = False) -> FileSource:
    """The images in and below a folder, matched to the samples by name (harness.data.matching).

    allow_partial: samples without an image and images without a sample may be; score over
    `Subset(dataset, source.names)`. Raises UnmatchedError, which has the whole lists, otherwise.
    """
    files = find_files(folder, "image")
    matching = _matched(files, dataset, folder, allow_partial)
    chosen = {name: files[file] for name, file in matching.matched.items()}
    return FileSource("folder", content_id(chosen, _bytes), chosen, _bytes, str, matching)


def archive_source(path: Path, dataset: DataSet, allow_partial: bool = False) -> FileSource:
    """The images of a zip or tar (gz, xz), matched as those of a folder. Arguments and errors as `folder_source`."""
    archive = open_archive(path)
    if not archive.names:
        raise UserError("this archive holds no images", where=str(path))
    matching = _matched(archive.names, dataset, path, allow_partial)
    chosen, read = matching.matched, archive.read
    return FileSource("archive", content_id(chosen, read), chosen, read, lambda member: f"{path}:{member}", matching)


def _matched(files: Iterable[str], dataset: DataSet, where: Path, allow_partial: bool) -> Matching:
    matching = match_names(files, dataset.names, getattr(dataset, "sample_key", None))
    check_matching(matching, where, allow_partial)
    return matching


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
