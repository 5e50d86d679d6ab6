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
_Training = tuple[int, str]
# Keys of a config in which the trainings of one row may differ: overrides are compared as numbers, by _cell_key.
_NOT_OF_TRAINING = ("seed", "accumulate", "overrides", "title")


@dataclass(frozen=True)
class Picked:
    """The records behind one row, in the order of the grid's seeds; `missing`: seeds without one.

    row: None for the ceiling row, which has one record and no seed. left_out: seeds of `missing` that have
    a record of a training in micro-batches, which does not stand beside those by whole batches. other_training:
    seeds of `missing` that have a record by another config or code of the method. failed: seeds of `missing`
    whose cell left an error.
    """

    row: GridRow | None
    records: tuple[Record, ...]
    missing: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    other_training: tuple[int, ...] = ()


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

    The seeds of a row are of one training: of one config and code of the method, which may have changed under
    its name, and all by whole batches or all in the same number of micro-batches, as batch statistics differ
    between these. Where several trainings gave every seed a record, whole batches and then the latest are taken;
    where none did, the one by whole batches that gave most.
    """
    wanted = [{seed: _cell_key(row.name, seed, grid.overrides(row)) for seed in grid.seeds} for row in grid.methods]
    of_grid = {key for keys in wanted for key in keys.values()}
    candidates: dict[tuple[str, _Training], list[Record]] = {}
    failures: set[str] = set()
    for record in records:
        if record["status"] == "failed" and record["suite"] == suite:
            failures |= _failed_keys(record, protocol)
        asked = _key(record) if record["status"] == "done" and record["suite"] == suite else None
        if protocol is not None and record["protocol"].get("name") != protocol:
            continue
        if asked is not None and (asked in of_grid or asked == PHOTOS):
            candidates.setdefault((asked, _training(record)), []).append(record)
    for group, every in candidates.items():
        candidates[group] = [record for record in every if record["protocol"].get("name") == NATIVE] or every
    usual = _usual_protocol([found for (key, _), found in candidates.items() if key in of_grid])
    latest = {
        group: max(found, key=lambda record: (record["protocol"]["hash"] == usual, *_age(record)))
        for group, found in candidates.items()
    }
    by_key: dict[str, dict[_Training, Record]] = {}
    for (key, training), record in latest.items():
        by_key.setdefault(key, {})[training] = record
    picked = [
        _picked(row, {seed: by_key.get(key, {}) for seed, key in keys.items()}, keys, failures, usual)
        for row, keys in zip(grid.methods, wanted, strict=True)
    ]
    if grid.ceiling:
        picked.append(Picked(None, tuple(by_key.get(PHOTOS, {}).values())[:1]))
    return picked


def _picked(
    row: GridRow, found: dict[int, dict[_Training, Record]], keys: dict[int, str], failures: set[str], usual: str
) -> Picked:
    """A row's records out of those that each seed has by each training."""
    used = _one_training(list(found.values()), usual)
    missing = tuple(seed for seed, by in found.items() if used not in by)
    whole = {seed for seed in missing if any(parts == used[0] for parts, _ in found[seed])}
    return Picked(
        row,
        tuple(by[used] for by in found.values() if used in by),
        missing,
        left_out=tuple(seed for seed in missing if found[seed] and seed not in whole),
        failed=tuple(seed for seed in missing if keys[seed] in failures),
        other_training=tuple(seed for seed in missing if seed in whole),
    )


def _one_training(seeds: list[dict[_Training, Record]], usual: str) -> _Training:
    """The training that a row is of, out of those that each of its seeds has. usual: hash of a protocol."""
    every = {training for by in seeds for training in by}

    def rank(training: _Training) -> tuple[int, int, int, tuple[datetime, str]]:
        have = [by[training] for by in seeds if training in by]
        by_usual = sum(record["protocol"]["hash"] == usual for record in have)
        return -training[0], len(have), by_usual, max(_age(record) for record in have)

    complete = [training for training in every if all(training in by for by in seeds)]
    return max(complete or [t for t in every if t[0] == 1], key=rank, default=(1, ""))


def _training(record: Record) -> _Training:
    """How the record's cell was trained, but for its seed: micro-batches (1 where it took batches at once), config."""
    config = record["config"] or {}
    kept = {key: value for key, value in config.items() if key not in _NOT_OF_TRAINING}
    return int(config.get("accumulate", 1)), json.dumps(kept, sort_keys=True)


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
