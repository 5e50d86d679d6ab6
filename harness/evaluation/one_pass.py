"""The one pass: images are made, quantised, read back and described, and dropped (saving is an option)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from harness.data.base import DataSet
from harness.data.encode import Encoding, resized_label, resized_photo
from harness.data.loading import ScoreBatch, scoring_batches
from harness.data.scored import scored_classes, scored_label
from harness.errors import UserError
from harness.evaluation.protocol import Protocol
from harness.evaluation.sources import ImageSource
from harness.features.base import FeatureNet
from harness.files import atomic_path
from harness.metrics.confusion import Confusion, image_confusion
from harness.metrics.frechet import FeatureStats
from harness.segmenters.base import Segmenter

Progress = Callable[[int, int], None]
Images = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class Reading:
    """One way in which images are read back: a segmenter, and what it sees."""

    segmenter: Segmenter
    protocol: Protocol

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for two readings that give one confusion."""
        p = self.protocol
        return (self.segmenter.name, self.segmenter.weights, p.image, p.resize, p.label, p.fit)


@dataclass(frozen=True)
class Plan:
    """What a pass does with each image. Readings and nets occur once each.

    keep: names of the nets whose features are all kept, for a kernel distance or a spread. All readings have one `fit`.
    """

    readings: Mapping[tuple[str, ...], Reading]
    nets: Sequence[FeatureNet]
    keep: frozenset[str] = frozenset()

    @property
    def fit(self) -> str:
        return next(iter(self.readings.values())).protocol.fit


@dataclass(frozen=True)
class Passed:
    """What one pass leaves: a confusion by the key of its reading, feature statistics by net, seconds making
    images and in all."""

    confusions: dict[tuple[str, ...], Confusion]
    features: dict[str, FeatureStats]
    seconds_making: float
    seconds: float


@dataclass(frozen=True)
class Settings:
    """How a pass goes about it; none of it changes a number by more than 1e-5.

    batch: images at a time. workers: loader threads. part: the batches (numbers) that this process does;
    None does all. save_images: folder that gets the images as PNG.
    """

    device: torch.device
    batch: int = 8
    workers: int = 0
    part: range | None = None
    save_images: Path | None = None
    progress: Progress | None = field(default=None, compare=False)


def one_pass(source: ImageSource, dataset: DataSet, encoding: Encoding, plan: Plan, settings: Settings) -> Passed:
    """Score the samples of a split. Raises UserError where segmenter and data set differ in classes, and for
    an image of a size that the protocol does not take."""
    for reading in plan.readings.values():
        check_segmenter(reading.segmenter, dataset)
    stats = {net.name: FeatureStats(net.dim, keep=net.name in plan.keep) for net in plan.nets}
    matrices: dict[tuple[str, ...], list[NDArray[np.int64]]] = {key: [] for key in plan.readings}
    names: list[str] = []
    indices = _indices(len(dataset), settings)
    began, making = time.perf_counter(), 0.0
    for scored in scoring_batches(
        dataset,
        _label_reading(encoding, source),
        batch=settings.batch,
        indices=indices,
        photos=source.kind == "photos",
        workers=settings.workers,
    ):
        start = time.perf_counter()
        images: Images = source.images(scored)
        making += time.perf_counter() - start
        if settings.save_images is not None:
            for name, image in zip(scored.names, images, strict=True):
                save_png(settings.save_images / f"{name}.png", image)
        images = fitted(images, scored, encoding.size, source, plan.fit)
        for key, reading in plan.readings.items():
            seen = images
            if source.kind == "photos" and reading.protocol.image == "own":
                seen = [resized_photo(image, encoding.size) for image in images]
            matrices[key] += confusions(
                seen, scored.native, dataset, reading.protocol, reading.segmenter, settings.device
            )
        describe(images, encoding.size, plan.nets, stats, settings.device)
        names += scored.names
        if settings.progress is not None:
            settings.progress(len(names), len(indices))
    classes = scored_classes(dataset).names
    found = {key: Confusion.from_dense(dense, names, classes) for key, dense in matrices.items()}
    return Passed(found, stats, making, time.perf_counter() - began)


def _label_reading(encoding: Encoding, source: ImageSource) -> Encoding:
    """What the label maps must have: only a generator is given them, so only it needs edges, and no void left over."""
    return encoding if source.kind == "generator" else replace(encoding, unknown=encoding.unknown or True, edges=False)


def _indices(count: int, settings: Settings) -> range:
    """The samples of this process: whole batches, so that each batch is one that a single process makes too."""
    if settings.part is None:
        return range(count)
    first, last = settings.part.start * settings.batch, settings.part.stop * settings.batch
    return range(min(first, count), min(last, count))


