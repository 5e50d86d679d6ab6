"""Scores by another protocol out of a stored confusion: other class means and void rules, no network run.

The record is a new one: its signature says the new protocol, its provenance which record it came from.
Distances are those of the first record.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import UserError
from harness.evaluation.evaluate import describe_protocol, segmentation_scores
from harness.evaluation.protocol import READ_LATER, Protocol, Signed, protocol_of, signed_of
from harness.metrics.confusion import Confusion
from harness.records import OPTIONAL_KEYS, RECORD_KEYS, Record

_ROUNDING = 1e-9  # between versions of numpy
_SEGMENTATION = ("miou", "accuracy", "accuracy_void_ignored", "accuracy_void_wrong", "iou")


def signed_of_record(record: dict[str, Any]) -> Signed:
    """The signed protocol of a record. Raises UserError for one that does not say all of it."""
    where = f"record {record['id']}"
    facts = record["protocol"].get("facts")
    if facts is None:
        raise UserError(
            "this record is of an older protocol version, which does not say all that it was scored on",
            where=where,
            mend="score its images again",
        )
    signed = signed_of(protocol_of(record["protocol"]["fields"], where), facts)
    if signed.signature != record["protocol"]["signature"]:
        raise UserError("the signature of this record is not that of its protocol", where=where, mend="score it again")
    return signed


def can_rescore(signed: Signed, target: Protocol) -> str | None:
    """None where `target` can be read from a confusion scored by `signed`, else the field that forbids it."""
    ours, theirs = signed.protocol.as_dict(), target.as_dict()
    # Feature nets and their reference have no part in a confusion, so they forbid only what asks for nothing else.
    free = {*READ_LATER, "features", "kernel", "reference"}
    different = next((key for key in ours if key not in free and ours[key] != theirs[key]), None)
    read_later = any(ours[key] != theirs[key] for key in READ_LATER if key != "name")
    return different if different is not None or read_later else other_distances(signed.protocol, target)


def other_distances(own: Protocol, target: Protocol) -> str | None:
    """The field by which distances taken by `own` are not all of those of `target`, None where they are."""
    if not own.features:
        return None
    if own.reference != target.reference:
        return "reference"
    if not set(own.features) <= set(target.features):
        return "features"
    return "kernel" if target.kernel and not own.kernel else None


def rescored(record: dict[str, Any], target: Protocol, records: Path, command: str) -> tuple[Record, Confusion]:
    """A record's images by another protocol.

    records: the folder of the record and its confusion. The feature nets stay those of the record: their
    distances are carried over. Raises UserError where `target` needs another pass over the images, or the
    confusion is missing or broken.
    """
    signed = signed_of_record(record)
    different = can_rescore(signed, target)
    if different is not None:
        raise UserError(
            f"protocol '{target.name}' differs in '{different}', which takes a new pass over the images",
            where=f"record {record['id']}",
            mend=f"spadebench evaluate --protocol {target.name}",
        )
    path = records / record["confusion"]
    confusion = Confusion.load(path)
    if abs(segmentation_scores(confusion, signed)["miou"] - record["scores"]["miou"]) > _ROUNDING:
        raise UserError("this is not the confusion of the record's scores", where=str(path), mend="score it again")
    own = signed.protocol
    protocol = replace(target, features=own.features, kernel=own.kernel, reference=own.reference)
    if replace(protocol, name=own.name) == own:
        protocol = own  # one record, one name
    again = replace(signed, protocol=protocol)
    described = describe_protocol(again)
    source = record["id"].removesuffix(record["protocol"]["hash"]).rstrip("-")
    name = f"{source}-{described['hash']}"
    found = segmentation_scores(confusion, again)
    kept = {key: value for key, value in record["scores"].items() if key not in _SEGMENTATION}
    provenance = {
        **record["provenance"],
        "spadebench": __version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "rescored_from": record["id"],
    }
    notes = record["notes"]
    if other_distances(own, target) is not None:
        notes = [*notes, f"distances are not those of protocol '{target.name}' but by '{own.name}'"]
    plain = {key: record[key] for key in RECORD_KEYS if key in record or key not in OPTIONAL_KEYS}
    changed = {
        "notes": notes,
        "id": name,
        "protocol": described,
        "scores": {**{key: found[key] for key in _SEGMENTATION[:-1]}, **kept, "iou": found["iou"]},
        "provenance": provenance,
        "confusion": f"{name}.confusion.npz",
    }
    return Record(**{**plain, **changed}), confusion
