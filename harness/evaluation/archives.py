"""Images in a zip or tar file, read in place: nothing is extracted, so no name in it becomes a path.

An archive is somebody else's: absolute names, names with `..`, links and devices are refused, an image's
encoded size is bounded before it is read, and decoding is bounded by PIL. A plain tar and a zip are read
where they lie. A compressed tar can only be read from front to back: its images are held, still encoded,
in memory or in a file without a name.
"""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from PIL import Image

from harness.data.matching import is_wanted
from harness.errors import UserError

# What zipfile and tarfile raise for a broken, encrypted or unknown kind of archive: no base class covers them.
_BROKEN = (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
HELD_IN_MEMORY = 256 << 20
# Photos hardly become smaller: what unpacks to so many times its size is no archive of images.
MOST_UNPACKED, UNPACKED_ALLOWED = 100, 64 << 20


class Archive(Protocol):
    """names: its images, as normalised paths in it, sorted."""

    names: list[str]

    def read(self, name: str) -> bytes:
        """An image, encoded as in the archive. Raises UserError where it cannot be read."""
        ...


def open_archive(path: Path) -> Archive:
    """A zip or tar (plain, gz, xz, bz2), told apart by content. Raises UserError for what it must not hold."""
    if not path.is_file():
        raise UserError("no such folder or archive of images", where=str(path))
    with _readable(path):
        # In this order: a tar whose last file is a zip passes for a zip as well.
        if tarfile.is_tarfile(path):
            return TarArchive(path)
        if zipfile.is_zipfile(path):
            return ZipArchive(path)
    raise UserError("this is no archive of images", where=str(path), mend="give a folder, a zip, or a tar (gz, xz)")


class ZipArchive:
    """The images of a zip file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            name = checked_name(path, member.filename, regular)
            if member.is_dir() or not is_wanted(name):
                continue
            if member.flag_bits & 1:
                raise UserError("this archive is encrypted", where=str(path), mend="pack it without a password")
            _check_image(path, name, member.file_size, self._members)
            self._members[name] = member
        self.names = sorted(self._members)

    def read(self, name: str) -> bytes:
        """An image, encoded. zipfile compares it with its checksum, and reads no more than the size it states."""
        with _readable(self.path, name):
            return self._zip.read(self._members[name])


class TarArchive:
    """The images of a tar file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}  # offset and size of each image
        with _readable(path):
            self._held: IO[bytes] | None = None
            if not _is_plain(path):
                self._held = tempfile.SpooledTemporaryFile(max_size=HELD_IN_MEMORY)  # noqa: SIM115  closed below
                weakref.finalize(self, self._held.close)
            with tarfile.open(path) as archive:
                for member in archive:
                    self._enter(archive, member)
        self.names = sorted(self._places)

    def _enter(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = checked_name(self.path, member.name, (member.isreg() and not member.issparse()) or member.isdir())
        if not member.isreg() or not is_wanted(name):
            return
        _check_image(self.path, name, member.size, self._places)
        if self._held is None:
            self._places[name] = member.offset_data, member.size
            return
        start = self._held.tell()
        if start + member.size > max(MOST_UNPACKED * self.path.stat().st_size, UNPACKED_ALLOWED):
            raise UserError(
                f"unpacks to more than {MOST_UNPACKED} times its size",
                where=f"{self.path}:{name}",
                mend="images do not; pack them anew",
            )
        opened = archive.extractfile(member)
        assert opened is not None
        self._held.write(opened.read())
        self._places[name] = start, member.size

    def read(self, name: str) -> bytes:
        """An image, encoded."""
        start, size = self._places[name]
        with _readable(self.path, name):
            if self._held is not None:
                self._held.seek(start)
                return self._held.read(size)
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(size)


def checked_name(path: Path, name: str, regular: bool) -> str:
    """A member's name, normalised. Raises UserError where it leads out of the archive or is a link or device."""
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise UserError(f"member '{name}' leads out of the archive", where=str(path), mend="pack the folder anew")
    if not regular:
        raise UserError(
            f"member '{name}' is a link or no plain file", where=str(path), mend="pack the images themselves"
        )
    return PurePosixPath(*parts).as_posix()


def _check_image(path: Path, name: str, size: int, known: Collection[str]) -> None:
    """Raise UserError for a second member of one name, and for one larger than any image that PIL decodes."""
    if name in known:
        raise UserError(f"holds '{name}' twice", where=str(path), mend="pack the folder anew")
    # 16 bytes are the most that a pixel takes, uncompressed.
    if Image.MAX_IMAGE_PIXELS is not None and size > 16 * Image.MAX_IMAGE_PIXELS:
        raise UserError(f"{size} bytes are too many for an image", where=f"{path}:{name}", mend="leave it out")


def _is_plain(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.ReadError:
        return False


@contextmanager
def _readable(path: Path, member: str = "") -> Iterator[None]:
    try:
        yield
    except (*_BROKEN, lzma.LZMAError) as error:
        raise UserError(
            f"cannot read this archive: {error}", where=f"{path}:{member}" if member else str(path), mend="replace it"
        ) from error
