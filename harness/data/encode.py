"""From a sample to what the networks read: indices, edge mask and photo at a suite's size.

Paper.md, "Input encoding": labels and instance maps nearest-resized, photos bicubic, scaled to
[-1, 1]; void becomes the unknown channel; edges are taken after the resize.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from harness.data.base import Classes, Sample
from harness.errors import UserError
from harness.labels import LabelSpec, instance_edges


@dataclass(frozen=True)
class Encoding:
    """How a suite encodes samples.

    size: (h, w). unknown: void has a channel of its own, the last of the classes; "first": before the
    classes, as the official ADE20K network reads its files' raw values. edges: an instance edge mask goes
    along.
    """

    classes: Classes
    size: tuple[int, int]
    unknown: bool | Literal["first"] = True
    edges: bool = False

    @property
    def spec(self) -> LabelSpec:
        """What the networks must know of the label maps."""
        return label_spec(self.classes, self.unknown, self.edges)


@dataclass(frozen=True)
class Encoded:
    """One encoded sample.

    indices: (h, w) int64 in 0 .. spec.classes - 1. edges: (h, w) bool, or None. photo: (3, h, w)
    float32 in [-1, 1], RGB, or None.
    """

    name: str
    indices: Tensor
    edges: Tensor | None
    photo: Tensor | None


def label_spec(classes: Classes, unknown: bool | Literal["first"], edges: bool) -> LabelSpec:
    """The LabelSpec of a suite: the unknown channel counts as a class."""
    return LabelSpec(len(classes) + int(bool(unknown)), edges)


def encode(sample: Sample, encoding: Encoding, *, photo: bool = True) -> Encoded:
    """A sample at the suite's size, its aspect ignored. photo=False: the photo is left out.

    Raises UserError for void pixels where there is no unknown channel, and for a missing instance map
    where edges are asked for.
    """
    height, width = encoding.size
    label = resized_label(sample.label, (height, width))
    instance = None
    if encoding.edges:
        instance = resized_label(_instance(sample), (height, width))
    picture = resized_photo(sample.photo, (height, width)) if photo and sample.photo is not None else None
    return _encoded(sample.name, label, instance, picture, encoding)


def augmented(
    sample: Sample,
    encoding: Encoding,
    *,
    resize: tuple[int, int] | None,
    flip: bool,
    rng: np.random.Generator,
) -> Encoded:
    """A sample for training: resized to `resize` (h, w), cropped at random to the suite's size, and
    flipped left to right half the time; label, instance map and photo alike.

    resize None: straight to the suite's size. The same rng state gives the same result. Raises
    UserError as `encode` does, and where `resize` is smaller than the suite's size.
    """
    height, width = encoding.size
    whole = encoding.size if resize is None else resize
    if whole[0] < height or whole[1] < width:
        raise UserError(
            f"cannot crop {width}x{height} out of {whole[1]}x{whole[0]}", mend="resize must not be below the size"
        )
    # Always three draws, so that the stream does not depend on the options.
    top, left = int(rng.integers(whole[0] - height + 1)), int(rng.integers(whole[1] - width + 1))
    mirror = bool(rng.integers(2)) and flip

    def cut(array: NDArray) -> NDArray:
        part = array[top : top + height, left : left + width]
        return part[:, ::-1] if mirror else part

    label = cut(resized_label(sample.label, whole))
    instance = cut(resized_label(_instance(sample), whole)) if encoding.edges else None
    picture = None if sample.photo is None else cut(resized_photo(sample.photo, whole))
    return _encoded(sample.name, label, instance, picture, encoding)


def resized_label(label: NDArray, size: tuple[int, int]) -> NDArray:
    """A label or instance map (H, W) at `size` (h, w) by nearest neighbour of pixel centres, as PIL has it."""
    rows, columns = (_nearest(source, target) for source, target in zip(label.shape, size, strict=True))
    return label[rows[:, None], columns]


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    """Source index for each target index, to the last tie that of PIL, which sums the step up in float64."""
    step = source / target
    centres = np.cumsum(np.concatenate([[step * 0.5], np.full(target - 1, step)]))
    return np.minimum(centres.astype(np.intp), source - 1)


def resized_photo(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photo (H, W, 3) uint8 at `size` (h, w): PIL's bicubic, which smooths when it shrinks."""
    if photo.shape[:2] == tuple(size):
        return photo
    return np.array(Image.fromarray(photo).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _instance(sample: Sample) -> NDArray:
    if sample.instance is None:
        raise UserError(
            f"sample '{sample.name}' has no instance map",
            mend="the suite has instance edges: give instance maps, or set edges to false",
        )
    return sample.instance


def _encoded(
    name: str, label: NDArray, instance: NDArray | None, photo: NDArray[np.uint8] | None, encoding: Encoding
) -> Encoded:
    # 16 bit files come as uint16, of which torch can do little.
    indices = np.array(label, dtype=np.int64)
    void, first = encoding.classes.void, encoding.unknown == "first"
    empty = None if void is None else indices == void
    if first:
        indices += 1
    if empty is not None and empty.any():
        if not encoding.unknown:
            raise UserError(
                f"sample '{name}' has void pixels", mend="the suite has no unknown channel: set unknown to true"
            )
        indices[empty] = 0 if first else len(encoding.classes)
    edges = None
    if instance is not None:
        edges = instance_edges(torch.from_numpy(np.array(instance, dtype=np.int64))[None])[0]
    picture = None
    if photo is not None:
        pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
        picture = pixels.float().div_(127.5).sub_(1.0)
    return Encoded(name, torch.from_numpy(indices), edges, picture)
