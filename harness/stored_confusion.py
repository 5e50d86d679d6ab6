"""The confusion beside a record, read with care: records are passed around, and a file beside one may be another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.metrics.confusion import Confusion, scores

_ROUNDING = 1e-9  # between versions of numpy


def stored_confusion(record: dict[str, Any], folder: Path) -> Confusion:
    """The per-image confusion of a checked record in `folder`, that of the records.

    Raises UserError where the record names no plain file, and where the file is missing, broken, or not that of the
    record's scores.
    """
    name, mend = record.get("confusion"), "score it again"
    if not isinstance(name, str) or Path(name).name != name:
        raise UserError(f"record {record['id']} names no confusion beside it", where=str(folder), mend=mend)
    path = folder / name
    if not path.is_file():
        raise UserError(
            "its per-image confusion is not there", where=f"record {record['id']}", mend=f"put {path} back, or {mend}"
        )
    confusion = Confusion.load(path)
    told = record["scores"]
    for key, value in _scores(confusion, record["protocol"].get("fields") or {}).items():
        # A number that is none is not that of the confusion either.
        if key in told and not (isinstance(told[key], int | float) and abs(told[key] - value) <= _ROUNDING):
            raise UserError(
                f"the confusion is not that of the scores of record {record['id']}", where=str(path), mend=mend
            )
    return confusion


def _scores(confusion: Confusion, fields: dict[str, Any]) -> dict[str, float]:
    """What a record of this confusion says, by the rules of its protocol; version 1 names none, it left void out."""
    found = scores(confusion.total(), fields.get("class_mean", "union"))
    ignored, wrong = found["accuracy"], found["accuracy_void_wrong"]
    return {
        "miou": found["miou"],
        "accuracy": wrong if fields.get("void") == "wrong" else ignored,
        "accuracy_void_ignored": ignored,
        "accuracy_void_wrong": wrong,
    }
