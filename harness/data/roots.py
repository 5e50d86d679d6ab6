"""Where data sets and weight files are looked for: an option, an environment variable, a cache folder.

    data      --data-root R, else $SPADEBENCH_DATA, else ~/.cache/spadebench/data
    weights   --weights-root R, else $SPADEBENCH_WEIGHTS, else ~/.cache/spadebench/weights if it is there

The cache folder is under $XDG_CACHE_HOME where that is set.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import UserError
from harness.registry import DATASETS, lookup
from harness.weights import WEIGHTS_VARIABLE

DATA_VARIABLE = "SPADEBENCH_DATA"


def cache_folder() -> Path:
    """The project's cache folder; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spadebench"


def data_root(name: str, given: Path | None = None) -> Path | None:
    """The folder of data set `name`; None for a data set that needs no files.

    The data set lives in R/<name> (or R/<its entry's `folder`>, where it shares another's), or is R itself
    where R holds one of the entry's `markers` (an entry with no markers takes any R that the option or the
    variable names). An entry without a `howto` text needs no files. Raises UserError that says what was
    expected where and how to get it.
    """
    entry = lookup(DATASETS, name)
    howto: str | None = getattr(entry, "howto", None)
    if howto is None:
        return None
    root, source = _root(given, "--data-root", DATA_VARIABLE, "data")
    markers: tuple[str, ...] = getattr(entry, "markers", ())
    if any((root / marker).exists() for marker in markers):
        return root
    folder = root / getattr(entry, "folder", name)
    if folder.is_dir():
        return folder
    if not markers and source and root.is_dir():
        return root
    looked = f"{source} = {root}" if source else f"{root}, the cache folder"
    raise UserError(
        f"data set '{name}' not found",
        where=str(folder),
        mend=f"{howto}; looked in {looked}; point --data-root or {DATA_VARIABLE} at the folder above it or at itself",
    )


def weights_root(given: Path | None = None) -> Path | None:
    """The folder of weight files, or None where none was named and the cache has none.

    Raises UserError where a named folder is missing.
    """
    root, source = _root(given, "--weights-root", WEIGHTS_VARIABLE, "weights")
    if root.is_dir():
        return root
    if source:
        raise UserError("no such folder", where=str(root), mend=f"{source} must name a folder of weight files")
    return None


def _root(given: Path | None, option: str, variable: str, part: str) -> tuple[Path, str]:
    """The root folder, and what named it (empty: it is the cache folder)."""
    if given is not None:
        return given.expanduser(), option
    named = os.environ.get(variable)
    if named:
        return Path(named).expanduser(), variable
    return cache_folder() / part, ""
