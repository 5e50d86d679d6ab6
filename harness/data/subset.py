"""Chosen samples of a data set, as a data set: what a partial set of images is scored over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.data.base import Classes, DataSet, Sample
from harness.errors import UserError, did_you_mean


class Subset:
    """The samples `names` of a data set, in its order. Meets the DataSet contract.

    Carries on what a data set may have besides: scored_classes, to_scored, sample_key and labels_by
    (None where it does not). Raises UserError for a name that is not there, and for no name at all.
    """

    def __init__(self, dataset: DataSet, names: Sequence[str]) -> None:
        wanted = set(names)
        unknown = sorted(wanted.difference(dataset.names))
        if unknown:
            raise UserError(f"no sample '{unknown[0]}'", mend=did_you_mean(unknown[0], dataset.names))
        if not wanted:
            raise UserError("a part of a data set needs at least one sample")
        self.dataset = dataset
        self.indices = [index for index, name in enumerate(dataset.names) if name in wanted]
        self.names = tuple(dataset.names[index] for index in self.indices)
        self.classes = dataset.classes
        self.scored_classes: Classes | None = getattr(dataset, "scored_classes", None)
        self.to_scored: NDArray[np.integer] | None = getattr(dataset, "to_scored", None)
        self.sample_key: Callable[[str], str] | None = getattr(dataset, "sample_key", None)
        self.labels_by: str | None = getattr(dataset, "labels_by", None)

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, index: int) -> Sample:
        """The sample at its native size, checked. Raises UserError naming the file."""
        return self.dataset.load(self.indices[index])

    def fingerprint(self) -> str:
        """`sample_fingerprint` of the chosen samples; that of the data set itself where all are chosen."""
        return self.dataset.fingerprint() if len(self) == len(self.dataset) else sample_fingerprint(self)

    def digests(self) -> list[str]:
        """A hash of each sample's content, in the order of `names`."""
        digests = self.dataset.digests()
        return [digests[index] for index in self.indices]


def sample_fingerprint(dataset: DataSet) -> str:
    """sha256 over the classes, the table of the scored classes, and name and content of every sample."""
    total = hashlib.sha256(f"{dataset.classes.names} {dataset.classes.void}".encode())
    scored: Classes | None = getattr(dataset, "scored_classes", None)
    table: NDArray[np.integer] | None = getattr(dataset, "to_scored", None)
    if scored is not None and table is not None:
        total.update(f"{scored.names} {scored.void} {table.tolist()}".encode())
    for name, digest in zip(dataset.names, dataset.digests(), strict=True):
        total.update(f"{name}\0{digest}\0".encode())
    return total.hexdigest()
