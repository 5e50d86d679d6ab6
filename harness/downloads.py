"""Fetching one file over HTTP so that a broken connection costs only what had not come.

The bytes go to NAME.part beside the target and take its place when they are all there and accepted. A
second call goes on where the part ends, if the server still has the same file (its ETag or its
Last-Modified is kept in NAME.part.json), and starts afresh otherwise.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness import __version__
from harness.errors import UserError
from harness.files import write_json

CHUNK = 1 << 18
SECONDS_OF_SILENCE = 60.0
# What takes (bytes so far, bytes in all or None where the server does not say).
Progress = Callable[[int, int | None], None]


def fetch(
    address: str,
    target: Path,
    size: int | None = None,
    accept: Callable[[Path], object] | None = None,
    progress: Progress | None = None,
) -> None:
    """Download `address` to `target`, going on from NAME.part where there is one.

    size: bytes that the file must have. accept: given the whole part before it takes the name of
    `target`; where it raises UserError the part is removed. A part that came from another address, or
    from a file that the server has changed since, is started afresh. Raises UserError where the server
    refuses or the connection breaks (the part stays), the size is another, the disk does not take
    it, or another process downloads the same file.
    """
    part = Part(target, address)
    with _alone(part.path):
        _transfer(part, size, progress)
        try:
            if accept is not None:
                accept(part.path)
        except UserError:
            part.remove()
            raise
        with _writing(target):
            os.replace(part.path, target)
        part.remove()


@dataclass
class Part:
    """What has come of a file."""

    target: Path
    address: str

    @property
    def path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def remove(self) -> None:
        for path in (self.path, self.note):
            path.unlink(missing_ok=True)

    def kept(self) -> tuple[int, str, int | None]:
        """(bytes there are, what told the server's file from others, bytes in all); 0 bytes where it cannot go on."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            address, version, total = note["address"], note["version"], note["total"]
            have = self.path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return 0, "", None
        if address != self.address or not version or (total is not None and have > total):
            return 0, "", None
        return have, version, total

    def begin(self, version: str, total: int | None) -> None:
        """Forget the bytes, and note whose will come."""
        self.remove()
        write_json(self.note, {"address": self.address, "version": version, "total": total})


def _transfer(part: Part, size: int | None, progress: Progress | None) -> None:
    """Bring the part to its full length."""
    have, version, total = part.kept()
    if have and have == total and size in (None, total):
        return
    answer = _ask(part.address, have)
    if have and not _goes_on(answer, have, version):
        if answer is None or answer.status == http.client.PARTIAL_CONTENT:
            if answer is not None:
                answer.close()
            answer = _ask(part.address, 0)
        have = 0
    assert answer is not None
    with answer:
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        if size is not None and total is not None and total != size:
            part.remove()
            raise UserError(
                f"the server's file has {total} bytes, not {size}", part.address, "it is another file by now"
            )
        if not have:
            part.begin(_version(answer), total)
        have, broke = _append(answer, part.path, have, total, progress)
    wanted = total if total is not None else size
    if broke or (wanted is not None and have < wanted):
        of = f" of {wanted}" if wanted is not None else ""
        raise UserError(
            f"the connection broke after {have}{of} bytes", part.address, "the same command goes on from there"
        )
    if wanted is not None and have != wanted:
        part.remove()
        raise UserError(f"{have} bytes came, not {wanted}", part.address, "nothing was kept")


def _append(answer: Any, path: Path, have: int, total: int | None, progress: Progress | None) -> tuple[int, bool]:
    """Write what comes behind what is there; (bytes there are, whether the connection broke)."""
    # Unbuffered, so that what has come stays when the process is killed.
    with _writing(path), path.open("ab", buffering=0) as file:
        broke = False
        while not broke:
            if progress is not None:
                progress(have, total)
            try:
                chunk = answer.read(CHUNK)
            except (OSError, http.client.HTTPException):
                broke = True
                continue
            if not chunk:
                break
            file.write(chunk)
            have += len(chunk)
        os.fsync(file.fileno())
    return have, broke


def _ask(address: str, start: int) -> Any:
    """The server's answer to a GET from byte `start` on; None where it has no such bytes."""
    headers = {"User-Agent": f"spadebench/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if not address.startswith(("https://", "http://")):
        raise UserError("not an http address", where=address)
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=SECONDS_OF_SILENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise UserError(f"the server answers {error.code} {error.reason}", where=address) from error
    except (OSError, http.client.HTTPException) as error:  # a URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"cannot reach the server: {reason}", where=address, mend="the same command tries again"
        ) from error


def _goes_on(answer: Any, have: int, version: str) -> bool:
    """Whether an answer is the rest of the file of which there are `have` bytes."""
    if answer is None or answer.status != http.client.PARTIAL_CONTENT:
        return False
    return _version(answer) == version and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _version(answer: Any) -> str:
    """What tells the server's file from another one at the same address; empty where the server does not say."""
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keep a second process from writing to the same part."""
    with _writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(part.with_name(f"{part.name}.lock"))
    try:
        with _writing(part):
            lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError("another process downloads this file", where=str(part), mend="wait for it") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an OSError into the line that names the file."""
    try:
        yield
    except Timeout:  # an OSError too
        raise
    except OSError as error:
        raise UserError(
            f"cannot write: {error.strerror or error}", where=str(path), mend="free some space or choose another folder"
        ) from error
