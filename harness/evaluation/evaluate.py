"""From an image source to a record: opens what a suite's protocol names, runs the one pass, signs the scores."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from harness import __version__
from harness.data.base import DataSet
from harness.data.encode import Encoding
from harness.data.roots import data_root, weights_root
from harness.data.scored import scored_classes
from harness.errors import UserError
from harness.evaluation.one_pass import Progress, one_pass, reference_stats
from harness.evaluation.places import Places
from harness.evaluation.protocol import Protocol, Signed, short_hash
from harness.evaluation.sources import ImageSource
from harness.features.base import FeatureNet
from harness.hardware import peak_memory, provenance, reset_peak_memory
from harness.metrics.confusion import Confusion, scores
from harness.metrics.frechet import FeatureStats, frechet_distance
from harness.records import Record
from harness.registry import DATASETS, FEATURES, SEGMENTERS, lookup
from harness.segmenters.base import Segmenter
from harness.suites.base import Suite

Say = Callable[[str], None]


@dataclass
class Bench:
    """A suite made ready to score: data, segmenter, feature nets, signed protocol."""

    suite: Suite
    dataset: DataSet
    encoding: Encoding
    segmenter: Segmenter
    nets: list[FeatureNet]
    signed: Signed
    device: torch.device
    fingerprint: str
    missing: list[str]
    places: Places
    _reference: dict[str, FeatureStats] = field(default_factory=dict)

    @property
    def protocol_hash(self) -> str:
        return short_hash(self.signed.signature)

    def reference(self, progress: Progress | None = None) -> dict[str, FeatureStats]:
        """Statistics of the reference photos, from the cache where they are there."""
        for net in self.nets:
            if net.name in self._reference:
                continue
            path = self._cache_path(net)
            if path is not None and path.is_file():
                self._reference[net.name] = FeatureStats.load(path)
                continue
            split = self.dataset
            if self.signed.protocol.reference == "train":
                split = open_data(self.suite, self.suite.train_split, self.places)
            stats = reference_stats(split, self.suite.size, [net], self.device, progress)[net.name]
            if path is not None:
                stats.save(path)
            self._reference[net.name] = stats
        return self._reference

    def _cache_path(self, net: FeatureNet) -> Path | None:
        if self.places.cache is None:
            return None
        h, w = self.suite.size
        key = short_hash(f"{net.name}@{net.weights} {w}x{h} {self.signed.reference}", 16)
        return self.places.cache / f"reference-{key}.npz"


@dataclass(frozen=True)
class Subject:
    """What is scored, in a record's words. trained: the training's side of the cost. perceptual: name@weights
    of the net that was a loss of the training, empty without one. made: what the training ran on."""

    method: str
    title: str
    seed: int | None = None
    cell: str | None = None
    config: dict[str, Any] | None = None
    trained: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    training_data: str | None = None
    perceptual: str = ""
    made: dict[str, Any] | None = None


def open_data(suite: Suite, split: str, places: Places, with_photos: bool = True) -> DataSet:
    """A split of the suite's data set. Raises UserError where its files are missing."""
    entry = lookup(DATASETS, suite.data)
    given = dict(suite.data_options)
    if not with_photos:
        given["with_photos"] = False
    dataset = entry(data_root(suite.data, places.data), split, **given)
    assert isinstance(dataset, DataSet)
    return dataset


def open_bench(
    suite: Suite,
    places: Places,
    device: torch.device,
    protocol: Protocol | None = None,
    features: Sequence[str] | None = None,
    split: str | None = None,
    say: Say = lambda line: None,
) -> Bench:
    """Make a suite ready to score.

    features: feature nets asked for by name, each of which must be there; None takes those of the
    protocol that are at hand, says which are not, and signs with the ones taken.
    """
    protocol = protocol or suite.protocol
    torch.set_num_threads(suite.threads)
    weights = weights_root(places.weights)
    split = split or suite.score_split
    dataset = open_data(suite, split, places)
    if protocol.segmenter is None:
        raise UserError(
            f"suite '{suite.name}' has no segmenter", mend="name one in the suite's protocol to score by it"
        )
    segmenter = lookup(SEGMENTERS, protocol.segmenter)(weights, device)
    nets, missing = [], []
    # Sorted, once each: the order in which nets are named is no part of a protocol.
    for name in sorted(set(protocol.features if features is None else features)):
        try:
            nets.append(lookup(FEATURES, name)(weights, device))
        except UserError as error:
            if features is not None:
                raise
            missing.append(f"not scored with feature net {name}: {error.what}")
            say(f"left out: feature net {name}: {error}")
    protocol = replace(protocol, features=tuple(net.name for net in nets))
    fingerprint = dataset.fingerprint()
    reference = fingerprint
    if nets and protocol.reference == "train":
        reference = open_data(suite, suite.train_split, places).fingerprint()
    signed = Signed(
        protocol=protocol,
        suite=suite.name,
        split=split,
        count=len(dataset),
        size=suite.size,
        segmenter_weights=segmenter.weights,
        feature_weights=tuple(net.weights for net in nets),
        data=fingerprint[:8],
        reference=reference[:8] if nets else "",
    )
    encoding = Encoding(dataset.classes, suite.size, suite.unknown, suite.edges)
    return Bench(suite, dataset, encoding, segmenter, nets, signed, device, fingerprint, missing, places)


