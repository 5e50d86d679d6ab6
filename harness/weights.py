"""Finding a weight file on this machine and making sure that it is the right one.

Nothing is ever downloaded: a harness that fetches what it scores with would give other numbers on
the day the address changes, and nothing at all on a cluster node without a network.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError

WEIGHTS_VARIABLE = "SPADEBENCH_WEIGHTS"


def weight_folders(weights_root: Path | None) -> list[Path]:
    """The folders that are searched, first one first: `weights_root`, $SPADEBENCH_WEIGHTS, torch's hub."""
    folders = [weights_root] if weights_root is not None else []
    if named := os.environ.get(WEIGHTS_VARIABLE):
        folders.append(Path(named))
    # The place in which torch.hub keeps downloads, found without importing torch.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch")
    folders.append(torch_home / "hub" / "checkpoints")
    return list(dict.fromkeys(folder.expanduser() for folder in folders))


def find_weights(file_name: str, weights_root: Path | None, sha256_prefix: str | None, get: str) -> Path:
    """The path of a weight file; the first of `weight_folders` that has it wins.

    sha256_prefix: the hex digits (at least 8, as torch's hub writes them into file names) with which
    the file's sha256 must begin; None leaves the content to the caller's own checks. get: how a user
    gets the file, shown when it is missing or wrong. Raises UserError.
    """
    folders = weight_folders(weights_root)
    for folder in folders:
        path = folder / file_name
        if not path.is_file():
            continue
        if sha256_prefix is not None and not _sha256(path).startswith(sha256_prefix.lower()):
            raise UserError(
                f"wrong weights: sha256 begins with {short_digest(path)}, not {sha256_prefix}",
                where=str(path),
                mend=f"replace the file: {get}",
            )
        return path
    looked = ", ".join(str(folder) for folder in folders)
    raise UserError(f"no weight file {file_name}", where=looked, mend=f"{get}, or name its folder by --weights-root")


def short_digest(path: Path) -> str:
    """First 8 hex digits of the file's sha256: what names the weights in a protocol's signature."""
    return _sha256(path)[:8]


def load_state(path: Path) -> dict[str, Any]:
    """The mapping in a torch file, on the CPU, without running code from the file.

    Raises UserError where the file is missing or broken, holds more than tensors and plain values, or
    holds something other than a mapping.
    """
    import torch  # here, so that finding a file stays light

    if not path.is_file():
        raise UserError("no such file", where=str(path))
    try:
        with warnings.catch_warnings():
            # torch warns of a pickle protocol that is not its own; whether the file loads is what counts.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            "refused: this file is broken or holds more than tensors and plain values; nothing in it was run",
            where=str(path),
            mend="save the bare state dict",
        ) from error
    except Exception as error:  # torch raises many kinds for a broken file: RuntimeError, EOFError, KeyError, ...
        raise UserError("cannot read this file, it is broken", where=str(path), mend="replace the file") from error
    if not isinstance(state, Mapping):
        raise UserError(f"not a state dict but a {type(state).__name__}", where=str(path), mend="replace the file")
    return dict(state)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read: {error.strerror or error}", where=str(path)) from error
