"""A grid and its records to a Table: what goes into which cell, and what may stand in one column."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ablations.grid import Grid, GridRow
from harness.errors import UserError
from harness.records import two_digits
from reports.columns import Metric, metric_of, note_is_of
from reports.mixing import guarded
from reports.other_papers import footnotes, other_rows, without_column
from reports.published import Published, find, load_published, own_figures, published_tables
from reports.records import Picked, Record, select
from reports.table import FILLED_BY, Cell, Column, Row, Table, clean


def build_table(
    grid: Grid,
    suite: str,
    records: Iterable[Record],
    *,
    mix: bool = False,
    command: str | None = None,
    protocol: str | None = None,
    others: Sequence[Published] = (),
) -> Table:
    """The table of a grid on one suite.

    records: dicts as reports.records.read_records gives them. mix: put figures that do not compare into one
    column all the same (see reports.mixing); the column then says so. command: what fills an empty cell, where
    it is not `spadebench run GRID --suite SUITE`. protocol: only records of the protocol of this name.
    others: figures of other papers, of any suite: rows of their own behind those of the grid.
    Raises UserError where a column would mix, and for a score that is no finite number.
    """
    picked = select(records, grid, suite, protocol)
    own = own_figures(grid.published) if grid.published else []
    here = [f for f in own if f.suite == suite]
    elsewhere = [f for f in others if f.suite == suite]
    metrics = [metric_of(key) for key in _keys(grid, picked, here, elsewhere)]
    columns = [metric.column for metric in metrics]
    rows, shared = _shared_notes(_rows(picked, metrics, grid, here, _titles(own)))
    more = other_rows(elsewhere, columns, rows)
    at = next((i for i, row in enumerate(rows) if row.ceiling), len(rows))
    rows[at:at] = more
    for i, metric in enumerate(metrics):
        cells = [row.cells[i] for row in rows]
        sized = replace(metric.column, decimals=_decimals(metric.column, cells))
        columns[i] = guarded(sized, metric, cells, rows, picked, f"{grid.name} on {suite}", mix)
    return Table(
        name=grid.name,
        title=clean(grid.title),
        caption=clean(grid.caption),
        suite=suite,
        columns=tuple(columns),
        rows=tuple(rows),
        signatures=_signatures(picked, metrics),
        notes=(*_notes(grid, suite, picked, rows, command), *shared, *without_column(elsewhere, columns)),
    )


def _keys(grid: Grid, picked: Sequence[Picked], here: Sequence[Published], elsewhere: Sequence[Published]) -> list[str]:
    """The columns, `distance` replaced by the distances that the records hold, each by its own name."""
    held = {key for one in picked for record in one.records for key, v in record["scores"].items() if v is not None}
    nets = sorted(key for key in held if key.startswith("fd_"))
    known = any(f.metric == "fid" for f in here)
    distances = ["fid"] if "fid" in held or (known and not nets) else nets or ["distance"]
    if any(f.metric == "fid" for f in elsewhere):  # a row that somebody added keeps its figure
        distances = ["fid", *(key for key in distances if key not in ("fid", "distance"))]
    distances += ["kid"] if "kid" in held else []
    keys = [key for column in grid.columns for key in (distances if column == "distance" else [column])]
    return list(dict.fromkeys(keys))


def _titles(own: Sequence[Published]) -> dict[str, str]:
    """How methods are printed where no record says it: as by the table's own figures, else by another table's."""
    every = [figure for table in published_tables() for figure in own_figures(table)]
    return {figure.method: figure.title for figure in reversed([*own, *every])}


def _rows(
    picked: Sequence[Picked], metrics: Sequence[Metric], grid: Grid, here: Sequence[Published], titles: dict[str, str]
) -> list[Row]:
    """The rows of the grid, each under a key of its own. titles: the paper's, for rows without a record."""
    rows: list[Row] = []
    for one in picked:
        row = _row(one, metrics, grid, here, titles)
        if row.key in [other.key for other in rows] and one.row is not None:
            row = replace(row, key=_title(one.row, row.key))
        rows.append(row)
    return rows


