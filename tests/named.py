"""A data set of names alone, images under given names, and a batch that asks for them, for tests of sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.data.loading import ScoreBatch
from harness.labels import LabelMap, LabelSpec


class Names:
    """All of a data set that sources look at."""

    def __init__(self, *names: str) -> None:
        self.names = names


def write(folder: Path, *names: str) -> None:
    """4x4 images whose grey is the length of their name, in sub-folders where a name has them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), len(name), np.uint8)).save(path)


def batch(*names: str) -> ScoreBatch:
    """A batch that asks for the images of these samples; its label maps are empty."""
    empty = torch.zeros(len(names), 1, 1, dtype=torch.int64)
    return ScoreBatch(LabelMap(empty, LabelSpec(1)), [], None, list(names))
