"""Records read from a folder and picked for the rows of a grid.

Works on plain dicts with the keys of docs/record-schema.md, so that a report needs nothing that
trains or scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablations.grid import Grid, GridRow
from harness.errors import UserError
from harness.records import RUN_AGAIN, read_record

PHOTOS = "photos"  # the method of the ceiling row's record
NATIVE = "native"  # the name of a suite's own protocol

Record = dict[str, Any]


@dataclass(frozen=True)
class Picked:
    """The records behind one row, in the order of the grid's seeds; `missing`: seeds without one.

    row: None for the ceiling row, which has one record and no seed.
    """

    row: GridRow | None
    records: tuple[Record, ...]
    missing: tuple[int, ...] = ()


def read_records(folder: Path) -> list[Record]:
    """All records of `folder/records/`, by file name; none where there is no such folder yet.

    Raises UserError naming the file where one is broken, of another schema, or lacks a key.
    """
    files = sorted((folder / "records").glob("*.json"))
    # A name that starts with a dot is a file that somebody is still writing.
    return [read_record(path) for path in files if not path.name.startswith(".")]


def select(records: Iterable[Record], grid: Grid, suite: str, protocol: str | None = None) -> list[Picked]:
    """For each row of the grid, and last for its ceiling, the latest finished record of each seed.

    A record belongs to a row where method, suite, seed and the user's overrides are equal, its training
    is finished and started from no other checkpoint. protocol: only records scored by the protocol of
    this name. Without it a suite's own (`native`) goes before others. A cell may still have been scored
    more than once, as on another split: records of the signature that most of the grid's rows have are
    taken before others, and among equals the one that finished last.
    """
    wanted = [{seed: _cell_key(row.name, seed, grid.overrides(row)) for seed in grid.seeds} for row in grid.methods]
    of_grid = {key for keys in wanted for key in keys.values()}
    candidates: dict[str, list[Record]] = {}
    for record in records:
        key = _key(record) if record["status"] == "done" and record["suite"] == suite else None
        if protocol is not None and record["protocol"].get("name") != protocol:
            continue
        if key in of_grid or key == PHOTOS:
            candidates.setdefault(key, []).append(record)
    for key, every in candidates.items():
        candidates[key] = [record for record in every if record["protocol"].get("name") == NATIVE] or every
    usual = _usual_protocol([found for key, found in candidates.items() if key in of_grid])
    latest = {
        key: max(found, key=lambda record: (record["protocol"]["hash"] == usual, *_age(record)))
        for key, found in candidates.items()
    }
    picked = []
    for row, keys in zip(grid.methods, wanted, strict=True):
        found = tuple(latest[key] for key in keys.values() if key in latest)
        picked.append(Picked(row, found, tuple(seed for seed, key in keys.items() if key not in latest)))
    if grid.ceiling:
        picked.append(Picked(None, (latest[PHOTOS],) if PHOTOS in latest else ()))
    return picked


def _usual_protocol(rows: list[list[Record]]) -> str:
    """The hash of the protocol that has scored most rows; the latest among equals, empty without rows."""
    ages: dict[str, tuple[int, datetime]] = {}
    for found in rows:
        for name in {record["protocol"]["hash"] for record in found}:
            last = max(finished(record) for record in found if record["protocol"]["hash"] == name)
            count, before = ages.get(name, (0, last))
            ages[name] = (count + 1, max(before, last))
    return max(ages, key=ages.__getitem__, default="")


def finished(record: Record) -> datetime:
    """When a record was finished. Raises UserError where the record does not say it as ISO 8601."""
    text = record["provenance"]["finished"]
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"'{text}' is no ISO 8601 time", where=f"record {record['id']}", mend=RUN_AGAIN) from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _age(record: Record) -> tuple[datetime, str]:
    return finished(record), record["id"]


def _key(record: Record) -> str | None:
    """What tells this record from others of its suite; None for one that no grid has asked for."""
    if record["method"] == PHOTOS:
        return PHOTOS
    config = record["config"]
    if config is None or record["seed"] is None or config.get("init_from") is not None:
        return None
    done = record["source"].get("iteration")
    if done is not None and done < config["schedule"]["iterations"]:
        return None  # a checkpoint on the way is no row: rows are not chosen by their scores
    return _cell_key(record["method"], record["seed"], config["overrides"])


def _cell_key(method: str, seed: int, overrides: dict[str, Any]) -> str:
    # One round through JSON, as the record made, and 1 and 1.0 are one number.
    plain = json.loads(json.dumps(overrides), parse_int=float)
    return json.dumps([method, seed, plain], sort_keys=True)
