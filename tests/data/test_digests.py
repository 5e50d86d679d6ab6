"""Hashing many files, and remembering it: never another digest than that of the file as it is now."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.data import digests
from harness.data.digests import file_digests


def files(folder: Path, count: int = 5) -> list[Path]:
    paths = [folder / f"{n}.bin" for n in range(count)]
    for n, path in enumerate(paths):
        path.write_bytes(bytes([n]) * 1000)
    return paths


def wanted(paths: list[Path]) -> list[bytes]:
    return [hashlib.sha256(path.read_bytes()).digest() for path in paths]


@pytest.mark.parametrize("remembered_from", [0, 1 << 40])
def test_digests_are_sha256_in_order_remembered_or_not(tmp_path: Path, remembered_from: int) -> None:
    paths = files(tmp_path)
    for _ in range(2):
        assert file_digests(paths[::-1], tmp_path / "c.sqlite", remembered_from) == wanted(paths[::-1])
    assert (tmp_path / "c.sqlite").exists() == (remembered_from == 0)


def test_a_remembered_file_is_not_read_again_and_a_changed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, cache = files(tmp_path), tmp_path / "c.sqlite"
    file_digests(paths, cache, 0)
    read: list[Path] = []
    real = digests._digest
    monkeypatch.setattr(digests, "_digest", lambda path: (read.append(path), real(path))[1])
    assert file_digests(paths, cache, 0) == wanted(paths)
    assert read == []
    before = paths[2].stat()
    paths[2].write_bytes(b"x" * 1000)
    os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and time as before
    assert file_digests(paths, cache, 0) == wanted(paths)
    assert read == [paths[2]]


@pytest.mark.parametrize("damage", [b"", b"no database at all, but long enough to look like a file"])
def test_a_broken_cache_costs_time_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    paths, cache = files(tmp_path), tmp_path / "c.sqlite"
    cache.write_bytes(damage)
    assert file_digests(paths, cache, 0) == wanted(paths)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digests([tmp_path / "none"], tmp_path / "c.sqlite", 0)
