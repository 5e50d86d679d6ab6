"""From an image source to records: one pass for all protocols asked for, then scores with their signatures."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch

from harness import __version__
from harness.evaluation.bench import RANDOM, Bench, record_id
from harness.evaluation.one_pass import Passed, Plan, Reading, Settings, one_pass
from harness.evaluation.protocol import Signed, short_hash
from harness.evaluation.shards import ALONE, Team
from harness.evaluation.sources import ImageSource
from harness.evaluation.spread import Halves, Spread, check_halves, spreads
from harness.features.base import FeatureNet
from harness.hardware import peak_memory, provenance, reset_peak_memory
from harness.metrics.confusion import Confusion, scores
from harness.metrics.frechet import FeatureStats, frechet_distance
from harness.metrics.kernel import kernel_distance
from harness.metrics.notes import small_sample_note
from harness.records import Record


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


def evaluate(
    bench: Bench,
    source: ImageSource,
    subject: Subject,
    settings: Settings | None = None,
    halves: Halves | None = None,
) -> tuple[Record, Confusion]:
    """Run the one pass by one protocol and make the record."""
    return evaluate_all([bench], source, subject, settings, halves=halves)[0]


def evaluate_all(
    benches: Sequence[Bench],
    source: ImageSource,
    subject: Subject,
    settings: Settings | None = None,
    team: Team = ALONE,
    halves: Halves | None = None,
) -> list[tuple[Record, Confusion]]:
    """Run one pass for several protocols of one suite, split and `fit`, and make a record for each.

    An image is made once, read once by each way of reading, described once by each feature net. team: the
    processes that share the pass; each gets the same records. halves: for the spread of the Fréchet distances,
    which takes all features of the images to be kept; it changes nothing else. Raises UserError before the pass
    where that cannot be had.
    """
    first = benches[0]
    if halves is not None:
        check_halves(benches, halves.count)
    settings = settings or Settings(first.device)
    settings = replace(settings, part=team.part(len(first.dataset), settings.batch))
    reset_peak_memory(first.device)
    plan = _plan(benches, keep=halves is not None)
    with exact_arithmetic():
        for bench in benches:
            bench.reference(team=team)
        passed = _gathered(one_pass(source, first.dataset, first.encoding, plan, settings), first, team)
    found = [None for _ in benches] if halves is None else spreads(benches, passed.features, halves)
    return [_made(bench, source, subject, passed, spread) for bench, spread in zip(benches, found, strict=True)]


def _plan(benches: Sequence[Bench], keep: bool) -> Plan:
    readings: dict[tuple[str, ...], Reading] = {}
    nets: dict[str, FeatureNet] = {}
    for bench in benches:
        reading = Reading(bench.segmenter, bench.protocol)
        readings.setdefault(reading.key, reading)
        nets.update({net.name: net for net in bench.nets})
    kept: frozenset[str] = frozenset(nets) if keep else frozenset().union(*(bench.keep for bench in benches))
    return Plan(readings, list(nets.values()), kept)


def _gathered(own: Passed, bench: Bench, team: Team) -> Passed:
    """What all processes have found."""
    names = bench.dataset.names
    return Passed(
        {key: team.confusion(confusion, names) for key, confusion in own.confusions.items()},
        {name: team.features(stats) for name, stats in own.features.items()},
        own.seconds_making,
        max(team.gathered(own.seconds)),
    )


def _made(
    bench: Bench, source: ImageSource, subject: Subject, passed: Passed, spread: Spread | None
) -> tuple[Record, Confusion]:
    confusion = passed.confusions[Reading(bench.segmenter, bench.protocol).key]
    name = record_id(bench, source.id)
    record = Record(
        id=name,
        cell=subject.cell,
        method=subject.method,
        title=subject.title,
        suite=bench.suite.name,
        seed=subject.seed,
        source=source.describe(),
        config=subject.config,
        protocol=describe_protocol(bench.signed),
        scores=segmentation_scores(confusion, bench.signed) | distances(bench, passed.features),
        cost={
            **dict.fromkeys(("parameters", "multiply_adds", "seconds_training")),
            "seconds_scoring": round(passed.seconds, 3),
            "images_per_s_training": None,
            "images_per_s_scoring": round(len(bench.dataset) / passed.seconds, 3),
            "peak_memory_bytes": peak_memory(bench.device),
            **subject.trained,
        },
        notes=[*subject.notes, *bench.missing, *_flags(bench, subject)],
        provenance={
            "spadebench": __version__,
            **provenance(bench.device),
            "training": subject.made,
            "data": {"scored": bench.fingerprint, "trained": subject.training_data},
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["spadebench", *sys.argv[1:]]),
        },
        confusion=f"{name}.confusion.npz",
        spread=spread or None,
    )
    # The classes' figures last, for whoever reads the file.
    record.scores["iou"] = record.scores.pop("iou")
    return record, confusion


def segmentation_scores(confusion: Confusion, signed: Signed) -> dict[str, Any]:
    """mIoU, the accuracy by the protocol and by either void rule, and the IoU of each class, as fractions."""
    found = scores(confusion.total(), signed.protocol.class_mean)
    ignored, wrong = found["accuracy"], found["accuracy_void_wrong"]
    return {
        "miou": found["miou"],
        "accuracy": wrong if signed.protocol.void == "wrong" else ignored,
        "accuracy_void_ignored": ignored,
        "accuracy_void_wrong": wrong,
        "iou": dict(zip(confusion.classes, found["iou"], strict=True)),
    }


def distances(bench: Bench, found: dict[str, FeatureStats]) -> dict[str, float]:
    """Fréchet distances by the nets' keys, and kernel distances (`kid`, or `kd_<net>`) where they are asked for."""
    reference = bench.reference()
    values = {net.key: frechet_distance(found[net.name], reference[net.name]) for net in bench.nets}
    if bench.protocol.kernel:
        for net in bench.nets:
            values[kernel_key(net.key)] = kernel_distance(found[net.name], reference[net.name])
    return values


