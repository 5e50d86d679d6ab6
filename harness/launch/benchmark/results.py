"""What the times of `spadebench benchmark` come to: the check that both sides did the same work, medians, ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError

# pytorch-fid takes the root of a product of covariances, by which digits are lost.
DISTANCE_TOLERANCE = 1e-3
CACHE = ("uncached", "cached")


@dataclass(frozen=True)
class Timed:
    """One run of a program. seconds: from its start to its end as a process. start: until interpreter and
    libraries were there. found: its report."""

    seconds: float
    start: float
    found: dict[str, Any]


def check_scores(run: Mapping[str, Timed]) -> None:
    """Raise UserError where the two sides' scores differ: mIoU and accuracy in any digit, the Fréchet distance by
    more than DISTANCE_TOLERANCE of it."""
    segmented = run["segment"].found
    for ours, theirs in (("one-pass", "distance"), ("one-pass-cached", "distance-cached")):
        if ours not in run:
            continue
        one = run[ours].found
        for key in ("miou", "accuracy"):
            if one[key] != segmented[key]:
                raise _different(key, one[key], segmented[key])
        if theirs in run:
            a, b = one["distance"], run[theirs].found["distance"]
            if not math.isclose(a, b, rel_tol=DISTANCE_TOLERANCE):
                raise _different(one["key"], a, b)


def _different(key: str, ours: float, theirs: float) -> UserError:
    return UserError(
        f"the two sides do not do the same work: {key} is {ours!r} in one pass and {theirs!r} through PNG files",
        where="benchmark",
        mend="no ratio is given; please report this with the command",
    )


def summary(runs: Sequence[Mapping[str, Timed]]) -> dict[str, Any]:
    """Ratios, medians of seconds, and scores. Without a feature net nothing is cached, and `cached` is None."""
    first = runs[0]
    count = first["generate"].found["images"]
    described = "distance" in first
    prepared = described and first["photos"].found["resized"] > 0
    ours = {"uncached": ["one-pass"], "cached": ["one-pass-cached"]}
    theirs = {
        "uncached": ["generate", "segment", *(["photos"] if prepared else []), *(["distance"] if described else [])],
        "cached": ["generate", "segment", "distance-cached"],
    }
    kinds = [kind for kind in CACHE if described or kind == "uncached"]
    one, three = (
        {kind: _total(runs, side[kind], count) if kind in kinds else None for kind in CACHE} for side in (ours, theirs)
    )
    counted = {name for kind in kinds for name in (*ours[kind], *theirs[kind])}
    return {
        "ratio": {k: _ratio(one[k], three[k], "seconds") for k in CACHE},
        "ratio_without_start": {k: _ratio(one[k], three[k], "seconds_without_start") for k in CACHE},
        "one_pass": one,
        "three_programs": three,
        "parts": {
            name: {
                "seconds": _median([run[name].seconds for run in runs if name in run]),
                "start": _median([run[name].start for run in runs if name in run]),
                "counted": name in counted,
            }
            for name in first
        },
        "scores": {
            "miou": first["one-pass"].found["miou"],
            "accuracy": first["one-pass"].found["accuracy"],
            "distance": first["one-pass"].found["key"],
            "one_pass": first["one-pass"].found["distance"],
            "three_programs": first["distance"].found["distance"] if described else None,
        },
    }


def _total(runs: Sequence[Mapping[str, Timed]], names: Sequence[str], count: int) -> dict[str, float]:
    """Medians over the runs of the sum of some programs."""
    seconds = _median([sum(run[name].seconds for name in names) for run in runs])
    bare = _median([sum(run[name].seconds - run[name].start for name in names) for run in runs])
    return {"seconds": seconds, "seconds_without_start": bare, "images_per_s": round(count / seconds, 4)}


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def _ratio(one: Mapping[str, float] | None, three: Mapping[str, float] | None, key: str) -> float | None:
    return None if one is None or three is None else round(three[key] / one[key], 3)
