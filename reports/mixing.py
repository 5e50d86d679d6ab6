"""What may not stand in one column: figures of several protocols, by random weights, of trainings on other data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from harness.errors import UserError
from reports.columns import Metric
from reports.records import Picked, Record
from reports.table import Cell, Column, Row

_RANDOM = "random weights"
_OTHER_DATA = "mixed training data"
# What a note on random weights says of which half of a protocol; a note that names neither speaks of both.
_HALVES = {"segmentation": "segmenter", "distance": "feature net"}


def guarded(
    column: Column,
    metric: Metric,
    cells: Sequence[Cell],
    rows: Sequence[Row],
    picked: Sequence[Picked],
    where: str,
    mix: bool,
) -> Column:
    """The column, where its figures compare; with `mix`, one whose header says why they do not.

    cells: of this column. rows: of the table. picked: the records behind them. where: the table, for errors.
    Raises UserError without `mix`.
    """
    if metric.half is None:
        return column
    measured = [(row, cell) for row, cell in zip(rows, cells, strict=True) if cell.values]
    flags = []
    behind = {record["id"]: record for one in picked for record in one.records}
    used = [(row.title, behind[name]) for row, cell in measured for name in cell.records]
    random = [record["id"] for _, record in used if scored_at_random(record, metric.half)]
    if random:
        _refuse(
            mix,
            "scored with random weights, which is no score",
            f"record {random[0]}",
            "put the real weights in place and score it again, or show it with --mix",
        )
        flags.append(_RANDOM)
    if (said := _trained_on(used)) is not None:
        what = f"rows were trained on different data under one name ({said})"
        _refuse(mix, what, where, "train them on the same data, or mix them with --mix")
        flags.append(_OTHER_DATA)
    titles: dict[str, list[str]] = {}
    for row, cell in measured:
        for protocol in dict.fromkeys(cell.protocols):
            titles.setdefault(protocol, []).append(row.title)
    if len(titles) > 1:
        listed = "; ".join(f"{', '.join(names)}: {protocol}" for protocol, names in titles.items())
        what = f"column {column.name} would mix protocols ({listed})"
        _refuse(mix, what, where, "score these rows again by one protocol, or mix them with --mix")
    return replace(column, mixed=len(titles) > 1, flags=tuple(flags))


def scored_at_random(record: Record, half: str) -> bool:
    """Whether a net of random weights made the scores of this half of the protocol."""
    if "@random" in record["protocol"][half]["signature"]:
        return True
    notes = [note.lower() for note in record["notes"] if _RANDOM in note.lower()]
    others = [name for key, name in _HALVES.items() if key != half]
    return any(_HALVES[half] in note or not any(name in note for name in others) for note in notes)


def _trained_on(used: Sequence[tuple[str, Record]]) -> str | None:
    """The rows and what they were trained on, where one and the same suite had different data; else None.

    A grid may change a suite's data on purpose, by an override: then the configs differ, and say so.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for title, record in used:
        config = record["config"] or {}
        trained = (record["provenance"].get("data") or {}).get("trained")
        if trained is not None and "suite" in config:
            titles = found.setdefault(json.dumps(config["suite"], sort_keys=True), {}).setdefault(str(trained), [])
            titles += [title] if title not in titles else []
    for fingerprints in found.values():
        if len(fingerprints) > 1:
            return "; ".join(f"{', '.join(titles)}: {trained[:12]}" for trained, titles in fingerprints.items())
    return None


def _refuse(mix: bool, what: str, where: str, mend: str) -> None:
    if not mix:
        raise UserError(what, where=where, mend=mend)
