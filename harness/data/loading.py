"""Batches for training and scoring, each a pure function of its number.

A training that is resumed at iteration i sees what one that was never stopped sees: the order of an
epoch is drawn from (seed, epoch), the augmentation of a sample from (seed, epoch, position), and
nothing depends on the number of workers. Workers are threads: decoding and resizing release the
interpreter's lock, one cache serves all, and a killed run leaves no process behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from harness.data.base import DataSet, Sample
from harness.data.encode import Encoded, Encoding, augmented, encode
from harness.errors import UserError
from harness.labels import LabelMap

T = TypeVar("T")

CACHE_BYTES = 1 << 30
# The first word of a stream's seed keeps the streams apart.
_ORDER, _AUGMENT = 0, 1


@dataclass(frozen=True)
class Batch:
    """A training batch. photos: (N, 3, h, w) float32 in [-1, 1], RGB."""

    labels: LabelMap
    photos: Tensor
    names: list[str]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(self.labels.to(device), self.photos.to(device, non_blocking=True), self.names)


@dataclass(frozen=True)
class ScoreBatch:
    """A batch to generate from and score.

    labels: at the suite's size. native: the label maps (H, W) at their own sizes, void included.
    photos: (H, W, 3) uint8 RGB at their own sizes, or None where the data set has no photos.
    """

    labels: LabelMap
    native: list[NDArray[np.integer]]
    photos: list[NDArray[np.uint8]] | None
    names: list[str]


class SampleCache:
    """A data set whose decoded samples are kept in memory, until `limit` bytes are full. Thread-safe."""

    def __init__(self, dataset: DataSet, limit: int = CACHE_BYTES) -> None:
        self.dataset = dataset
        self.limit = limit
        self.held = 0
        self._samples: dict[int, Sample] = {}
        self._lock = Lock()

    def load(self, index: int) -> Sample:
        """The sample, from memory where it is there. Its arrays are shared: do not write to them."""
        known = self._samples.get(index)
        if known is not None:
            return known
        sample = self.dataset.load(index)
        size = sum(a.nbytes for a in (sample.label, sample.photo, sample.instance) if a is not None)
        with self._lock:
            if index not in self._samples and self.held + size <= self.limit:
                self._samples[index] = sample
                self.held += size
        return sample


class TrainingBatches(Dataset[Batch]):
    """Training batch number i (from 0) of a run, without end, as a torch data set.

    batch: samples over all ranks. rank, world: this process takes the rank-th of `world` contiguous
    parts of each batch, so the parts of all ranks joined are the batch of a single process. The samples
    left over at the end of an epoch are dropped. resize, flip: as in `encode.augmented`.
    Raises UserError where the data set is smaller than a batch or ranks do not divide the batch.
    """

    def __init__(
        self,
        dataset: DataSet,
        encoding: Encoding,
        *,
        batch: int,
        seed: int,
        resize: tuple[int, int] | None = None,
        flip: bool = True,
        rank: int = 0,
        world: int = 1,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if batch < 1 or len(dataset) < batch:
            raise UserError(
                f"a batch of {batch} cannot be drawn from {len(dataset)} samples",
                mend=f"choose a batch from 1 to {len(dataset)}",
            )
        if batch % world:
            raise UserError(f"a batch of {batch} does not divide over {world} processes")
        self.encoding = encoding
        self.batch, self.seed, self.resize, self.flip = batch, seed, resize, flip
        self.rank, self.world = rank, world
        self.count = len(dataset)
        self.cache = SampleCache(dataset, cache_bytes)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.count // self.batch

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Sample indices in the order of an epoch."""
        # One read and one write of the pair: safe when threads race, at worst drawn twice.
        known = self._order
        if known is None or known[0] != epoch:
            known = epoch, np.random.default_rng((_ORDER, self.seed, epoch)).permutation(self.count)
            self._order = known
        return known[1]

    def __getitem__(self, iteration: int) -> Batch:
        """This rank's part of batch `iteration`."""
        epoch, place = divmod(iteration, self.per_epoch)
        part = self.batch // self.world
        first = place * self.batch + self.rank * part
        order = self.order(epoch)
        encoded = []
        for position in range(first, first + part):
            sample = self.cache.load(int(order[position]))
            if sample.photo is None:
                raise UserError(f"sample '{sample.name}' has no photo", mend="training needs photos")
            rng = np.random.default_rng((_AUGMENT, self.seed, epoch, position))
            encoded.append(augmented(sample, self.encoding, resize=self.resize, flip=self.flip, rng=rng))
        photos = torch.stack([e.photo for e in encoded if e.photo is not None])
        return Batch(_label_map(encoded, self.encoding), photos, [e.name for e in encoded])


def training_batches(batches: TrainingBatches, *, start: int, iterations: int, workers: int = 0) -> Iterator[Batch]:
    """Batches number start .. iterations - 1, prepared ahead by `workers` threads (0: in this one)."""
    return _ahead(batches.__getitem__, range(start, iterations), workers)


def scoring_batches(
    dataset: DataSet,
    encoding: Encoding,
    *,
    batch: int,
    indices: range | None = None,
    photos: bool = True,
    workers: int = 0,
) -> Iterator[ScoreBatch]:
    """All samples in the order of `dataset.names`, the last batch as short as it comes.

    indices: the samples to go through (default: all). photos=False: photos are not handed on.
    """
    if batch < 1:
        raise UserError(f"a batch of {batch} is not possible", mend="choose 1 or more")
    wanted = range(len(dataset)) if indices is None else indices

    def build(first: int) -> ScoreBatch:
        samples = [dataset.load(index) for index in wanted[first : first + batch]]
        labels = _label_map([encode(sample, encoding, photo=False) for sample in samples], encoding)
        pictures = [sample.photo for sample in samples if sample.photo is not None]
        complete = photos and len(pictures) == len(samples)
        return ScoreBatch(labels, [s.label for s in samples], pictures if complete else None, [s.name for s in samples])

    return _ahead(build, range(0, len(wanted), batch), workers)


def _label_map(encoded: list[Encoded], encoding: Encoding) -> LabelMap:
    edges = torch.stack([e.edges for e in encoded if e.edges is not None]) if encoding.edges else None
    return LabelMap(torch.stack([e.indices for e in encoded]), encoding.spec, edges)


def _ahead(build: Callable[[int], T], numbers: range, workers: int) -> Iterator[T]:
    """build(n) for each n in order; with workers, up to two apiece are under way at a time."""
    if workers < 1:
        for number in numbers:
            yield build(number)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="loading")
    waiting: deque[Future[T]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(build, number))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
