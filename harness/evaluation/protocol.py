"""Protocol: everything that turns images into a score, with a one-line signature and a hash.

The segmentation scores and the Fréchet distances have signatures of their own, so that a column of
mIoU is not split by a feature net that had no part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from harness.errors import UserError, did_you_mean

CLASS_MEANS = ("union", "present", "all")
VERSION = 2
# What is read from one confusion without running a network again (`spadebench rescore`).
READ_LATER = ("name", "void", "class_mean")


@dataclass(frozen=True)
class Protocol:
    """How images are scored.

    segmenter: what reads images back (harness.segmenters.opening); None for a suite that only trains and
    generates.
    image: size at which the segmenter sees an image: `label` (resized to the label map's own size) or
    `own` (the suite's size; photos are brought to it, bicubic). resize: how an image is brought to the
    label's size: `bilinear` (float, pixel centres, no smoothing) or `bicubic` (PIL's, on uint8).
    label: size at which labels are compared: `native`, or `image` (nearest-resized to the image).
    void: void pixels in the accuracy: `ignore`, or `wrong` (counted, and wrong). They are left out of IoU
    in either case.
    class_mean: classes averaged in mIoU: `union` (non-empty union), `present` (in the ground truth),
    `all` (an absent class counts 0).
    features: feature nets for Fréchet distances. kernel: the kernel distance (KID) of the same features.
    reference: photos they are compared with: the scored split's or the training split's, at the suite's size.
    fit: images that are not of the suite's size: `exact` refuses them, `bicubic` resizes them to it before
    all else, `own` leaves them to the segmenter as they are and resizes them for the feature nets (as is
    always done with photos).
    quantise: `truncate` to uint8, as the official code writes its PNGs.
    """

    name: str
    segmenter: str | None
    image: Literal["label", "own"] = "label"
    resize: Literal["bilinear", "bicubic"] = "bilinear"
    label: Literal["native", "image"] = "native"
    void: Literal["ignore", "wrong"] = "ignore"
    class_mean: Literal["union", "present", "all"] = "union"
    features: tuple[str, ...] = ()
    kernel: bool = False
    reference: Literal["scored", "train"] = "scored"
    fit: Literal["exact", "bicubic", "own"] = "exact"
    quantise: Literal["truncate"] = "truncate"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "features": list(self.features)}


def protocol_of(values: Mapping[str, Any], where: str) -> Protocol:
    """A protocol of plain values, each checked. Raises UserError naming the field that is wrong."""
    hints = get_type_hints(Protocol)
    known = {f.name for f in fields(Protocol)}
    for key, value in values.items():
        if key not in known:
            raise UserError(f"a protocol has no field '{key}'", where=where, mend=did_you_mean(str(key), known))
        _check(key, value, hints[key], where)
    missing = {"name", "segmenter"} - set(values)
    if missing:
        raise UserError(f"a protocol needs the field '{min(missing)}'", where=where)
    return Protocol(**{**values, "features": tuple(values.get("features", ()))})


def _check(key: str, value: Any, hint: Any, where: str) -> None:
    choices = get_args(hint)
    if key == "features":
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise UserError(f"'{value}' is no list of feature nets", where=f"{where}: features", mend="features: []")
    elif key == "kernel":
        if not isinstance(value, bool):
            raise UserError(f"'{value}' is not true or false", where=f"{where}: kernel")
    elif key in ("name", "segmenter"):
        if not isinstance(value, str) and not (key == "segmenter" and value is None):
            raise UserError(f"'{value}' is no text", where=f"{where}: {key}")
    elif value not in choices:
        raise UserError(f"{key} cannot be '{value}'", where=where, mend=did_you_mean(str(value), choices))


@dataclass(frozen=True)
class Signed:
    """A protocol with what it was run on: the weights and sizes that decide its numbers.

    suite, split, count, data: the scored images and the fingerprint of their data. size: (h, w) of
    generated images, at which the Fréchet reference is taken. segmenter_weights, feature_weights: short
    content hashes. reference: fingerprint of the reference photos; reference_split, reference_count: which
    they are.
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
    reference_split: str = ""
    reference_count: int = 0

    @property
    def segmentation(self) -> str:
        """Signature of mIoU and accuracies."""
        return " ".join([self._images, self._segmenter, self._end])

    @property
    def distance(self) -> str:
        """Signature of the Fréchet and kernel distances."""
        return " ".join([self._images, f"fake:{self._fake}", self._features, self._end])

    @property
    def signature(self) -> str:
        """One line that names everything."""
        return " ".join([self._images, self._segmenter, self._features, self._end])

    def facts(self) -> dict[str, Any]:
        """All but the protocol, as plain values: with the protocol's fields they give the signature again."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "protocol"}
        return {**plain, "size": list(self.size), "feature_weights": list(self.feature_weights)}

    @property
    def _images(self) -> str:
        return f"suite:{self.suite} data:{self.split}{self.count}@{self.data}"

    @property
    def _fake(self) -> str:
        h, w = self.size
        return {"exact": f"{w}x{h}", "bicubic": f"any>{w}x{h}:bicubic", "own": "own"}[self.protocol.fit]

    @property
    def _segmenter(self) -> str:
        p = self.protocol
        seen = f">label:{p.resize}" if p.image == "label" else ""
        return (
            f"fake:{self._fake}{seen} label:{p.label} void:{p.void} mean:{p.class_mean} "
            f"seg:{p.segmenter}@{self.segmenter_weights}"
        )

    @property
    def _features(self) -> str:
        p, (h, w) = self.protocol, self.size
        if not p.features:
            return "fd:none"
        nets = "+".join(f"{n}@{d}" for n, d in zip(p.features, self.feature_weights, strict=True))
        photos = f"{self.reference_split}{self.reference_count}@{self.reference}:{w}x{h}:bicubic"
        return f"{'fd+kd' if p.kernel else 'fd'}:{nets} ref:{photos}"

    @property
    def _end(self) -> str:
        return f"u8:{self.protocol.quantise[:5]} v{VERSION}"


def signed_of(protocol: Protocol, facts: Mapping[str, Any]) -> Signed:
    """What `Signed.facts` gave, with a protocol. Raises UserError where a fact is missing or too much."""
    wanted = {f.name for f in fields(Signed)} - {"protocol"}
    if set(facts) != wanted:
        raise UserError(
            f"what this protocol was run on is not all known: {', '.join(sorted(wanted ^ set(facts)))}",
            mend="score the images again",
        )
    h, w = facts["size"]
    return Signed(protocol, **{**facts, "size": (h, w), "feature_weights": tuple(facts["feature_weights"])})


def short_hash(text: str, digits: int = 12) -> str:
    """First hex digits of the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
