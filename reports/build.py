"""A grid and its records to a Table: what goes into which cell, and what may stand in one column."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ablations.grid import Grid, GridRow
from harness.errors import UserError
from reports.columns import Metric, metric_of
from reports.published import Published, find, load_published
from reports.records import Picked, Record, select
from reports.table import Cell, Column, Row, Table, clean

_RANDOM = "random weights"


def build_table(
    grid: Grid,
    suite: str,
    records: Iterable[Record],
    *,
    mix: bool = False,
    command: str | None = None,
    protocol: str | None = None,
) -> Table:
    """The table of a grid on one suite.

    records: dicts as reports.records.read_records gives them. mix: put figures of different protocols
    into one column all the same; the column then says so. command: what fills an empty cell, where it
    is not `spadebench run GRID --suite SUITE`. protocol: only records of the protocol of this name.
    Raises UserError where protocols would be mixed, for a record that was scored with random weights,
    and for a score that is no finite number.
    """
    picked = select(records, grid, suite, protocol)
    for one in picked:
        _refuse_random(one)
    figures = load_published(grid.published) if grid.published else []
    here = [f for f in figures if f.suite == suite]
    metrics = [metric_of(key) for key in _keys(grid, picked, here)]
    rows, shared = _shared_notes([_row(one, metrics, grid, here) for one in picked])
    columns = []
    for i, metric in enumerate(metrics):
        cells = [row.cells[i] for row in rows]
        column = replace(metric.column, decimals=_decimals(metric.column, cells))
        columns.append(_unmixed(column, cells, rows, grid, suite, mix))
    return Table(
        name=grid.name,
        title=clean(grid.title),
        caption=clean(grid.caption),
        suite=suite,
        columns=tuple(columns),
        rows=tuple(rows),
        signatures=_signatures(picked, metrics),
        notes=(*_notes(grid, suite, picked, command), *shared),
    )


def _keys(grid: Grid, picked: Sequence[Picked], here: Sequence[Published]) -> list[str]:
    """The columns, `distance` replaced by the distances that the records hold, each by its own name."""
    held = {key for one in picked for record in one.records for key, v in record["scores"].items() if v is not None}
    others = sorted(key for key in held if key.startswith("fd_"))
    known = any(f.metric == "fid" for f in here)
    distances = ["fid"] if "fid" in held or (known and not others) else others or ["distance"]
    distances += ["kid"] if "kid" in held else []
    keys = [key for column in grid.columns for key in (distances if column == "distance" else [column])]
    return list(dict.fromkeys(keys))


def _row(one: Picked, metrics: Sequence[Metric], grid: Grid, here: Sequence[Published]) -> Row:
    row = one.row
    name = None if row is None else row.published
    known = next((f.title for f in here if f.method == name), None)
    title = _title(row, one.records[0]["title"] if one.records else known)
    flags = dict.fromkeys(clean(note) for record in one.records for note in record["notes"])
    return Row(
        key="photos" if row is None else row.label or row.name,
        title=clean(title),
        cells=tuple(_cell(one, metric, here if name else (), name or "", grid) for metric in metrics),
        ceiling=row is None,
        notes=tuple(flags),
    )


def _title(row: GridRow | None, found: str | None) -> str:
    if row is None:
        return found or "real photos"
    if row.label is not None:
        return row.label
    own = ", ".join(f"{key}={value}" for key, value in row.set.items())
    return (found or row.name) + (f", {own}" if own else "")


def _shared_notes(rows: Sequence[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """Notes that all rows with figures have, taken out of the rows: they are the table's."""
    filled = [row for row in rows if any(cell.values for cell in row.cells)]
    shared = [note for note in filled[0].notes if all(note in row.notes for row in filled)] if len(filled) > 1 else []
    kept = [replace(row, notes=tuple(note for note in row.notes if note not in shared)) for row in rows]
    return kept, tuple(shared)


def _cell(one: Picked, metric: Metric, here: Sequence[Published], name: str, grid: Grid) -> Cell:
    column = metric.column
    found = [(record, value) for record in one.records if (value := _value(record, metric)) is not None]
    published = find(here, name, column.key)
    notes = [clean(f"{f.source}: {f.text}; {f.note}") for f in published if f.note]
    notes += [f"published figure {f.text}: unverified" for f in published[:1] if f.status == "unverified"]
    without = [record["id"] for record in one.records if _value(record, metric) is None]
    if without:
        notes.append(clean(f"not in record {', '.join(without)}"))
    if found and len(found) < len(grid.seeds) and one.row is not None:
        failed = f", {len(one.failed)} failed" if one.failed else ""
        notes.append(f"{len(found)} of {len(grid.seeds)} seeds{failed}")
    return Cell(
        column=column.key,
        lower_is_better=column.lower_is_better,
        values=tuple(value for _, value in found),
        seeds=tuple(record["seed"] for record, _ in found),
        records=tuple(record["id"] for record, _ in found),
        protocols=tuple(record["protocol"][metric.half]["hash"] for record, _ in found) if metric.half else (),
        published=published[0] if published else None,
        notes=tuple(notes),
    )


