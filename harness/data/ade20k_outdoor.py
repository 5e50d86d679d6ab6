"""ADE20K-outdoor: the samples of ADE20K that a list names, out of ADE20K's own folder.

The official list is not published (paper.md). `spadebench outdoor-list` makes one by a rule
(harness.data.outdoor); the option `names` takes any other. The samples are the list's, so the
fingerprint covers it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from harness.data.ade20k import CLASSES, SPLITS, Ade20k
from harness.data.outdoor import read_list
from harness.data.pairs import PairedFiles
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

LIST = "outdoor_{split}.txt"


@DATASETS.register_module(name="ade20k_outdoor")
class Ade20kOutdoor(Ade20k):
    """The outdoor samples of a split (train, val) of ADE20K in `root`, as a list names them.

    names: the list, relative to root or absolute, {split} stands for train or val: one name a line, with
    or without an extension, # begins a comment; names of the other split are passed over.
    """

    folder: ClassVar[str] = "ade20k"

    def __init__(self, root: Path | None, split: str, *, with_photos: bool = True, names: str = LIST) -> None:
        super().__init__(root, split, with_photos=with_photos)
        path = self.root / Path(names.replace("{split}", split)).expanduser()
        known = {pair.name: pair for pair in self.pairs}
        others = tuple(beginning for other, (_, beginning) in SPLITS.items() if other != split)
        wanted: set[str] = set()
        for line, written in read_list(path, f"spadebench outdoor-list --split {split}"):
            name = written if written in known else Path(written).stem
            if name in known:
                wanted.add(name)
            elif not name.startswith(others):
                raise UserError(
                    f"split '{split}' has no sample '{written}'", where=f"{path}:{line}", mend=did_you_mean(name, known)
                )
        if not wanted:
            raise UserError(f"this list names no sample of split '{split}'", where=str(path))
        PairedFiles.__init__(self, self.root, CLASSES, [known[name] for name in sorted(wanted)])
