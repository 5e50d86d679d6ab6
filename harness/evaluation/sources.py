"""Image sources: where the uint8 images come from that are scored.

A generator and the data set's photos are here; images that somebody's code made, as files or from Python,
are in given_images.py and iterables.py, and their names are importable from here too. A source does not
resize: the pass checks sizes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.data.loading import ScoreBatch
from harness.errors import UserError
from harness.evaluation.given_images import FileSource, archive_source, folder_source, given_source
from harness.evaluation.iterables import IterableSource, iterable_source
from harness.seeding import mixed_seed
from harness.training.networks import z_dim_of

__all__ = [
    "FileSource",
    "GeneratorSource",
    "ImageSource",
    "IterableSource",
    "PhotoSource",
    "archive_source",
    "folder_source",
    "given_source",
    "iterable_source",
    "noise_for",
    "truncate",
]


class ImageSource(Protocol):
    """kind: `generator`, `photos`, `folder`, `archive` or `images` (an iterable). id: a hash of the content, or of
    what makes it; that of an iterable is known after the pass."""

    kind: str
    id: str

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        """One (H, W, 3) uint8 RGB image for each name of the batch."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values for the record."""
        ...


def truncate(images: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> uint8 by truncation of (x + 1) / 2 * 255, as the official code writes PNGs."""
    return ((images.float() + 1) / 2 * 255).clamp(0, 255).to(torch.uint8)


def noise_for(names: list[str], z_dim: int, seed: int, sample: int = 0) -> Tensor:
    """(N, z_dim) standard normal, each row from (seed, name, sample): no other image has a say in it."""
    further = (sample,) if sample else ()
    rows = []
    for name in names:
        rng = torch.Generator().manual_seed(mixed_seed(seed, zlib.crc32(name.encode()), *further))
        rows.append(torch.randn(z_dim, generator=rng))
    return torch.stack(rows)


@dataclass
class GeneratorSource:
    """A trained generator, in eval mode. id: the cell's, or the checkpoint's content hash.

    sample: which of a label map's images, where the generator has z. style: (z_dim,) in place of noise.
    """

    generator: nn.Module
    id: str
    device: torch.device
    seed: int = 0
    detail: dict[str, Any] | None = None
    kind: str = "generator"
    sample: int = 0
    style: Tensor | None = None

    @torch.inference_mode()
    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        self.generator.eval()
        z = self._z(batch.names)
        made = truncate(self.generator(batch.labels.to(self.device), None if z is None else z.to(self.device)))
        return list(made.permute(0, 2, 3, 1).cpu().numpy())

    @property
    def z_dim(self) -> int:
        """Width of z, 0 for a generator without."""
        return z_dim_of(self.generator)

    def _z(self, names: list[str]) -> Tensor | None:
        if not self.z_dim:
            return None
        if self.style is not None:
            return self.style.expand(len(names), -1)
        return noise_for(names, self.z_dim, self.seed, self.sample)

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, **(self.detail or {})}


@dataclass
class PhotoSource:
    """The real photos of the scored split, at their native size: the ceiling row."""

    id: str
    kind: str = "photos"

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        if batch.photos is None:
            raise UserError("this data set was opened without photos", mend="the ceiling row needs them")
        return list(batch.photos)

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id}
