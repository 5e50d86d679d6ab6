"""The one pass: images are made, quantised, read back and described, and dropped (saving is an option)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from harness.data.base import DataSet
from harness.data.encode import Encoding, resized_label, resized_photo
from harness.data.loading import scoring_batches
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


@dataclass(frozen=True)
class Passed:
    """What one pass leaves: confusion per image, feature statistics by net, seconds making images and in all."""

    confusion: Confusion
    features: dict[str, FeatureStats]
    seconds_making: float
    seconds: float


def one_pass(
    source: ImageSource,
    dataset: DataSet,
    encoding: Encoding,
    protocol: Protocol,
    segmenter: Segmenter,
    feature_nets: Sequence[FeatureNet],
    device: torch.device,
    batch: int = 8,
    workers: int = 0,
    save_images: Path | None = None,
    progress: Progress | None = None,
) -> Passed:
    """Score every sample of a split. Raises UserError where segmenter and data set differ in classes."""
    check_segmenter(segmenter, dataset)
    stats = {net.name: FeatureStats(net.dim) for net in feature_nets}
    matrices: list[NDArray[np.int64]] = []
    began, making = time.perf_counter(), 0.0
    done = 0
    for scored in scoring_batches(dataset, encoding, batch=batch, photos=source.kind == "photos", workers=workers):
        start = time.perf_counter()
        images = source.images(scored)
        making += time.perf_counter() - start
        if save_images is not None:
            for name, image in zip(scored.names, images, strict=True):
                save_png(save_images / f"{name}.png", image)
        matrices += confusions(images, scored.native, dataset, protocol, segmenter, device)
        describe(images, encoding.size, feature_nets, stats, device)
        done += len(images)
        if progress is not None:
            progress(done, len(dataset))
    confusion = Confusion.from_dense(matrices, list(dataset.names), scored_classes(dataset).names)
    return Passed(confusion, stats, making, time.perf_counter() - began)


def check_segmenter(segmenter: Segmenter, dataset: DataSet) -> None:
    """Raise UserError where a segmenter does not know as many classes as a data set is scored over."""
    wanted = len(scored_classes(dataset))
    if segmenter.classes != wanted:
        raise UserError(
            f"segmenter '{segmenter.name}' knows {segmenter.classes} classes, the data set has {wanted} scored",
            mend="choose a segmenter of this data set",
        )


def confusions(
    images: Sequence[NDArray[np.uint8]],
    native: Sequence[NDArray[np.integer]],
    dataset: DataSet,
    protocol: Protocol,
    segmenter: Segmenter,
    device: torch.device,
) -> list[NDArray[np.int64]]:
    """One matrix (K+1, K+1) over the scored classes for each image and its label map as the data set has it."""
    classes = scored_classes(dataset)
    labels = [
        resized_label(label, (image.shape[0], image.shape[1])) if protocol.label == "image" else label
        for label, image in zip((scored_label(dataset, label) for label in native), images, strict=True)
    ]
    read = read_back(images, labels, protocol, segmenter, device)
    return [image_confusion(lab, out, len(classes), classes.void) for lab, out in zip(labels, read, strict=True)]


@torch.inference_mode()
def read_back(
    images: Sequence[NDArray[np.uint8]],
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
    images: Sequence[NDArray[np.uint8]],
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
    dataset: DataSet, size: tuple[int, int], nets: Sequence[FeatureNet], device: torch.device, progress: Progress | None
) -> dict[str, FeatureStats]:
    """Feature statistics of a split's photos at the suite's size."""
    stats = {net.name: FeatureStats(net.dim) for net in nets}
    for index in range(len(dataset)):
        photo = dataset.load(index).photo
        if photo is None:
            raise UserError("this data set was opened without photos", mend="Fréchet distances need them")
        describe([photo], size, nets, stats, device)
        if progress is not None:
            progress(index + 1, len(dataset))
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
    tensor = _tensor(image, device)
    if protocol.image == "own" or tensor.shape[1:] == torch.Size(label_shape):
        return tensor
    resized = F.interpolate(tensor[None], size=tuple(label_shape), mode="bilinear", align_corners=False)
    return resized[0]
