"""The record that a finished cell leaves, and the folder that holds records and cells. Needs no torch.

docs/record-schema.md lists the keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import write_json
from harness.metrics.confusion import Confusion

SCHEMA = 1


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

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values, keys as in docs/record-schema.md."""
        plain = asdict(self)
        first = ("schema", "id", "cell", "method", "title", "suite", "seed", "status")
        return {**{key: plain[key] for key in first}, **{k: v for k, v in plain.items() if k not in first}}


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
        """The record under an id, or None."""
        path = self.records_folder / f"{record_id}.json"
        return read_record(path) if path.is_file() else None

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, by file name."""
        for path in sorted(self.records_folder.glob("[!.]*.json")):
            yield read_record(path)


def read_record(path: Path) -> dict[str, Any]:
    """A record file as a dict. Raises UserError where it is broken or of another schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            "cannot read this record, it is broken", where=str(path), mend="delete it and run again"
        ) from error
    if not isinstance(content, Mapping) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, Mapping) else None
        raise UserError(f"record schema {found} is not {SCHEMA}", where=str(path), mend="use the version that wrote it")
    return dict(content)
