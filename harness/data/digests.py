"""sha256 of many files: by threads, and of large sets remembered, since hashing COCO-Stuff takes minutes.

A digest is remembered with the file's size, inode and times of change; where any of these differs the file is
read again. Small sets are always read.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from harness.data.roots import cache_folder

REMEMBERED_FROM = 1 << 28  # bytes in all: below, reading takes about a second
_THREADS = 8
_SCHEMA = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest BLOB NOT NULL)"


def file_digests(
    paths: Sequence[Path], cache: Path | None = None, remembered_from: int = REMEMBERED_FROM
) -> list[bytes]:
    """The sha256 of each file, in order. cache: file of what is remembered; default: in the cache folder.

    remembered_from: bytes in all from which digests are remembered. Raises OSError where a file cannot be read.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        stats = list(pool.map(os.stat, paths))
        if sum(stat.st_size for stat in stats) < remembered_from:
            return list(pool.map(_digest, paths))
        keys = [str(path.resolve()) for path in paths]
        stamps = [f"{s.st_size} {s.st_ino} {s.st_mtime_ns} {s.st_ctime_ns}" for s in stats]
        place = cache or cache_folder() / "digests.sqlite"
        known = _known(place, keys, stamps)
        new = [index for index, key in enumerate(keys) if key not in known]
        found = dict(zip((keys[i] for i in new), pool.map(_digest, (paths[i] for i in new)), strict=True))
    _remember(place, [(keys[i], stamps[i], found[keys[i]]) for i in new])
    return [found.get(key) or known[key] for key in keys]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _known(place: Path, keys: Sequence[str], stamps: Sequence[str]) -> dict[str, bytes]:
    """What is remembered of these files as they are now; a cache that cannot be read remembers nothing."""
    wanted = dict(zip(keys, stamps, strict=True))
    try:
        with closing(sqlite3.connect(place, timeout=30)) as cache:
            rows = cache.execute("SELECT path, stamp, digest FROM digests")
            return {path: digest for path, stamp, digest in rows if wanted.get(path) == stamp}
    except sqlite3.Error:
        return {}


def _remember(place: Path, rows: Sequence[tuple[str, str, bytes]]) -> None:
    """Keep digests; where the cache cannot be written, they are computed again next time."""
    if not rows:
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=30)) as cache, cache:
            cache.execute(_SCHEMA)
            cache.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", rows)
    except (OSError, sqlite3.Error):
        return
