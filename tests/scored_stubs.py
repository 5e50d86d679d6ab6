"""Sources, nets and suites small enough to score in a test, each a pure function of what it is given."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import save
from numpy.typing import NDArray
from torch import Tensor

from harness.cells import load_suite
from harness.cli import main
from harness.data.encode import resized_photo
from harness.data.loading import ScoreBatch
from harness.data.toyscapes import Toyscapes
from harness.evaluation.bench import Bench, Nets, open_bench
from harness.evaluation.places import Places
from harness.evaluation.protocol import Protocol
from harness.metrics.confusion import Confusion
from harness.records import Record
from harness.suites.base import Suite

CPU = torch.device("cpu")
# 150 classes by brightness, as a file that `--segmenter py:` takes.
BRIGHTNESS = """
class Brightness:
    classes = 150
    def predict(self, images):
        return (images.mean(dim=1) / 256 * 150).long()
brightness = Brightness()
"""


def small_suite(size: tuple[int, int] = (32, 32), count: int = 12, **changes: Any) -> Suite:
    """Toyscapes with a few samples, whose labels and photos are 64x64, and images of `size`."""
    suite = load_suite("toyscapes")
    return replace(suite, size=size, threads=1, data_options={**suite.data_options, "count": count}, **changes)


def sharded_suite() -> Suite:
    """150 samples, more than the 64 features of an image, so that processes merge moments; read at 32x32."""
    protocol = Protocol("native", "toyscapes", image="own", label="image", features=("toyscapes",), kernel=True)
    return small_suite(count=150, name="sharded", protocol=protocol)


class Painted:
    """Each class of a label map in a colour of its own, at `size`, with noise by the sample's name."""

    kind, id = "generator", "painted"

    def __init__(self, size: tuple[int, int] = (32, 32)) -> None:
        self.size = size
        self.asked: list[str] = []

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        self.asked += batch.names
        palette = np.array(Toyscapes.classes.palette, np.uint8)
        made = [resized_photo(palette[label], self.size) for label in batch.native]
        rngs = [np.random.default_rng(list(name.encode())) for name in batch.names]
        noise = [rng.normal(0, 20, image.shape) for rng, image in zip(rngs, made, strict=True)]
        return [np.clip(i + n, 0, 255).astype(np.uint8) for i, n in zip(made, noise, strict=True)]

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id}


class Resized(Painted):
    """Painted images, brought to another size."""

    def __init__(self, made: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__(made)
        self.to = size

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        return [resized_photo(image, self.to) for image in super().images(batch)]


class Bright:
    """A segmenter by brightness that counts what it sees. seen: (N, H, W) of each call."""

    name = "toyscapes"

    def __init__(self, classes: int = 9, weights: str = "0123abcd", told: int | None = None) -> None:
        self.classes, self.weights, self.told = classes, weights, told or classes
        self.seen: list[tuple[int, ...]] = []

    def predict(self, images: Tensor) -> Tensor:
        self.seen.append((images.shape[0], *images.shape[2:]))
        return (images.mean(dim=1) / 256 * self.told).long()


class Means:
    """A feature net of 4 figures an image, that counts the images it sees."""

    dim = 4

    def __init__(self, name: str = "toyscapes", key: str = "fd_toyscapes", weights: str = "4567cdef") -> None:
        self.name, self.key, self.weights = name, key, weights
        self.seen = 0
        self.sizes: set[tuple[int, ...]] = set()

    def extract(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        self.sizes.add(tuple(images.shape[2:]))
        return torch.cat([images.mean(dim=(2, 3)), images.std(dim=(1, 2, 3))[:, None]], dim=1)


@cache
def _rendered(count: int) -> Toyscapes:
    """The scored split, rendered once for all tests."""
    return Toyscapes(None, "val", count=count)


def bench_of(
    suite: Suite | None = None,
    places: Places | None = None,
    segmenter: Any = None,
    feature_nets: Mapping[str, Any] | None = None,
    nets: Nets | None = None,
    dataset: Any = None,
    **changes: Any,
) -> Bench:
    """A bench of the suite's own protocol with changes; segmenter and feature nets in place of the real ones."""
    suite = suite or small_suite()
    protocol: Protocol = replace(suite.protocol, **changes)
    if dataset is None:
        dataset = _rendered(suite.data_options["count"])
    places = places or Places()
    if nets is None:
        given = {} if segmenter is None else {str(protocol.segmenter): segmenter}
        nets = Nets(places, CPU, _segmenters=given, _features=dict(feature_nets or {}))
    return open_bench(suite, places, CPU, protocol, dataset=dataset, nets=nets)


def timeless(record: Record | dict[str, Any]) -> dict[str, Any]:
    """A record without what differs from one run to the next."""
    plain = record.as_dict() if isinstance(record, Record) else record
    same = {key: plain["provenance"][key] for key in ("spadebench", "versions", "hardware", "data")}
    return {**{key: value for key, value in plain.items() if key != "cost"}, "provenance": same}


def same_confusion(a: Confusion, b: Confusion) -> bool:
    """Whether two confusions are equal, entry for entry."""
    arrays = ("image", "label", "prediction", "count")
    return (a.names, a.classes) == (b.names, b.classes) and all(
        np.array_equal(getattr(a, key), getattr(b, key)) for key in arrays
    )


def ade_labels(folder: Path, count: int = 5, seed: int = 0) -> Path:
    """Label files in ADE20K's values, of several sizes, for a suite of 256x256 images."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        blocks = rng.integers(0, 151, size=(5 + index % 2, 7)).astype(np.uint8)
        save(folder / f"ADE_val_{index:08d}.png", blocks.repeat(6, axis=0).repeat(6, axis=1))
    return folder


def ade_images(count: int = 5, size: tuple[int, int] = (256, 256), seed: int = 1) -> dict[str, NDArray[np.uint8]]:
    """An image for each of these, by name."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(count, 8, 8, 3)).astype(np.uint8)
    return {f"ADE_val_{index:08d}": resized_photo(image, size) for index, image in enumerate(coarse)}


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    """`spadebench` with these words, in this process: exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["spadebench", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err
