"""The spread of Fréchet distances by subsampling: no interval can be had of one, and this is what can be said.

A distance is one figure of all images and is not kept per image. Over random halves of the images it varies; the
halves' standard deviation estimates how far the distance would vary over other sets of as many images
(harness/metrics/frechet.py, half_distances). It is no part of a protocol: scores and hash do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.evaluation.bench import Bench
from harness.evaluation.one_pass import Progress
from harness.metrics.frechet import FeatureStats, half_distances

SEED = 0
LEAST_IMAGES = 4
LEAST_HALVES = 2
Spread = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Halves:
    """What is asked for: `count` random halves of the images. progress: told of each half (done, total)."""

    count: int
    progress: Progress | None = field(default=None, compare=False)


def halves_told(count: int, images: int, update: Callable[[int, int, Mapping[str, float]], None]) -> Halves:
    """The halves asked for; update: of the bar of the pass, which stays at its end and tells of each half."""
    return Halves(count, lambda done, total: update(images, images, {"halves": done, "of": total}))


def check_halves(benches: Sequence[Bench], count: int) -> None:
    """Raise UserError where no spread over `count` halves can be had: checked before anything is scored."""
    if count < LEAST_HALVES:
        raise UserError(
            f"{count} random halves have no spread", where="--halves", mend=f"give {LEAST_HALVES} or more, as 20"
        )
    images = len(benches[0].dataset)
    if images < LEAST_IMAGES:
        raise UserError(
            f"{images} image{'' if images == 1 else 's'} cannot be halved at random",
            where="--halves",
            mend=f"score {LEAST_IMAGES} or more, or leave it out",
        )
    if not any(bench.nets for bench in benches):
        raise UserError(
            "no Fréchet distance is taken whose spread could be told",
            where="--halves",
            mend="score with a feature net that is at hand, and with photos, or leave it out",
        )


def spreads(benches: Sequence[Bench], found: Mapping[str, FeatureStats], halves: Halves) -> list[Spread]:
    """For each bench the spread of each of its distances, by the distance's key under `scores`.

    found: by net, the features of all images, kept, in the order of the data set. Halves are drawn from SEED over
    the images sorted by name, so that no order of files and no number of processes has a say. They are the same
    ones for every net. An entry has `halves`, the number of `images` of a half, `mean` and `std` (ddof=1).
    """
    names = benches[0].dataset.names
    # Protocols that share a net and its reference have one spread; references are shared by what they are of.
    shared: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for index, bench in enumerate(benches):
        for net in bench.nets:
            shared.setdefault((net.name, id(bench.reference()[net.name])), []).append((index, net.key))
    made: list[Spread] = [{} for _ in benches]
    for number, ((net_name, _), users) in enumerate(shared.items()):
        stats = by_name(found[net_name], names)
        reference = benches[users[0][0]].reference()[net_name]
        rng, tell = np.random.default_rng(SEED), _part(halves, number, len(shared))
        distances = half_distances(stats, reference, rng, halves.count, tell)
        entry = {
            "halves": halves.count,
            "images": len(names) // 2,
            "mean": float(distances.mean()),
            "std": float(distances.std(ddof=1)),
        }
        for index, key in users:
            made[index][key] = dict(entry)
    return made


def by_name(stats: FeatureStats, names: Sequence[str]) -> FeatureStats:
    """The kept features of these images, sorted by their names; the same object where they are already."""
    order = sorted(range(len(names)), key=names.__getitem__)
    kept = stats.kept
    if kept is None or order == list(range(len(names))):
        return stats
    ordered = FeatureStats(stats.dim, keep=True)
    ordered.update(kept[order])
    return ordered


def _part(halves: Halves, number: int, parts: int) -> Progress | None:
    """The progress of one of several distances as that of them all."""
    progress = halves.progress
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, parts * total)
