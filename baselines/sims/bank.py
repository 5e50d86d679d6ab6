"""SIMS's memory: the segments of all training photos, on disk and memory-mapped (paper.md, SIMS).

A folder of plain arrays:
    meta.json    format, size, label classes, least share, numbers of photos and segments
    photos.npy   (M, h, w, 3) uint8
    masks.npy    (S, words) uint64: the h·w bits of a mask, row by row, the lowest bit of a word first
    counts.npy   (S, cells): pixels of a mask in each cell of a coarse grid, for a bound on overlaps
    classes.npy, images.npy, areas.npy   (S,) int64: class, row of photos.npy, pixels
It is written in one pass, photo by photo, and only the arrays of a number a segment are gathered in RAM.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from baselines.sims.segments import find_segments
from harness.errors import UserError
from harness.method import MemorySample

FORMAT = "sims-1"
WORD = 64
# Cells of the coarse grid, down and across.
GRID = (8, 16)
WORDS = np.dtype("<u8")
ARRAYS = ("photos", "masks", "counts", "classes", "images", "areas")


@dataclass(frozen=True)
class Layout:
    """How masks of a size (h, w) lie in words, and which cell of the grid each byte counts to.

    A cell is a set of bytes. Any set will do for an exact bound: where the width is no multiple of 8, a
    byte that runs over the end of a row counts to the cell of its first pixel.
    """

    size: tuple[int, int]

    @property
    def words(self) -> int:
        return -(-self.size[0] * self.size[1] // WORD)

    @property
    def cells(self) -> int:
        """Cells of the grid that have a byte."""
        return len(self._cells[1])

    @property
    def count_type(self) -> np.dtype[Any]:
        """The smallest unsigned integer that holds the pixels of any one cell."""
        return np.min_scalar_type(int(np.diff(self._cells[1], append=self.words * WORD // 8).max()) * 8)

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bytes of a mask, cell by cell, and where each cell that has a byte starts among them."""
        height, width = self.size
        rows, columns = np.divmod(np.arange(self.words * WORD // 8) * 8, width)
        rows = np.minimum(rows, height - 1)  # the padding of the last word
        cells = rows * GRID[0] // height * GRID[1] + columns * GRID[1] // width
        order = np.argsort(cells, kind="stable")
        return order, np.flatnonzero(np.diff(cells[order], prepend=-1))

    def packed(self, masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """(S, h, w) masks -> (S, words)."""
        bits = np.packbits(masks.reshape(len(masks), self.size[0] * self.size[1]), axis=1, bitorder="little")
        padded = np.zeros((len(masks), self.words * WORD // 8), dtype=np.uint8)
        padded[:, : bits.shape[1]] = bits
        return padded.view(WORDS)

    def unpacked(self, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """(S, words) -> (S, h, w) masks."""
        height, width = self.size
        octets = np.ascontiguousarray(words).view(np.uint8)
        bits = np.unpackbits(octets, axis=1, count=height * width, bitorder="little")
        return bits.reshape(-1, height, width).astype(bool)

    def counts(self, words: NDArray[np.uint64]) -> NDArray[np.integer]:
        """(S, words) -> (S, cells) pixels of each mask in each cell that has a byte."""
        order, starts = self._cells
        pixels = np.bitwise_count(np.ascontiguousarray(words).view(np.uint8))[:, order]
        return np.add.reduceat(pixels, starts, axis=1, dtype=self.count_type)


class _Rows:
    """An .npy file that grows by rows."""

    def __init__(self, path: Path, dtype: np.dtype[Any], row: tuple[int, ...]) -> None:
        self.dtype, self.row, self.count = dtype, row, 0
        self.file: BinaryIO = path.open("wb")
        self._write_header()

    def _write_header(self) -> None:
        # numpy leaves room in a header for the first axis to grow.
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.row)}
        npy.write_array_header_1_0(self.file, header)

    def add(self, rows: NDArray) -> None:
        """Append (n, *row)."""
        self.file.write(np.ascontiguousarray(rows, dtype=self.dtype).tobytes())
        self.count += len(rows)

    def finish(self) -> None:
        """Put the number of rows into the header."""
        self.file.seek(0)
        self._write_header()
        self.file.close()


class BankWriter:
    """Writes a bank into an empty folder, photo by photo; leaving its context well makes it whole."""

    def __init__(self, folder: Path, size: tuple[int, int], classes: int, min_share: float) -> None:
        self.folder, self.layout, self.classes, self.min_share = folder, Layout(size), classes, min_share
        self._photos = _Rows(folder / "photos.npy", np.dtype(np.uint8), (*size, 3))
        self._masks = _Rows(folder / "masks.npy", WORDS, (self.layout.words,))
        self._gathered: dict[str, list[NDArray]] = {name: [] for name in ("counts", "classes", "images", "areas")}

    def add(self, photo: NDArray[np.uint8], words: NDArray[np.uint64], classes: NDArray[np.int64]) -> None:
        """The next photo (h, w, 3), and the packed masks (S, words) and classes (S,) of its segments."""
        self._gathered["counts"].append(self.layout.counts(words))
        self._gathered["classes"].append(np.asarray(classes, dtype=np.int64))
        self._gathered["images"].append(np.full(len(words), self._photos.count, dtype=np.int64))
        self._gathered["areas"].append(np.bitwise_count(words).sum(axis=1, dtype=np.int64))
        self._photos.add(photo[None])
        self._masks.add(words)

    def __enter__(self) -> BankWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self._photos.file.close()
            self._masks.file.close()
            return
        for name, parts in self._gathered.items():
            np.save(self.folder / f"{name}.npy", np.concatenate(parts), allow_pickle=False)
        self._photos.finish()
        self._masks.finish()
        meta = {
            "format": FORMAT,
            "size": list(self.layout.size),
            "classes": self.classes,
            "min_share": self.min_share,
            "photos": self._photos.count,
            "segments": self._masks.count,
        }
        # Last, so that a folder with it is whole.
        (self.folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def build_bank(
    samples: Sequence[MemorySample],
    folder: Path,
    size: tuple[int, int],
    classes: int,
    min_share: float,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the bank of a training split into an empty folder, with one photo and its masks in RAM at a time.

    Segments that are no larger than min_share of the image are left out, as they are of a query. Raises
    UserError where there is no sample, one is of another size, or the disk is full.
    """
    if not len(samples):
        raise UserError("there is no training photo to remember", where="generator 'sims'")
    try:
        with BankWriter(folder, size, classes, min_share) as writer:
            for i in range(len(samples)):
                _add(writer, samples[i])
                if progress is not None:
                    progress(i + 1, len(samples))
    except OSError as error:
        raise UserError(
            f"cannot build the memory: {error.strerror or error}",
            where=str(error.filename or folder),
            mend="free some space, or restore the data",
        ) from error


def _add(writer: BankWriter, sample: MemorySample) -> None:
    height, width = writer.layout.size
    if tuple(sample.indices.shape) != (height, width) or tuple(sample.photo.shape) != (3, height, width):
        raise UserError(
            f"sample '{sample.name}' is not of {width}x{height}",
            where="generator 'sims'",
            mend="a memory is of the generator's size",
        )
    found = find_segments(sample.indices.numpy(), writer.min_share)
    words = writer.layout.packed(found.masks(found.kept))
    writer.add(sample.photo.numpy().transpose(1, 2, 0), words, found.classes[found.kept])


class Bank:
    """An opened bank; `photos`, `masks` and `counts` are memory-mapped and read where they are asked for.

    Raises UserError where the folder holds no bank, a broken one, or one made for other maps.
    """

    def __init__(self, folder: Path, size: tuple[int, int], classes: int, min_share: float) -> None:
        self.layout = Layout(size)
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
            asked = {"format": FORMAT, "size": list(size), "classes": classes, "min_share": min_share}
            wrong = [key for key, value in asked.items() if meta.get(key) != value]
            if wrong:
                raise _broken(folder, f"made for another {wrong[0]}: {meta.get(wrong[0])}, not {asked[wrong[0]]}")
            photos, segments = int(meta["photos"]), int(meta["segments"])
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
            raise _broken(folder, f"no whole memory of 'sims' ({type(error).__name__})") from error
        shapes = {
            "photos": (photos, *size, 3),
            "masks": (segments, self.layout.words),
            "counts": (segments, self.layout.cells),
            **dict.fromkeys(("classes", "images", "areas"), (segments,)),
        }
        types = {"photos": np.uint8, "masks": WORDS, "counts": self.layout.count_type}
        for name, shape in shapes.items():
            if arrays[name].shape != shape or (segments and arrays[name].dtype != types.get(name, np.int64)):
                raise _broken(folder, f"{name}.npy does not fit meta.json")
        self.photos: NDArray[np.uint8] = arrays["photos"]
        self.masks: NDArray[np.uint64] = arrays["masks"]
        self.counts: NDArray[np.integer] = arrays["counts"]
        self.classes: NDArray[np.int64] = np.array(arrays["classes"])
        self.images: NDArray[np.int64] = np.array(arrays["images"])
        self.areas: NDArray[np.int64] = np.array(arrays["areas"])
        if segments and not (self.images.min() >= 0 and self.images.max() < photos):
            raise _broken(folder, "images.npy points at no photo")

    def __len__(self) -> int:
        return len(self.classes)

    def mask(self, segment: int) -> NDArray[np.bool_]:
        """(h, w): the pixels of a segment."""
        return self.layout.unpacked(self.masks[segment : segment + 1])[0]

    def photo(self, segment: int) -> NDArray[np.uint8]:
        """(h, w, 3) uint8: the photo that a segment is of."""
        return self.photos[self.images[segment]]


def _broken(folder: Path, what: str) -> UserError:
    return UserError(what, where=str(folder), mend="remove the folder: it is built anew")