def record_id(bench: Bench, source_id: str) -> str:
    """The scoring id: (cell or image source) × protocol."""
    return f"{source_id}-{bench.protocol_hash}"


def photos_id(bench: Bench) -> str:
    """Source id of the scored split's photos."""
    return f"photos-{bench.fingerprint[:12]}"


def evaluate(
    bench: Bench,
    source: ImageSource,
    subject: Subject,
    batch: int = 8,
    workers: int = 0,
    save_images: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Record, Confusion]:
    """Run the one pass and make the record."""
    reset_peak_memory(bench.device)
    with exact_arithmetic():
        reference = bench.reference()
        passed = one_pass(
            source,
            bench.dataset,
            bench.encoding,
            bench.signed.protocol,
            bench.segmenter,
            bench.nets,
            bench.device,
            batch=batch,
            workers=workers,
            save_images=save_images,
            progress=progress,
        )
    total = passed.confusion.total()
    found = scores(total, bench.signed.protocol.class_mean)
    found["iou"] = dict(zip(scored_classes(bench.dataset).names, found["iou"], strict=True))
    distances = {net.key: frechet_distance(passed.features[net.name], reference[net.name]) for net in bench.nets}
    iou = found.pop("iou")
    record_name = record_id(bench, source.id)
    record = Record(
        id=record_name,
        cell=subject.cell,
        method=subject.method,
        title=subject.title,
        suite=bench.suite.name,
        seed=subject.seed,
        source=source.describe(),
        config=subject.config,
        protocol=describe_protocol(bench),
        scores={**found, **distances, "iou": iou},
        cost={
            **dict.fromkeys(("parameters", "multiply_adds", "seconds_training")),
            "seconds_scoring": round(passed.seconds, 3),
            "images_per_s_training": None,
            "images_per_s_scoring": round(len(bench.dataset) / passed.seconds, 3),
            "peak_memory_bytes": peak_memory(bench.device),
            **subject.trained,
        },
        notes=[*subject.notes, *bench.missing, *_loss_notes(bench, subject)],
        provenance={
            "spadebench": __version__,
            **provenance(bench.device),
            "training": subject.made,
            "data": {"scored": bench.fingerprint, "trained": subject.training_data},
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["spadebench", *sys.argv[1:]]),
        },
        confusion=f"{record_name}.confusion.npz",
    )
    return record, passed.confusion


def describe_protocol(bench: Bench) -> dict[str, Any]:
    """The protocol's part of a record."""
    signed, protocol = bench.signed, bench.signed.protocol
    return {
        "name": protocol.name,
        "signature": signed.signature,
        "hash": bench.protocol_hash,
        "segmentation": {"signature": signed.segmentation, "hash": short_hash(signed.segmentation)},
        "distance": {"signature": signed.distance, "hash": short_hash(signed.distance)},
        "fields": {
            "segmenter": protocol.segmenter,
            "image": protocol.image,
            "label": protocol.label,
            "class_mean": protocol.class_mean,
            "features": list(protocol.features),
            "reference": protocol.reference,
            "quantise": protocol.quantise,
        },
    }


def check_disjoint(train: DataSet, scored: DataSet) -> None:
    """Raise UserError where a sample is in the trained and in the scored split, by content."""
    seen = {digest: name for name, digest in zip(train.names, train.digests(), strict=True)}
    shared = [
        (seen[digest], name) for name, digest in zip(scored.names, scored.digests(), strict=True) if digest in seen
    ]
    if shared:
        first, second = shared[0]
        raise UserError(
            f"{len(shared)} samples are in the trained and in the scored split, such as '{first}' and '{second}'",
            mend="split the data so that no sample is in both",
        )


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """float32 as it is: no TF32 while scoring."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def state_hash(state: dict[str, torch.Tensor]) -> str:
    """First 12 hex digits of a hash over names and values of a state dict."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() + tensor.numpy().tobytes())
    return total.hexdigest()[:12]


def _loss_notes(bench: Bench, subject: Subject) -> list[str]:
    """Flags for nets that had a part in both the training's loss and the scores, by name or by weights."""
    name, _, weights = subject.perceptual.partition("@")
    if not name:
        return []
    notes = []
    if name == bench.segmenter.name or weights == bench.segmenter.weights:
        notes.append(f"the scoring segmenter {bench.segmenter.name} was a loss of the training")
    notes += [
        f"the feature net of {net.key} was a loss of the training"
        for net in bench.nets
        if name == net.name or weights == net.weights
    ]
    return notes
