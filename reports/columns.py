"""What can stand in a column: each figure of a record by the name, direction, unit and scale it is printed with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ablations.grid import STUDY
from reports.table import Column, clean

# (name, lower is better, unit, scale to the unit, part of the record, half of the protocol that makes it)
_METRICS: dict[str, tuple[str, bool, str, float, str, str | None]] = {
    "miou": ("mIoU", False, "%", 100.0, "scores", "segmentation"),
    "accuracy": ("Accuracy", False, "%", 100.0, "scores", "segmentation"),
    "accuracy_void_wrong": ("Accuracy, void wrong", False, "%", 100.0, "scores", "segmentation"),
    "accuracy_void_ignored": ("Accuracy, void ignored", False, "%", 100.0, "scores", "segmentation"),
    "fid": ("FID", True, "", 1.0, "scores", "distance"),
    "kid": ("KID", True, "", 1.0, "scores", "distance"),
    "parameters": ("Parameters", True, "M", 1e-6, "cost", None),
    "multiply_adds": ("Multiply-adds", True, "G", 1e-9, "cost", None),
    "spade_preferred": ("Answers that prefer SPADE (%)", True, "%", 100.0, "scores", None),
}


@dataclass(frozen=True)
class Metric:
    """A column and where its figures come from.

    part: of the record, `scores` or `cost`. half: of the protocol that makes the figure, None for a cost.
    """

    column: Column
    part: str
    half: str | None


def metric_of(key: str) -> Metric:
    """The metric under a key of a record, or `distance` where no record says yet which one there is."""
    if key in _METRICS:
        name, lower, unit, scale, part, half = _METRICS[key]
        return Metric(Column(key, name, lower, scale=scale, unit=unit, measured=key not in STUDY), part, half)
    # A Fréchet distance by another net is never called FID; without any record its net is not known yet.
    name = "Fréchet distance" if key == "distance" else f"{key[:2].upper()} {clean(key[3:])}"
    return Metric(Column(key, name, True), "scores", "distance")


def note_is_of(note: str, keys: Collection[str]) -> bool:
    """Whether a record's note belongs where figures of these columns are shown.

    A note that speaks of multiply-adds needs their column, and one that starts with a distance's key that distance's.
    """
    if "multiply-adds" in note:
        return "multiply_adds" in keys
    return not note.startswith(("fid ", "kid ", "fd_")) or any(note.startswith(f"{key} ") for key in keys)