def fitted(images: Images, batch: ScoreBatch, size: tuple[int, int], source: ImageSource, fit: str) -> Images:
    """The images at the suite's size as the protocol's `fit` has it; photos as they are.

    Raises UserError for an image of another size where the protocol takes no other.
    """
    if source.kind == "photos" or fit == "own":
        return images
    if fit == "bicubic":
        return [resized_photo(image, size) for image in images]
    for name, image in zip(batch.names, images, strict=True):
        if image.shape[:2] != size:
            (h, w), (height, width) = image.shape[:2], size
            raise UserError(
                f"image '{name}' is {w}x{h}, images of this suite are {width}x{height}",
                mend="--fit bicubic resizes them, --fit own lets the segmenter see them as they are; "
                "the signature says so",
            )
    return images


def check_segmenter(segmenter: Segmenter, dataset: DataSet) -> None:
    """Raise UserError where a segmenter does not know as many classes as a data set is scored over."""
    wanted = len(scored_classes(dataset))
    if segmenter.classes != wanted:
        raise UserError(
            f"segmenter '{segmenter.name}' knows {segmenter.classes} classes, the data set has {wanted} scored",
            mend="choose a segmenter of this data set",
        )


def confusions(
    images: Images,
    native: Sequence[NDArray[np.integer]],
    dataset: DataSet,
    protocol: Protocol,
    segmenter: Segmenter,
    device: torch.device,
) -> list[NDArray[np.int64]]:
    """One matrix (K+1, K+1) over the scored classes for each image and its label map as the data set has it."""
    classes = scored_classes(dataset)
    read = readings(images, native, dataset, protocol, segmenter, device)
    return [image_confusion(lab, out, len(classes), classes.void) for lab, out in read]


def readings(
    images: Images,
    native: Sequence[NDArray[np.integer]],
    dataset: DataSet,
    protocol: Protocol,
    segmenter: Segmenter,
    device: torch.device,
) -> list[tuple[NDArray[np.integer], NDArray[np.int64]]]:
    """For each image its label map and its prediction, both (H, W) over the scored classes, as they are compared."""
    labels = [
        resized_label(label, (image.shape[0], image.shape[1])) if protocol.label == "image" else label
        for label, image in zip((scored_label(dataset, label) for label in native), images, strict=True)
    ]
    return list(zip(labels, read_back(images, labels, protocol, segmenter, device), strict=True))


@torch.inference_mode()
def read_back(
    images: Images,
    labels: Sequence[NDArray[np.integer]],
    protocol: Protocol,
    segmenter: Segmenter,
    device: torch.device,
) -> list[NDArray[np.int64]]:
    """Predictions (H, W), each at its label's size; images of one shape go through the segmenter together."""
    ready = [_segmenter_input(i, lab.shape, protocol, device) for i, lab in zip(images, labels, strict=True)]
    found: list[NDArray[np.int64]] = []
    while len(found) < len(ready):
        first = len(found)
        together = first
        while together < len(ready) and ready[together].shape == ready[first].shape:
            together += 1
        found += list(segmenter.predict(torch.stack(ready[first:together])).cpu().numpy())
    return [
        prediction if prediction.shape == label.shape else resized_label(prediction, (label.shape[0], label.shape[1]))
        for prediction, label in zip(found, labels, strict=True)
    ]


@torch.inference_mode()
def describe(
    images: Images,
    size: tuple[int, int],
    nets: Sequence[FeatureNet],
    stats: dict[str, FeatureStats],
    device: torch.device,
) -> None:
    """Add the images' features, taken at the suite's size (bicubic, as the signature says), to `stats`."""
    if not nets:
        return
    batch = torch.stack([_tensor(resized_photo(image, size), device) for image in images])
    for net in nets:
        stats[net.name].update(net.extract(batch).float().cpu().numpy())


def reference_stats(
    dataset: DataSet,
    size: tuple[int, int],
    nets: Sequence[FeatureNet],
    keep: frozenset[str],
    settings: Settings,
) -> dict[str, FeatureStats]:
    """Feature statistics of a split's photos (of this process's part) at the suite's size."""
    stats = {net.name: FeatureStats(net.dim, keep=net.name in keep) for net in nets}
    indices = _indices(len(dataset), settings)
    for start in range(indices.start, indices.stop, settings.batch):
        photos = []
        for index in range(start, min(start + settings.batch, indices.stop)):
            photo = dataset.load(index).photo
            if photo is None:
                raise UserError("this data set was opened without photos", mend="Fréchet distances need them")
            photos.append(photo)
        describe(photos, size, nets, stats, settings.device)
        if settings.progress is not None:
            settings.progress(start + len(photos) - indices.start, len(indices))
    return stats


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an image as PNG by rename."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)


def _tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in 0 .. 255."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device).float()


def _segmenter_input(
    image: NDArray[np.uint8], label_shape: tuple[int, ...], protocol: Protocol, device: torch.device
) -> Tensor:
    """What the segmenter sees: (3, H, W) float32 in 0 .. 255."""
    height, width = label_shape
    if protocol.image == "own" or image.shape[:2] == (height, width):
        return _tensor(image, device)
    if protocol.resize == "bicubic":
        return _tensor(resized_photo(image, (height, width)), device)
    resized = F.interpolate(_tensor(image, device)[None], size=(height, width), mode="bilinear", align_corners=False)
    return resized[0]