def _value(record: Record, metric: Metric) -> float | None:
    value: Any = record[metric.part].get(metric.column.key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(
            f"'{value}' under {metric.part}.{metric.column.key} is no finite number",
            where=f"record {record['id']}",
            mend="delete the record and run its cell again",
        )
    return float(value)


def _refuse_random(one: Picked) -> None:
    for record in one.records:
        if any(_RANDOM in note.lower() for note in record["notes"]):
            raise UserError(
                "scored with random weights, which is no score",
                where=f"record {record['id']}",
                mend="put the real weights in place and score it again",
            )


def _decimals(column: Column, cells: Sequence[Cell]) -> int:
    """One decimal as in the paper, more where a distance is small: three significant digits of the largest."""
    if column.unit:
        return 1
    largest = max((abs(value) for cell in cells for value in cell.values), default=0.0)
    if largest == 0 or largest >= 10:
        return 1
    return min(6, 2 - math.floor(math.log10(largest)))


def _unmixed(column: Column, cells: Sequence[Cell], rows: Sequence[Row], grid: Grid, suite: str, mix: bool) -> Column:
    titles: dict[str, list[str]] = {}
    for row, cell in zip(rows, cells, strict=True):
        for protocol in dict.fromkeys(cell.protocols):
            titles.setdefault(protocol, []).append(row.title)
    if len(titles) < 2:
        return column
    if not mix:
        listed = "; ".join(f"{', '.join(names)}: {protocol}" for protocol, names in titles.items())
        raise UserError(
            f"column {column.name} would mix protocols ({listed})",
            where=f"{grid.name} on {suite}",
            mend="score these rows again by one protocol, or mix them with --mix",
        )
    return replace(column, mixed=True)


def _signatures(picked: Sequence[Picked], metrics: Sequence[Metric]) -> tuple[str, ...]:
    lines: dict[str, None] = {}
    for half in ("segmentation", "distance"):
        used = [metric for metric in metrics if metric.half == half]
        for one in picked:
            for record in one.records:
                if any(_value(record, metric) is not None for metric in used):
                    protocol = record["protocol"][half]
                    lines[clean(f"{half}: {protocol['signature']} #{protocol['hash']}")] = None
    versions = sorted({record["provenance"]["spadebench"] for one in picked for record in one.records})
    return (*lines, *([clean(f"spadebench {', '.join(versions)}")] if versions else []))


def _notes(grid: Grid, suite: str, picked: Sequence[Picked], command: str | None) -> tuple[str, ...]:
    notes = []
    count = len(grid.seeds)
    if any(one.records and one.row for one in picked):
        notes.append(f"Mean ± sample standard deviation over {count} seeds." if count > 1 else f"Seed {grid.seeds[0]}.")
    if grid.set:
        notes.append("All rows with " + ", ".join(f"{key}={value}" for key, value in grid.set.items()) + ".")
    notes += [_left_out(one) for one in picked if one.left_out]
    if any(one.missing or not one.records for one in picked):
        run = command or f"spadebench run {shlex.quote(grid.origin)} --suite {shlex.quote(suite)}"
        notes.append(f"Missing figures are filled by: {run}")
        failed = sum(len(one.failed) for one in picked)
        if failed:
            cells = "cell" if failed == 1 else "cells"
            notes.append(f"{failed} {cells} failed and left an error in the record; --retry failed runs them again.")
    return tuple(clean(note) for note in notes)


def _left_out(one: Picked) -> str:
    """Why records of some seeds are not in a row: they ran out of memory, the others did not."""
    seeds = ("seed " if len(one.left_out) == 1 else "seeds ") + ", ".join(str(seed) for seed in one.left_out)
    title = one.records[0]["title"] if one.records else ""
    return (
        f"{_title(one.row, title or None)}: left out {seeds}, trained in micro-batches after running out of memory, "
        "which do not mix with whole batches; --retry oom tries whole batches again."
    )
