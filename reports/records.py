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

    row: None for the ceiling row, which has one record and no seed. left_out: seeds of `missing` that have
    a record of a training in micro-batches, which does not stand beside those by whole batches. failed: seeds
    of `missing` whose cell left an error.
    """

    row: GridRow | None
    records: tuple[Record, ...]
    missing: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()


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

    The seeds of a row were all trained by whole batches or, where that gives every seed a record and whole
    batches do not, all in the same number of micro-batches: batch statistics differ between these.
    """
    wanted = [{seed: _cell_key(row.name, seed, grid.overrides(row)) for seed in grid.seeds} for row in grid.methods]
    of_grid = {key for keys in wanted for key in keys.values()}
    candidates: dict[tuple[str, int], list[Record]] = {}
    failures: set[str] = set()
    for record in records:
        if record["status"] == "failed" and record["suite"] == suite:
            failures |= _failed_keys(record, protocol)
        asked = _key(record) if record["status"] == "done" and record["suite"] == suite else None
        if protocol is not None and record["protocol"].get("name") != protocol:
            continue
        if asked is not None and (asked in of_grid or asked == PHOTOS):
            candidates.setdefault((asked, _micro_batches(record)), []).append(record)
    for group, every in candidates.items():
        candidates[group] = [record for record in every if record["protocol"].get("name") == NATIVE] or every
    usual = _usual_protocol([found for (key, _), found in candidates.items() if key in of_grid])
    latest = {
        group: max(found, key=lambda record: (record["protocol"]["hash"] == usual, *_age(record)))
        for group, found in candidates.items()
    }
    parts_of: dict[str, set[int]] = {}
    for key, parts in latest:
        parts_of.setdefault(key, set()).add(parts)
    picked = []
    for row, keys in zip(grid.methods, wanted, strict=True):
        parts = min(set.intersection(*(parts_of.get(key, set()) for key in keys.values())), default=1)
        found = tuple(latest[key, parts] for key in keys.values() if (key, parts) in latest)
        missing = tuple(seed for seed, key in keys.items() if (key, parts) not in latest)
        left_out = tuple(seed for seed in missing if keys[seed] in parts_of)
        picked.append(Picked(row, found, missing, left_out, tuple(s for s in missing if keys[s] in failures)))
    if grid.ceiling:
        picked.append(Picked(None, (latest[PHOTOS, 1],) if (PHOTOS, 1) in latest else ()))
    return picked


def _micro_batches(record: Record) -> int:
    """How many micro-batches the training took a batch in: 1 where it took it at once."""
    return int((record["config"] or {}).get("accumulate", 1))


def _failed_keys(record: Record, protocol: str | None) -> set[str]:
    """The key of the cell that failed, where it was to be scored by the protocol of this name."""
    if record["config"] is None or record["seed"] is None:
        return set()
    if protocol is not None and record["protocol"].get("name") != protocol:
        return set()
    return {_cell_key(record["method"], record["seed"], record["config"]["overrides"])}


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