def kernel_key(key: str) -> str:
    """The kernel distance's key under `scores` for a feature net's key."""
    return "kid" if key == "fid" else f"kd_{key.removeprefix('fd_')}"


def describe_protocol(signed: Signed) -> dict[str, Any]:
    """The protocol's part of a record."""
    return {
        "name": signed.protocol.name,
        "signature": signed.signature,
        "hash": short_hash(signed.signature),
        "segmentation": {"signature": signed.segmentation, "hash": short_hash(signed.segmentation)},
        "distance": {"signature": signed.distance, "hash": short_hash(signed.distance)},
        "fields": signed.protocol.as_dict(),
        "facts": signed.facts(),
    }


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """float32 as it is: no TF32 while scoring."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def _flags(bench: Bench, subject: Subject) -> list[str]:
    """What a reader of the record must know: losses that score, random weights, labels out of the segmenter,
    too few images."""
    notes = []
    name, _, weights = subject.perceptual.partition("@")
    if name and (name == bench.segmenter.name or weights == bench.segmenter.weights):
        notes.append(f"the scoring segmenter {bench.segmenter.name} was a loss of the training")
    notes += [
        f"the feature net of {net.key} was a loss of the training"
        for net in bench.nets
        if name and (name == net.name or weights == net.weights)
    ]
    if bench.segmenter.weights == RANDOM:
        notes.append(f"segmenter {bench.segmenter.name}: random weights, so mIoU and accuracy are no scores")
    notes += [
        f"feature net {net.name}: random weights, so its distance is no score"
        for net in bench.nets
        if net.weights == RANDOM
    ]
    made_by = getattr(bench.dataset, "labels_by", None)
    if made_by is not None and made_by.partition("@")[0] == bench.segmenter.name:
        notes.append(f"the label maps were made by the scoring segmenter {bench.segmenter.name}")
    elif made_by is not None:
        notes.append(f"the label maps were made by the segmenter {made_by}")
    counts = min(len(bench.dataset), bench.signed.reference_count)
    notes += [note for net in bench.nets if (note := small_sample_note(counts, net.dim, net.key)) is not None]
    return notes
