"""What a norm layer brings: its trainings against those of its rivals, tested, and said in one sentence each.

A rival is SPADE's method with another norm, or another method. All are trained on the same seeds and scored by
one protocol. The test on mIoU draws seeds and images (harness.metrics.paired), p is corrected over the rivals
by Holm, and beside it stands the exact permutation over seeds, which assumes nothing and which few seeds cannot
bring low. What the tests cannot reach, after the same correction, is not claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from harness.errors import UserError
from harness.metrics.confusion import Confusion
from harness.metrics.paired import ClassDifference, compare_methods
from harness.metrics.significance import Comparison, holm, permutation_test, welch_test

ALPHA = 0.05
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Trained:
    """The trainings of one row: records and their confusions, in the order of seeds."""

    title: str
    records: Records
    confusions: Sequence[Confusion]

    def mean_of(self, part: str, key: str) -> float | None:
        """The mean over seeds of a figure; None where a record lacks it."""
        values = [record[part].get(key) for record in self.records]
        return None if any(value is None for value in values) else float(mean(values))


@dataclass(frozen=True)
class Against:
    """The norm minus one rival.

    miou, accuracy: seeds × images, or images with one seed. p_holm: of mIoU over all rivals. permutation: mIoU
    over seeds alone, without assumptions, uncorrected. distances: by key, Welch over seeds. parameters, multiply_adds:
    shares of the rival's. classes: gains and losses of IoU. sentence: the verdict.
    """

    rival: str
    miou: Comparison
    accuracy: Comparison
    p_holm: float
    permutation: Comparison
    distances: dict[str, Comparison]
    parameters: float | None
    multiply_adds: float | None
    classes: tuple[ClassDifference, ...]
    outcome: str
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        return {
            **plain,
            "miou": self.miou.as_dict(),
            "accuracy": self.accuracy.as_dict(),
            "permutation": self.permutation.as_dict(),
            "distances": {key: one.as_dict() for key, one in self.distances.items()},
            "classes": [one.as_dict() for one in self.classes],
        }


@dataclass(frozen=True)
class Verdict:
    """norm: how the row is called. unit: of the test. signature: the protocol's."""

    norm: str
    suite: str
    seeds: int
    unit: str
    signature: str
    iterations: int
    rows: tuple[dict[str, Any], ...]
    against: tuple[Against, ...]

    @property
    def sentence(self) -> str:
        """The verdict in plain words, a sentence for each rival."""
        return f"{self.norm} is " + "; ".join(one.sentence for one in self.against) + "."

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {key: getattr(self, key) for key in ("norm", "suite", "seeds", "unit", "signature", "iterations")}
        return {
            **plain,
            "sentence": self.sentence,
            "rows": list(self.rows),
            "against": [one.as_dict() for one in self.against],
        }


def judge(norm: Trained, rivals: Sequence[Trained], resamples: int = 10_000, level: float = 0.95) -> Verdict:
    """The verdict on a norm.

    Raises UserError for records of different protocols, or of micro-batches and whole ones, and for rows without any.
    """
    every = [norm, *rivals]
    hashes = {record["protocol"]["segmentation"]["hash"] for row in every for record in row.records}
    if any(not row.records for row in every) or not rivals:
        raise UserError("a verdict needs trainings of the norm and of each rival", where="validate-norm")
    if len(hashes) != 1:
        raise UserError(
            f"these trainings were scored by {len(hashes)} protocols", where="validate-norm", mend="score them by one"
        )
    _must_share_batches(every)
    fields = norm.records[0]["protocol"]["fields"]
    found = [
        compare_methods(
            norm.confusions, rival.confusions, fields["class_mean"], fields["void"], resamples=resamples, level=level
        )
        for rival in rivals
    ]
    adjusted = holm([one.figures["miou"].p for one in found])
    against = []
    for rival, one, p_holm in zip(rivals, found, adjusted, strict=True):
        miou = one.figures["miou"]
        permutation = permutation_test(_scores(norm, "miou"), _scores(rival, "miou"), "miou", level=level)
        multiply_adds = _ratio(norm, rival, "multiply_adds")
        outcome = _outcome(miou, p_holm, permutation, len(rivals))
        against.append(
            Against(
                rival=rival.title,
                miou=miou,
                accuracy=one.figures["accuracy"],
                p_holm=p_holm,
                permutation=permutation,
                distances=_distances(norm, rival, level),
                parameters=_ratio(norm, rival, "parameters"),
                multiply_adds=multiply_adds,
                classes=one.classes,
                outcome=outcome,
                sentence=_sentence(rival.title, outcome, miou, p_holm, permutation, multiply_adds, len(rivals)),
            )
        )
    first = norm.records[0]
    return Verdict(
        norm=norm.title,
        suite=first["suite"],
        seeds=len(norm.records),
        unit=against[0].miou.unit,
        signature=first["protocol"]["segmentation"]["signature"],
        iterations=first["config"]["schedule"]["iterations"],
        rows=tuple(_row(row) for row in every),
        against=tuple(against),
    )


