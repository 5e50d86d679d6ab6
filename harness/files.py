"""Writing by rename, so that a reader never sees half a file and a full disk loses nothing."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import UserError


def make_folder(folder: Path) -> None:
    """Make a folder of results where it is not there. Raises UserError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make this folder: {error.strerror}", where=str(folder), mend="use another --out"
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a fresh path beside `path` to write to; it takes `path`'s place when the block ends well.

    On any error the temporary file is removed and `path` is as it was. An OSError of the writing (a
    full disk, no permission) becomes a UserError that names the file.
    """
    # The suffix stays last, since writers such as numpy and PIL go by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write: {error.strerror or error}", where=str(path), mend="free some space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file by rename."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON by rename, two-space indented, keys in the order given; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
