"""An official file as a checkpoint, and what an export keeps of where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from harness.training.checkpoints import Checkpoint

# The key of an export's metadata that holds `origin` as JSON.
OFFICIAL = "official"


@dataclass
class Released(Checkpoint):
    """An official file: a generator's weights without their training, of which the fields say nothing.

    config: as in Recognised. id: content hash of the file. detail: for the record's source. notes: for
    the record.
    """

    id: str
    detail: dict[str, Any]
    notes: tuple[str, ...]


def origin(checkpoint: Released) -> dict[str, Any]:
    """What a Released has beside a checkpoint, as plain values."""
    return {"id": checkpoint.id, "detail": checkpoint.detail, "notes": list(checkpoint.notes)}


def released(checkpoint: Checkpoint, kept: Mapping[str, Any]) -> Released:
    """The Released of which a checkpoint and `origin` are kept. Raises KeyError or TypeError for what is not whole."""
    plain = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    return Released(**plain, id=str(kept["id"]), detail=dict(kept["detail"]), notes=tuple(map(str, kept["notes"])))