def _must_share_batches(rows: Sequence[Trained]) -> None:
    """Refuse rows whose batch statistics are over different numbers of images, as after one ran out of memory."""
    parts = {row.title: {record["config"].get("accumulate", 1) for record in row.records} for row in rows}
    if len(set().union(*parts.values())) > 1:
        told = ", ".join(f"{title} in {' or '.join(map(str, sorted(each)))}" for title, each in parts.items())
        raise UserError(
            f"these trainings took their batches in different numbers of micro-batches: {told}",
            where="validate-norm",
            mend="with more memory free, --retry oom trains whole batches; or give another --out on a larger device",
        )


def _row(row: Trained) -> dict[str, Any]:
    """The row's scores by seed, its cost, its records and what these note."""
    keys = [key for key in row.records[0]["scores"] if key != "iou"]
    return {
        "title": row.title,
        "records": [record["id"] for record in row.records],
        "seeds": [record["seed"] for record in row.records],
        "notes": list(dict.fromkeys(note for record in row.records for note in record["notes"])),
        "scores": {key: [record["scores"].get(key) for record in row.records] for key in keys},
        "parameters": row.mean_of("cost", "parameters"),
        "multiply_adds": row.mean_of("cost", "multiply_adds"),
        "seconds_training": row.mean_of("cost", "seconds_training"),
    }


def _scores(row: Trained, key: str) -> list[float]:
    return [float(record["scores"][key]) for record in row.records]


def _ratio(norm: Trained, rival: Trained, key: str) -> float | None:
    own, theirs = norm.mean_of("cost", key), rival.mean_of("cost", key)
    return None if own is None or not theirs else own / theirs


def _distances(norm: Trained, rival: Trained, level: float) -> dict[str, Comparison]:
    """Distances that both have; lower is better, so a negative difference is the norm's gain."""
    keys = [key for key in norm.records[0]["scores"] if key == "fid" or key.startswith("fd_")]
    keys = [key for key in keys if all(key in record["scores"] for record in rival.records)]
    return {key: welch_test(_scores(norm, key), _scores(rival, key), key, level=level) for key in keys}


def _outcome(miou: Comparison, p_holm: float, permutation: Comparison, family: int) -> str:
    """`better` or `worse` where the corrected test says so, `open` else.

    Open too where the seeds are so few that their exact permutation, corrected for as many rivals, could not show
    anything: then the test would rest on the assumption of normal scores alone.
    """
    if p_holm > ALPHA or miou.difference == 0 or _too_few(miou, permutation, family):
        return "open"
    return "better" if miou.difference > 0 else "worse"


def _too_few(miou: Comparison, permutation: Comparison, family: int) -> bool:
    return min(miou.seeds) > 1 and _reach(permutation, family) > ALPHA


def _reach(permutation: Comparison, family: int) -> float:
    """The least p that the permutation can give after Holm, which multiplies the least of a family by its size."""
    return min(1.0, permutation.smallest_p * family)


def _sentence(
    rival: str,
    outcome: str,
    miou: Comparison,
    p_holm: float,
    permutation: Comparison,
    multiply_adds: float | None,
    family: int,
) -> str:
    count = min(miou.seeds)
    seeds = "one seed" if count == 1 else f"{count} seeds"
    reach = "" if miou.low is None or miou.high is None else f" ± {50 * (miou.high - miou.low):.1f}"
    after_holm, uncorrected = (" after Holm", " uncorrected") if family > 1 else ("", "")
    p = f"p = {_rounded(p_holm)}{after_holm} ({miou.unit} bootstrap)"
    if outcome == "open":
        figures = f"{100 * miou.difference:+.1f}{reach} mIoU, {p}"
        if _too_few(miou, permutation, family):
            least = f"{_reach(permutation, family):.2f}{after_holm}"
            figures += f"; {seeds} a side cannot bring an exact permutation below p = {least}"
        return f"not shown to differ from {rival} by {seeds} ({figures})"
    gap = f"{100 * abs(miou.difference):.1f}{reach} mIoU"
    said = f"{outcome} than {rival} by {gap}{_cheaper(multiply_adds)}, {p}, {seeds}"
    if count == 1:
        return f"{said}: of these two trainings, not of the methods"
    return f"{said}, exact permutation over seeds p = {_rounded(permutation.p)}{uncorrected}"


def _cheaper(ratio: float | None) -> str:
    if ratio is None or abs(ratio - 1) < 0.005:
        return ""
    return f" at {100 * abs(1 - ratio):.0f}% {'fewer' if ratio < 1 else 'more'} multiply-adds"


def _rounded(p: float) -> str:
    return f"{p:.1g}" if p < 0.1 else f"{p:.2f}"
