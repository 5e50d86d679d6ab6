"""The record that a finished cell leaves, and the folder that holds records and cells. Needs no torch.

docs/record-schema.md lists the keys.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import write_json
from harness.metrics.confusion import Confusion

SCHEMA = 1
RUN_AGAIN = "delete the record and run its cell again"
_NONE = type(None)
# What every finished record holds. Keys of a dotted name are looked up one after another.
_KEYS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "method": (str,),
    "title": (str,),
    "suite": (str,),
    "seed": (int, _NONE),
    "config": (dict, _NONE),
    "source": (dict,),
    "protocol.hash": (str,),
    "protocol.segmentation.signature": (str,),
    "protocol.segmentation.hash": (str,),
    "protocol.distance.signature": (str,),
    "protocol.distance.hash": (str,),
    "scores": (dict,),
    "cost": (dict,),
    "notes": (list,),
    "provenance.finished": (str,),
    "provenance.spadebench": (str,),
}
# What the record of a failed cell holds.
_FAILED_KEYS: dict[str, tuple[type, ...]] = {
    **{key: _KEYS[key] for key in ("id", "method", "title", "suite", "seed", "config", "protocol.hash")},
    "cell": (str, _NONE),
    "error.type": (str,),
    "error.message": (str,),
    "error.where": (str,),
    "error.traceback": (str,),
    "provenance.finished": (str,),
}


@dataclass(frozen=True)
class Record:
    """One scoring of a cell or of an image source."""

    id: str
    cell: str | None
    method: str
    title: str
    suite: str
    seed: int | None
    source: dict[str, Any]
    config: dict[str, Any] | None
    protocol: dict[str, Any]
    scores: dict[str, Any]
    cost: dict[str, Any]
    notes: list[str]
    provenance: dict[str, Any]
    confusion: str
    status: str = "done"
    schema: int = SCHEMA
    spread: dict[str, dict[str, Any]] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values, keys as in docs/record-schema.md; without `spread` where it was not asked for."""
        plain = {key: value for key, value in asdict(self).items() if key not in OPTIONAL_KEYS or value is not None}
        first = ("schema", "id", "cell", "method", "title", "suite", "seed", "status")
        return {**{key: plain[key] for key in first}, **{k: v for k, v in plain.items() if k not in first}}


# The keys of a record, and those of them that it may lack.
RECORD_KEYS = tuple(f.name for f in fields(Record))
OPTIONAL_KEYS = ("spread",)


@dataclass(frozen=True)
class Store:
    """A folder of results: `cells/<cell id>/` while and after training, `records/<id>.json` when scored."""

    root: Path
    _subfolders: tuple[str, str] = field(default=("cells", "records"), repr=False)

    def cell_folder(self, cell_id: str) -> Path:
        return self.root / self._subfolders[0] / cell_id

    @property
    def records_folder(self) -> Path:
        return self.root / self._subfolders[1]

    def save(self, record: Record, confusion: Confusion) -> Path:
        """Write confusion, then record, each by rename: a record that is there has its confusion."""
        confusion.save(self.records_folder / record.confusion)
        path = self.records_folder / f"{record.id}.json"
        write_json(path, record.as_dict())
        return path

    def load(self, record_id: str) -> dict[str, Any] | None:
        """The finished record under an id, or None."""
        return self._load(record_id, "done")

    def failure(self, record_id: str) -> dict[str, Any] | None:
        """The record of a failed cell under the id that its finished record would have, or None."""
        return self._load(record_id, "failed")

    def save_failure(self, record: dict[str, Any]) -> Path:
        """Write the record of a failed cell. A finished record of the same id takes its place later."""
        path = self.records_folder / f"{record['id']}.json"
        write_json(path, record)
        return path

    def forget_failure(self, record_id: str) -> None:
        """Remove the record of a failed cell, before it is tried again; a finished one stays."""
        if self.failure(record_id) is not None:
            (self.records_folder / f"{record_id}.json").unlink(missing_ok=True)

    def read(self, record_id: str) -> dict[str, Any] | None:
        """The record under an id, finished or failed, or None."""
        path = self.records_folder / f"{record_id}.json"
        try:
            return read_record(path) if path.is_file() else None
        except UserError:
            if path.is_file():
                raise
            return None  # a failure that was forgotten in this moment

    def _load(self, record_id: str, status: str) -> dict[str, Any] | None:
        record = self.read(record_id)
        return record if record is not None and record["status"] == status else None


def read_record(path: Path) -> dict[str, Any]:
    """A record file, checked. Raises UserError where it is broken, of another schema, or lacks a key."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read this record: {error}", where=str(path), mend=RUN_AGAIN) from error
    if not isinstance(record, dict):
        raise UserError("a record is a JSON object", where=str(path), mend=RUN_AGAIN)
    if record.get("schema") != SCHEMA:
        raise UserError(
            f"record of schema {record.get('schema')}, this version reads {SCHEMA}",
            where=str(path),
            mend="use the version that wrote it",
        )
    if not isinstance(record.get("status"), str):
        raise UserError("record lacks 'status'", where=str(path), mend=RUN_AGAIN)
    if record["status"] == "done":
        _check(record, str(path))
    elif record["status"] == "failed":
        _check_keys(record, _FAILED_KEYS, str(path))
    else:
        what = f"record of status '{record['status']}', which is neither done nor failed"
        raise UserError(what, where=str(path), mend=RUN_AGAIN)
    return record


def _check_keys(record: dict[str, Any], keys: dict[str, tuple[type, ...]], where: str) -> None:
    for name, kinds in keys.items():
        value: Any = record
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise UserError(f"record lacks '{name}'", where=where, mend=RUN_AGAIN)
            value = value[part]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise UserError(f"'{name}' of this record is a {type(value).__name__}", where=where, mend=RUN_AGAIN)


def _check(record: dict[str, Any], where: str) -> None:
    _check_keys(record, _KEYS, where)
    if record["config"] is not None and not isinstance(record["config"].get("overrides"), dict):
        raise UserError("record lacks 'config.overrides'", where=where, mend=RUN_AGAIN)
    if not all(isinstance(note, str) for note in record["notes"]):
        raise UserError("'notes' of this record are not all text", where=where, mend=RUN_AGAIN)
    spread = record.get("spread", {})
    if not isinstance(spread, dict) or not all(_is_spread(entry) for entry in spread.values()):
        raise UserError("'spread' of this record is broken", where=where, mend=RUN_AGAIN)


def _is_spread(entry: Any) -> bool:
    """Whether this is the spread of a distance over random halves of the images."""
    if not isinstance(entry, dict):
        return False
    counted = (entry.get(key) for key in ("halves", "images"))
    found: list[Any] = [entry.get(key) for key in ("mean", "std")]
    return all(type(value) is int and value > 0 for value in counted) and all(
        type(value) in (int, float) and math.isfinite(value) and value >= 0 for value in found
    )


def spread_text(entry: dict[str, Any]) -> str:
    """A spread as it is printed: `± 0.4 over 20 random halves of 100 images (no interval)`."""
    halves, images = entry["halves"], entry["images"]
    return f"± {two_digits(entry['std'])} over {halves} random halves of {images} images (no interval)"


def two_digits(value: float) -> str:
    """A figure to two significant digits."""
    return f"{float(f'{value:.2g}'):g}"
