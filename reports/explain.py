"""Where a figure of a table comes from: its records, who made them by which protocol, and what makes them again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablations.grid import Grid
from harness.errors import UserError, did_you_mean
from reports.columns import metric_of, note_is_of
from reports.published import Published, find, own_figures
from reports.records import PHOTOS, Picked, Record
from reports.table import Cell, Column, Row, Table, clean, delta, measured_text

_AGAIN = "again"  # the folder of a repetition: where a cell is done, it is not done again
_NATIVE = "native"
# Options of the first command that decide a score, and are given again.
_OF_SCORING = ("--segmenter", "--features", "--fit", "--split", "--labels", "--photos-of")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_YAML_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity")


def find_row(table: Table, grid: Grid, wanted: str) -> int:
    """Index of the row of this title, label, key or method. Raises UserError where there is none or there are several.

    grid: of the table, whose rows come first and in this order.
    """
    names = [[row.title, row.key] for row in table.rows]
    methods = [row.name for row in grid.methods] + [""] * (len(table.rows) - len(grid.methods))
    for i, row in enumerate(table.rows):
        if row.ceiling:
            names[i].append(PHOTOS)
    for same in (str, str.casefold):
        for known in (names, [[method] for method in methods]):
            found = [i for i, each in enumerate(known) if same(wanted.strip()) in map(same, each)]
            if len(found) == 1:
                return found[0]
            if found:
                titles = " or ".join(f"'{table.rows[i].title}'" for i in found)
                raise UserError(f"{len(found)} rows are called '{wanted}'", where=table.name, mend=f"say {titles}")
    every = dict.fromkeys(name for each in [*names, methods] for name in each if name)
    raise UserError(
        f"no row is called '{wanted}'", where=f"{table.name} on {table.suite}", mend=did_you_mean(wanted.strip(), every)
    )


def find_column(table: Table, wanted: str) -> int:
    """Index of the column of this key or printed name; `distance` is the only distance. Raises UserError."""
    names = [[column.key, column.name, column.header] for column in table.columns]
    distances = [i for i, column in enumerate(table.columns) if metric_of(column.key).half == "distance"]
    if len(distances) == 1:
        names[distances[0]].append("distance")
    for i, each in enumerate(names):
        if wanted.strip().casefold() in map(str.casefold, each):
            return i
    every = dict.fromkeys(name for each in names for name in each[:2])
    where = f"{table.name} on {table.suite}"
    raise UserError(f"no column is called '{wanted}'", where=where, mend=did_you_mean(wanted.strip(), every))


def explain(
    table: Table, grid: Grid, picked: Sequence[Picked], row: int, column: int, folder: Path, command: str
) -> dict[str, Any]:
    """Everything behind one cell, as plain nested values.

    picked: what reports.records.select gives for the table. row, column: indices. folder: of `records/`.
    command: what fills the row's missing figures.
    """
    line, head = table.rows[row], table.columns[column]
    cell = line.cells[column]
    behind = _behind(table, picked, row)
    by_id = {record["id"]: record for record in behind.records} if behind else {}
    figures = [_figure(by_id[name], value, head, folder) for name, value in zip(cell.records, cell.values, strict=True)]
    others = [record for name, record in by_id.items() if name not in cell.records]
    return {
        "table": table.name,
        "suite": table.suite,
        "row": {"key": line.key, "title": line.title, "method": _method(grid, line, row)},
        "column": {"key": head.key, "header": head.header},
        "printed": measured_text(cell, head) if cell.values else None,
        "mean": cell.mean,
        "spread": cell.spread,
        "figures": figures,
        "without_figure": [_head(record, folder) | {"notes": _notes(record, head)} for record in others],
        "published": [_published(figure) for figure in _stated(grid, table, cell, behind)],
        "delta": delta(cell, head),
        "notes": [clean(note) for note in (*cell.notes, *line.notes) if note_is_of(note, (head.key,))],
        "missing": _missing(line, head, cell, behind, command),
    }


def _behind(table: Table, picked: Sequence[Picked], row: int) -> Picked | None:
    """The records of a row, which is None for one that is published alone."""
    measured = [i for i, line in enumerate(table.rows) if not line.published]
    return picked[measured.index(row)] if row in measured else None


def _method(grid: Grid, line: Row, row: int) -> str | None:
    if line.ceiling:
        return PHOTOS
    return None if line.published else grid.methods[row].name


def _head(record: Record, folder: Path) -> dict[str, Any]:
    return {
        "record": record["id"],
        "file": str(folder / "records" / f"{record['id']}.json"),
        "cell": record.get("cell"),
        "seed": record["seed"],
    }


def _figure(record: Record, value: float, column: Column, folder: Path) -> dict[str, Any]:
    half = metric_of(column.key).half
    protocol, made = record["protocol"], record["provenance"]
    training = made.get("training") or {}
    return {
        **_head(record, folder),
        "value": value,
        "printed": column.text(value * column.scale),
        "protocol": {"name": protocol.get("name"), "half": half, **protocol[half]} if half else None,
        "finished": made["finished"],
        "spadebench": made["spadebench"],
        "git_commit": made.get("git_commit"),
        "trained_at_git_commit": training.get("git_commit"),
        "data": made.get("data") or {},
        "rescored_from": made.get("rescored_from"),
        "command": made.get("command"),
        "repeat": repeat_commands(record),
        "notes": _notes(record, column),
    }


def repeat_commands(record: Record) -> list[str]:
    """The commands that make a record again, for its one seed, in a folder of their own; the first command where a
    record is of images that no command here makes."""
    command = record["provenance"].get("command") or ""
    given, protocol = _options(command), record["protocol"].get("name", _NATIVE)
    imports = [word for name in given.get("--import", ()) for word in ("--import", name)]
    named = [protocol] if protocol != _NATIVE else []
    if record["provenance"].get("rescored_from"):
        return [command]
    score = ["spadebench", "evaluate", "--suite", record["suite"]]
    chosen = [word for name in _OF_SCORING for each in given.get(name, ()) for word in (name, each)]
    # A user's own protocol is named by its file on the command line, and by its name in the record.
    files = [each for each in given.get("--protocol", ()) if each.endswith((".yaml", ".yml"))]
    chosen += [word for each in files[:1] or named for word in ("--protocol", each)]
    last = [*chosen, *imports, "--out", _AGAIN]
    config = record["config"]
    if record["method"] == PHOTOS:
        return [shlex.join([*score, "--photos", *last])]
    if not config or record["source"].get("kind") != "generator" or config.get("init_from") or not record.get("cell"):
        return [command] if command else []
    sets = [word for key, value in config["overrides"].items() for word in ("--set", f"{key}={_value(value)}")]
    train = ["spadebench", "train", record["method"], "--suite", record["suite"], "--seed", str(record["seed"])]
    done = record["source"].get("iteration", config["schedule"]["iterations"])
    checkpoint = f"{_AGAIN}/cells/{record['cell']}/checkpoints/iteration_{done:08d}.pt"
    return [
        shlex.join([*train, *sets, *imports, "--out", _AGAIN]),
        shlex.join([*score, "--checkpoint", checkpoint, *last]),
    ]


def _options(command: str) -> dict[str, list[str]]:
    """The options of a command line with the values given to each."""
    try:
        words = shlex.split(command)
    except ValueError:
        return {}
    found: dict[str, list[str]] = {}
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.startswith("--") and equals:
            found.setdefault(name, []).append(value)
        elif name.startswith("--") and i + 1 < len(words) and not words[i + 1].startswith("--"):
            found.setdefault(name, []).append(words[i + 1])
    return found


def _value(value: Any) -> str:
    """An override as `--set` reads it: words as they are, all else as JSON, which is YAML too."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value)


def _stated(grid: Grid, table: Table, cell: Cell, behind: Picked | None) -> list[Published]:
    """The published figures of a cell, the printed one first."""
    name = behind.row.published if behind is not None and behind.row is not None else None
    if grid.published is None or name is None:
        return [cell.published] if cell.published is not None else []
    here = [figure for figure in own_figures(grid.published) if figure.suite == table.suite]
    return find(here, name, cell.column)


def _published(figure: Published) -> dict[str, Any]:
    keys = ("text", "value", "unit", "status", "source", "note")
    return {key: getattr(figure, key) for key in keys}


def _missing(line: Row, head: Column, cell: Cell, behind: Picked | None, command: str) -> dict[str, Any] | None:
    """What fills the figures that a cell lacks, None where it lacks none or nothing here measures it."""
    if line.published or not head.measured or behind is None:
        return None
    seeds = [] if behind.row is None else list(behind.missing)
    if not seeds and cell.values:
        return None
    return {"seeds": seeds, "failed": list(behind.failed), "command": command}


def _notes(record: Record, column: Column) -> list[str]:
    return [clean(note) for note in record["notes"] if note_is_of(note, (column.key,))]
