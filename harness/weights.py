"""Weight files that others publish: what is known of each, finding one here, making sure it is the right one.

Nothing is downloaded here: a harness that fetches what it scores with would give other numbers on the
day the address changes, and nothing at all on a cluster node without a network. Only the command
`spadebench weights download` downloads.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import UserError
from harness.registry import WEIGHTS, lookup, names

WEIGHTS_VARIABLE = "SPADEBENCH_WEIGHTS"


@dataclass(frozen=True)
class WeightFile:
    """What is known of a weight file. What is not known for sure is None.

    name: what `spadebench weights` calls it. file: its path under a weights folder. page: where a
    person finds it. gives: the number it should give on real photos, or what it is for. users: names
    of the segmenters, feature nets and perceptual nets that read it. address: of the file itself.
    size: bytes. sha256: the hash or how it begins, 8 hex digits or more. licence: an SPDX name or
    words. keys: what its names and shapes are those of; check: loads it as its user does and raises
    UserError where it does not fit; what is asked of a file without a known hash. packaged: a package
    that holds the file, with the folder in it, as package/folder.

    Raises UserError for a file outside of the weights folder, a hash that is none, a size below 1, or
    an address that is not http.
    """

    name: str
    file: str
    page: str
    gives: str
    users: tuple[str, ...]
    address: str | None = None
    size: int | None = None
    sha256: str | None = None
    licence: str = "not stated"
    keys: str | None = None
    check: Callable[[Path], object] | None = field(default=None, repr=False)
    packaged: str | None = None

    def __post_init__(self) -> None:
        where = f"weight file {self.name}"
        path = PurePosixPath(self.file)
        if not path.name or path.is_absolute() or ".." in path.parts or "\\" in self.file:
            raise UserError(f"file '{self.file}' is no path under a weights folder", where)
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{8,64}", self.sha256):
            raise UserError(f"sha256 '{self.sha256}' is not 8 to 64 lower-case hex digits", where)
        if self.size is not None and self.size < 1:
            raise UserError(f"size {self.size} is below 1", where)
        if self.address is not None and not self.address.startswith(("https://", "http://")):
            raise UserError(f"address '{self.address}' is not http", where)

    @property
    def get(self) -> str:
        """How a user gets the file: the end of the line that says it is missing or wrong."""
        if self.address is None:
            return f"get {self.file} from {self.page}"
        return f"get {self.file} by `spadebench weights download {self.name}`, or from {self.address}"

    def path(self, weights_root: Path | None) -> Path | None:
        """Where the file lies, unchecked; the first of its package and `weight_folders`, or None."""
        folders = [*self._package_folders(), *weight_folders(weights_root)]
        return next((folder / self.file for folder in folders if (folder / self.file).is_file()), None)

    def find(self, weights_root: Path | None) -> Path:
        """`find_weights` for this file."""
        return find_weights(self.file, weights_root, self.sha256, self.get)

    def verify(self, path: Path) -> tuple[str, str | None]:
        """The file's sha256, and what showed that the file is right: a word, or None where nothing is known of it.

        By size and hash, or where the hash is not known by names and shapes. Raises UserError where it is wrong.
        """
        mend = f"replace the file: {self.get}"
        digest = _sha256(path)
        if self.size is not None and path.stat().st_size != self.size:
            raise UserError(f"wrong weights: {path.stat().st_size} bytes, not {self.size}", str(path), mend)
        if self.sha256 is not None:
            if not digest.startswith(self.sha256):
                raise UserError(
                    f"wrong weights: sha256 begins with {digest[:8]}, not {self.sha256[:8]}", str(path), mend
                )
            return digest, "sha256"
        if self.check is not None:
            self.check(path)
            return digest, "names and shapes"
        return digest, None

    def _package_folders(self) -> list[Path]:
        if self.packaged is None:
            return []
        package, _, folder = self.packaged.partition("/")
        spec = find_spec(package)  # not imported: only its file is wanted
        return [Path(place) / folder for place in (spec.submodule_search_locations or ())] if spec else []


def declare(file: WeightFile) -> WeightFile:
    """Put a weight file into the registry WEIGHTS, whose entries are functions that return one."""
    WEIGHTS.register_module(name=file.name, module=lambda: file)
    return file


def weight_files(chosen: list[str] | None = None) -> list[WeightFile]:
    """The declared weight files: those named, or all by name. Raises UserError for an unknown name."""
    return [lookup(WEIGHTS, name)() for name in (names(WEIGHTS) if chosen is None else chosen)]


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
