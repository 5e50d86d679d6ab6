"""Pictures for a page that needs nothing from elsewhere: files as data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

from harness.errors import UserError

# What a file begins with, by its ending. An SVG shown as an image runs no script.
_KINDS = {".png": ("image/png", b"\x89PNG\r\n"), ".svg": ("image/svg+xml", b"<")}


def page_picture(path: Path) -> tuple[str, str]:
    """(caption, data URI) of a PNG or SVG file, its stem as caption. Raises UserError where it is none."""
    known = _KINDS.get(path.suffix.lower())
    if known is None:
        raise UserError("a page takes PNG and SVG pictures", where=str(path), mend="draw it with --format png or svg")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read this picture: {error.strerror}", where=str(path), mend="see its path") from error
    media, start = known
    if not content.lstrip().startswith(start):
        raise UserError(f"this is no {path.suffix[1:].upper()}", where=str(path), mend="draw it again")
    return path.stem, f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"
