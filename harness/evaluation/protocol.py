"""Protocol: everything that turns images into a score, with a one-line signature and a hash.

The segmentation scores and the Fréchet distances have signatures of their own, so that a column of
mIoU is not split by a feature net that had no part in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

CLASS_MEANS = ("union", "present", "all")
VERSION = 1


@dataclass(frozen=True)
class Protocol:
    """How images are scored.

    segmenter: registry name; None for a suite that only trains and generates.
    image: size at which the segmenter sees an image: `label` (resized to the label map's own size,
    bilinear) or `own` (as it is). label: size at which labels are compared: `native`, or `image`
    (nearest-resized to the image).
    class_mean: classes averaged in mIoU: `union` (non-empty union), `present` (in the ground truth),
    `all` (an absent class counts 0). Void pixels are left out of mIoU and of the main accuracy; the
    accuracy that counts them wrong is recorded beside it.
    features: feature nets for Fréchet distances. reference: photos they are compared with: the scored
    split's or the training split's, at the size of the generated images.
    quantise: `truncate` to uint8, as the official code writes its PNGs.
    """

    name: str
    segmenter: str | None
    image: Literal["label", "own"] = "label"
    label: Literal["native", "image"] = "native"
    class_mean: Literal["union", "present", "all"] = "union"
    features: tuple[str, ...] = ()
    reference: Literal["scored", "train"] = "scored"
    quantise: Literal["truncate"] = "truncate"


@dataclass(frozen=True)
class Signed:
    """A protocol with what it was run on: the weights and sizes that decide its numbers.

    suite, split, count, data: the scored images and the fingerprint of their data. size: (h, w) of
    generated images, at which the Fréchet reference is taken. segmenter_weights, feature_weights: short
    content hashes. reference: fingerprint of the reference photos.
    """

    protocol: Protocol
    suite: str
    split: str
    count: int
    size: tuple[int, int]
    segmenter_weights: str
    data: str
    feature_weights: tuple[str, ...] = ()
    reference: str = ""

    @property
    def segmentation(self) -> str:
        """Signature of mIoU and accuracies."""
        return " ".join([self._images, self._segmenter, self._end])

    @property
    def distance(self) -> str:
        """Signature of the Fréchet distances."""
        return " ".join([self._images, self._features, self._end])

    @property
    def signature(self) -> str:
        """One line that names everything."""
        return " ".join([self._images, self._segmenter, self._features, self._end])

    @property
    def _images(self) -> str:
        return f"suite:{self.suite} split:{self.split}{self.count}@{self.data}"

    @property
    def _segmenter(self) -> str:
        p = self.protocol
        return (
            f"image:{p.image}:bilinear label:{p.label} void:ignore mean:{p.class_mean} "
            f"seg:{p.segmenter}@{self.segmenter_weights}"
        )

    @property
    def _features(self) -> str:
        p, (h, w) = self.protocol, self.size
        nets = "+".join(f"{n}@{d}" for n, d in zip(p.features, self.feature_weights, strict=True)) or "none"
        return f"fd:{nets} size:{w}x{h}:bicubic ref:{p.reference}@{self.reference or '-'}"

    @property
    def _end(self) -> str:
        return f"u8:{self.protocol.quantise} v{VERSION}"


def short_hash(text: str, digits: int = 12) -> str:
    """First hex digits of the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
