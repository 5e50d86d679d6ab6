"""Image sources: where the uint8 images come from that are scored. Generator, folder, or the photos."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.data.base import DataSet, read_image
from harness.data.loading import ScoreBatch
from harness.errors import UserError
from harness.seeding import mixed_seed
from harness.training.networks import z_dim_of

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


class ImageSource(Protocol):
    """kind: `generator`, `folder` or `photos`. id: a hash of the content, or of what makes it."""

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


@dataclass
class FolderSource:
    """Images made by anybody's code: one file per sample, its name that of the sample."""

    files: dict[str, Path]
    id: str
    kind: str = "folder"

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        return [read_image(self.files[name], "image") for name in batch.names]

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, "images": len(self.files)}


def folder_source(folder: Path, dataset: DataSet) -> FolderSource:
    """The images of a folder, matched to the samples by name. Raises UserError for an unmatched sample or image."""
    if not folder.is_dir():
        raise UserError("no such folder of images", where=str(folder))
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_ENDINGS or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{found[name].name} and {path.name} are two images of one name", where=str(path.parent))
        found[name] = path
    if not found:
        raise UserError("this folder holds no images", where=str(folder), mend=f"endings: {' '.join(IMAGE_ENDINGS)}")
    missing = [name for name in dataset.names if name not in found]
    extra = sorted(set(found) - set(dataset.names))
    if missing or extra:
        examples = [*(f"no image for {n}" for n in missing[:2]), *(f"no sample for {n}" for n in extra[:2])]
        raise UserError(
            f"{len(missing)} samples have no image and {len(extra)} images have no sample: {'; '.join(examples)}",
            where=str(folder),
            mend="name each image after its sample",
        )
    total = hashlib.sha256()
    for name in dataset.names:
        total.update(name.encode() + b"\0" + hashlib.sha256(found[name].read_bytes()).digest())
    return FolderSource({name: found[name] for name in dataset.names}, total.hexdigest()[:12])
