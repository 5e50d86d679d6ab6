"""Which label maps of ADE20K show the outdoors, by a rule, and the list file that such a choice is kept in.

The paper's ADE20K-outdoor has no official list (paper.md). The rule is ours and is data:
classes/ade20k_outdoor.json, with the reasons. A list file holds one name a line; lines that begin with
# are comments, of which two are read again:

    # ADE20K-outdoor, split val
    # rule: 1@0123abcd
    # kept: 2 of 3
    # labels: sha256 …     names and bytes of the label files that the rule was applied to
    # names: sha256 …      of the names below: a list that was changed since is refused
    ADE_val_00000001
    ADE_val_00000003
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.ade20k import CLASSES, Ade20k
from harness.errors import UserError

_NAMES, _SHA = "# names:", "sha256 "


@dataclass(frozen=True)
class OutdoorRule:
    """A label map is outdoors where open classes cover enough of its labelled pixels and indoor ones hardly any.

    open, indoor: class names. at_least, at_most: shares of the labelled pixels.
    """

    version: int
    open: tuple[str, ...]
    at_least: float
    indoor: tuple[str, ...]
    at_most: float

    @property
    def id(self) -> str:
        """Version and a short hash of what decides."""
        decides = f"{self.version} {sorted(self.open)} {self.at_least} {sorted(self.indoor)} {self.at_most}"
        return f"{self.version}@{hashlib.sha256(decides.encode()).hexdigest()[:8]}"

    def shares(self, label: NDArray[np.integer]) -> tuple[float, float]:
        """Shares of open and of indoor classes among the labelled pixels of a label map (H, W); 0, 0 without any.

        Pixels that hold no index of a class of ADE20K count as not labelled.
        """
        counts = np.bincount(label.ravel(), minlength=len(CLASSES))[: len(CLASSES)]
        labelled = int(counts.sum())
        if not labelled:
            return 0.0, 0.0
        opened, indoor = (int(counts[_indices(names)].sum()) for names in (self.open, self.indoor))
        return opened / labelled, indoor / labelled

    def keeps(self, label: NDArray[np.integer]) -> bool:
        """Whether a label map (H, W) of ADE20K's class indices shows the outdoors."""
        opened, indoor = self.shares(label)
        return opened >= self.at_least and indoor <= self.at_most


def outdoor_rule() -> OutdoorRule:
    """The rule that is shipped."""
    path = Path(__file__).parent / "classes" / "ade20k_outdoor.json"
    rule = json.loads(path.read_text(encoding="utf-8"))
    inside, outside = rule["indoor"], rule["open"]
    return OutdoorRule(
        rule["version"], tuple(outside["classes"]), outside["at_least"], tuple(inside["classes"]), inside["at_most"]
    )


@dataclass(frozen=True)
class OutdoorList:
    """The names of a split that a rule keeps, sorted. total: label maps looked at. labels: sha256 over them."""

    split: str
    rule: str
    names: tuple[str, ...]
    total: int
    labels: str

    @property
    def digest(self) -> str:
        """sha256 of the names."""
        return names_digest(self.names)

    def text(self) -> str:
        """The list file."""
        header = [
            f"# ADE20K-outdoor, split {self.split}",
            f"# rule: {self.rule}",
            f"# kept: {len(self.names)} of {self.total}",
            f"# labels: {_SHA}{self.labels}",
            f"{_NAMES} {_SHA}{self.digest}",
        ]
        return "\n".join([*header, *self.names]) + "\n"


def build_list(
    root: Path, split: str, rule: OutdoorRule | None = None, progress: Callable[[int, int], None] | None = None
) -> OutdoorList:
    """Apply the rule to all label maps of a split of ADE20K in `root`. Raises UserError where it keeps none."""
    rule = rule or outdoor_rule()
    data = Ade20k(root, split, with_photos=False)
    kept, labels = [], hashlib.sha256()
    for index, pair in enumerate(data.pairs):
        if rule.keeps(data.load(index).label):
            kept.append(pair.name)
        labels.update(pair.name.encode() + b"\0" + hashlib.sha256(pair.label.read_bytes()).digest())
        if progress is not None:
            progress(index + 1, len(data))
    if not kept:
        raise UserError(
            f"the rule keeps none of {len(data)} label maps", where=f"{root}, split {split}", mend="are these ADE20K's?"
        )
    return OutdoorList(split, rule.id, tuple(kept), len(data), labels.hexdigest())


def names_digest(names: Sequence[str]) -> str:
    """sha256 of names, one a line."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


def read_list(path: Path, made_by: str) -> list[tuple[int, str]]:
    """(line number, name) of a list file, in its order. made_by: the command that makes it, for the error.

    Raises UserError where the file is missing, no text or empty, or where it says a hash of its names
    and they are others.
    """
    if not path.is_file():
        raise UserError("no such list of samples", where=str(path), mend=f"make it with: {made_by}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError("this list of samples is no UTF-8 text", where=str(path)) from error
    named = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    named = [(number, name) for number, name in named if name and not name.startswith("#")]
    if not named:
        raise UserError("this list of samples is empty", where=str(path), mend="one name a line")
    said = [line.removeprefix(_NAMES).strip().removeprefix(_SHA) for line in lines if line.startswith(_NAMES)]
    if said and said[0] != names_digest([name for _, name in named]):
        raise UserError(
            "the names in this list are not those it was made with",
            where=str(path),
            mend=f"make it again with: {made_by} --overwrite; or take out its line '{_NAMES} …', then it is your own",
        )
    return named


def _indices(names: Sequence[str]) -> list[int]:
    return [CLASSES.names.index(name) for name in names]
