"""What a data set is, and the checks that every one of them makes before a sample is used.

A data set entry is a class: entry(root: Path | None, split: str, **options). `root` is the folder of
this data set (None for one that needs no files). An entry whose classes are always the same has them as
its own attribute `classes` too, so that they are known without the files.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.errors import UserError

# What PIL raises for a broken file: no single base class covers them.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Sample:
    """One sample at its native size.

    label: (H, W) integer class indices; unlabelled pixels hold `classes.void`.
    photo: (H, W, 3) uint8 RGB, or None where a data set is opened without photos.
    instance: (H, W) integer instance ids, or None.
    """

    name: str
    label: NDArray[np.integer]
    photo: NDArray[np.uint8] | None
    instance: NDArray[np.integer] | None = None


@dataclass(frozen=True)
class Classes:
    """Class names in index order, the void value (None: every pixel is labelled), one RGB triple a class."""

    names: tuple[str, ...]
    void: int | None
    palette: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.names)


@runtime_checkable
class DataSet(Protocol):
    """A split of a data set; sample order is the order of `names`, which is sorted."""

    @property
    def classes(self) -> Classes: ...

    @property
    def names(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> Sample:
        """The sample at its native size, checked. Raises UserError naming the file."""
        ...

    def fingerprint(self) -> str:
        """A hash of the split's content, equal wherever the content is equal."""
        ...

    def digests(self) -> Sequence[str]:
        """A hash of each sample's content, in the order of `names`; equal where label and photo are equal."""
        ...


def check_labels(label: NDArray[np.integer], classes: Classes, where: str | Path) -> None:
    """Raise UserError with file, value and legal range where a label value is illegal."""
    highest = max(len(classes) - 1, -1 if classes.void is None else classes.void)
    legal = np.zeros(highest + 1, dtype=bool)
    legal[: len(classes)] = True
    if classes.void is not None:
        legal[classes.void] = True
    # Clipped, so that a wild value in a 32 bit file cannot ask for gigabytes.
    good = legal[np.clip(label, 0, highest)] & (label >= 0) & (label <= highest)
    wrong = label[~good]
    if wrong.size:
        void = "" if classes.void is None else f" or {classes.void} (void)"
        raise UserError(
            f"label value {int(wrong.min())} is out of range",
            where=str(where),
            mend=f"legal: 0 to {len(classes) - 1}{void}",
        )


def check_same_size(label: NDArray[np.integer], photo: NDArray[np.uint8], where: str | Path) -> None:
    """Raise UserError where label and photo differ in size."""
    if label.shape[:2] != photo.shape[:2]:
        (lh, lw), (ph, pw) = label.shape[:2], photo.shape[:2]
        raise UserError(
            f"label is {lw}x{lh} but photo is {pw}x{ph}", where=str(where), mend="label and photo must have one size"
        )


def read_image(path: Path, kind: str) -> NDArray[np.uint8]:
    """A photo file as (H, W, 3) uint8 RGB. Raises UserError where it is missing or broken."""
    return _read(path, kind, "RGB")


def read_indices(path: Path, kind: str) -> NDArray[np.integer]:
    """A label or instance file as (H, W) integers: 8 or 16 bit grey, or the indices of a palette image."""
    return _read(path, kind, None)


def _read(path: Path, kind: str, mode: str | None) -> NDArray:
    if not path.is_file():
        raise UserError(f"no such {kind} file", where=str(path))
    try:
        with Image.open(path) as image:
            image.load()
            # A copy: PIL's own buffer is read-only, which torch warns about.
            array = np.array(image.convert(mode) if mode else image)
    except _BROKEN as error:
        raise UserError(
            f"cannot read this {kind} file, it is broken or no image", where=str(path), mend="replace the file"
        ) from error
    if mode is None and array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if mode is None and array.ndim == 2 and not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"a {kind} file must hold integers, this one holds {array.dtype} values",
            where=str(path),
            mend="save it as an 8 or 16 bit grey PNG of class indices",
        )
    if mode is None and array.ndim != 2:
        raise UserError(
            f"a {kind} file must hold one index per pixel, this one has {array.shape[2]} channels",
            where=str(path),
            mend="save it as an 8 or 16 bit grey PNG of class indices",
        )
    return array


def digest_files(paths: Sequence[Path], root: Path) -> str:
    """sha256 over relative names and contents of files, in the given order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