def _row(one: Picked, metrics: Sequence[Metric], grid: Grid, here: Sequence[Published], titles: dict[str, str]) -> Row:
    row = one.row
    name = None if row is None else row.published
    title = _title(row, one.records[0]["title"] if one.records else titles.get(name or ""))
    keys = [metric.column.key for metric in metrics]
    told = [note for record in one.records for note in record["notes"] if note_is_of(note, keys)]
    return Row(
        key="photos" if row is None else row.label or row.name,
        title=clean(title),
        cells=tuple(_cell(one, metric, here if name else (), name or "", grid) for metric in metrics),
        ceiling=row is None,
        notes=tuple(dict.fromkeys(clean(note) for note in told)),
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
    notes = footnotes(published)
    # The photos come from no network, so a cost of theirs is not missing.
    due = column.measured and (one.row is not None or metric.half is not None)
    without = [record["id"] for record in one.records if due and _value(record, metric) is None]
    if without:
        notes.append(clean(f"not in record {', '.join(without)}"))
    if found and len(found) < len(grid.seeds) and one.row is not None:
        failed = f", {len(one.failed)} failed" if one.failed else ""
        notes.append(f"{len(found)} of {len(grid.seeds)} seeds{failed}")
    notes += _spread_notes([record for record, _ in found], column.key)
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


def _spread_notes(records: Sequence[Record], key: str) -> list[str]:
    """What the records say of a distance's spread over random halves of the images."""
    spreads = [record.get("spread", {}).get(key) for record in records]
    found = [spread for spread in spreads if spread is not None]
    if not found:
        return []
    ends = dict.fromkeys(two_digits(pick(spread["std"] for spread in found)) for pick in (min, max))
    halves = "/".join(str(count) for count in sorted({spread["halves"] for spread in found}))
    known = "" if len(found) == len(spreads) else f" in {len(found)} of {len(spreads)} records"
    return [
        f"spread {' to '.join(ends)} over {halves} random halves of the images{known} "
        "(subsampling; no confidence interval)"
    ]


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
    low, high, what = _range(metric)
    if not low <= value <= high:
        raise UserError(
            f"{value:g} under {metric.part}.{metric.column.key} is no {what}",
            where=f"record {record['id']}",
            mend="delete the record and run its cell again",
        )
    return float(value)


def _range(metric: Metric) -> tuple[float, float, str]:
    """What a figure can be: smallest, largest, in words."""
    if metric.column.unit == "%":
        return 0.0, 1.0, "share of 0 to 1"
    if metric.column.key == "kid":  # the unbiased estimate of a distance near 0 falls on both sides of it
        return -math.inf, math.inf, "distance"
    return -1e-6, math.inf, "distance of at least 0" if metric.half else "cost of at least 0"


def _decimals(column: Column, cells: Sequence[Cell]) -> int:
    """One decimal as in the paper, more where a distance is small: three significant digits of the largest."""
    if column.unit:
        return 1
    largest = max((abs(value) for cell in cells for value in cell.values), default=0.0)
    if largest == 0 or largest >= 10:
        return 1
    return min(6, 2 - math.floor(math.log10(largest)))


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


def _notes(
    grid: Grid, suite: str, picked: Sequence[Picked], rows: Sequence[Row], command: str | None
) -> tuple[str, ...]:
    notes = []
    seeds = sorted({record["seed"] for one in picked if one.row for record in one.records})
    if any(len(cell.values) > 1 for row in rows for cell in row.cells):
        notes.append(f"Mean ± sample standard deviation over {len(grid.seeds)} seeds.")
    elif seeds:
        notes.append(f"Seed {seeds[0]}." if len(seeds) == 1 else "Figures of one seed each.")
    if grid.set:
        notes.append("All rows with " + ", ".join(f"{key}={value}" for key, value in grid.set.items()) + ".")
    notes += [_left_out(one) for one in picked if one.left_out]
    notes += [_other_training(one) for one in picked if one.other_training]
    if not grid.runs:
        notes.append("A human study: published figures alone, nothing to run.")
        suites = list(dict.fromkeys(f.suite for f in load_published(grid.published))) if grid.published else []
        if suite not in suites:
            notes.append(f"No figure is published for {suite}; there are some for: {', '.join(suites) or 'no suite'}.")
    elif any(one.missing or not one.records for one in picked):
        run = command or f"spadebench run {shlex.quote(grid.origin)} --suite {shlex.quote(suite)}"
        notes.append(f"{FILLED_BY}{run}")
        failed = sum(len(one.failed) for one in picked)
        if failed:
            cells = "cell" if failed == 1 else "cells"
            notes.append(f"{failed} {cells} failed and left an error in the record; --retry failed runs them again.")
    return tuple(clean(note) for note in notes)


def _left_out(one: Picked) -> str:
    """Why records of some seeds are not in a row: they ran out of memory, the others did not."""
    return (
        f"{_without(one, one.left_out)}, trained in micro-batches after running out of memory, "
        "which do not mix with whole batches; --retry oom tries whole batches again."
    )


def _other_training(one: Picked) -> str:
    """Why records of some seeds are not in a row: theirs was another training under the same name."""
    return f"{_without(one, one.other_training)}, trained by another config or code of the method than the others."


def _without(one: Picked, seeds: Sequence[int]) -> str:
    title = one.records[0]["title"] if one.records else None
    listed = ", ".join(str(seed) for seed in seeds)
    return f"{_title(one.row, title)}: left out {'seed' if len(seeds) == 1 else 'seeds'} {listed}"
