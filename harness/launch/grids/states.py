"""How far the cells of a grid are, read from files alone: any host that sees the folder can ask. Needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.launch.cells.claims import HEARTBEAT, is_alive, read_beat
from harness.launch.grids.plan import PHOTOS, CellSpec, read_spec
from harness.records import Store

DONE, RUNNING, FAILED, WAITING, LOST = STATES = ("done", "running", "failed", "waiting", "lost")
_CHECKPOINT = re.compile(r"iteration_(\d{8})\.pt")
# A protocol by its name, or by what a record says of its own.
Asked = str | Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Target:
    """What to look for. folder: of the cell. record: id of its record; None takes any by the protocol."""

    cell: str
    name: str
    folder: Path
    total: int
    record: str | None = None
    protocol: Asked | None = None


@dataclass(frozen=True)
class State:
    """How far a cell is.

    state: one of STATES. record: id, where there is one. stage: of a running cell. done, total: iterations,
    or images while it is scored. left: seconds, None where nobody knows. detail: who runs it, or the error.
    """

    cell: str
    name: str
    state: str
    log: str
    record: str | None = None
    stage: str = ""
    done: int = 0
    total: int = 0
    left: float | None = None
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def target_of(spec: CellSpec) -> Target:
    """The target of a spec: its own record and no other."""
    return Target(spec.cell, spec.name, spec.folder, spec.total, spec.record, None)


def photos_target(store: Store, suite: str, protocol: Asked) -> Target:
    """The photos of a suite's ceiling row, by this protocol.

    Their id is that of the data's content, which is not opened here: what a run has left says it. Where no run
    has come to them yet, the target has no such id and is waiting.
    """
    folder, records = store.root / PHOTOS, store.records_folder
    specs = [(path, path.parent.name) for path in folder.glob("*/spec-*.json") if _is_of(path, suite, protocol)]
    scored = [(path, path.stem.rpartition("-")[0]) for path in records.glob(f"{PHOTOS}-*.json")]
    # A record may be of another split, scored by itself: what a run has planned goes before.
    found = specs or [each for each in scored if _is_scored(store, each[0].stem, suite, protocol)]
    cell = max(found, key=lambda each: _age(each[0]))[1] if found else None
    at = folder if cell is None else folder / cell
    return Target(cell or PHOTOS, f"real photos of {suite}", at, 0, protocol=protocol)


def _is_asked(protocol: Asked, described: Mapping[str, Any]) -> bool:
    return described.get("name") == protocol if isinstance(protocol, str) else protocol(described)


def _is_of(path: Path, suite: str, protocol: Asked) -> bool:
    """Whether a spec is of this suite and protocol; one that cannot be read is of none."""
    try:
        spec = read_spec(path)
    except UserError:
        return False
    return spec.suite == suite and _is_asked(protocol, spec.described)


def _is_scored(store: Store, record_id: str, suite: str, protocol: Asked) -> bool:
    """Whether a record, finished or failed, is of the photos of this suite by this protocol."""
    record = store.read(record_id)
    if record is None or record["method"] != PHOTOS:
        return False
    return record["suite"] == suite and _is_asked(protocol, record["protocol"])


def _age(path: Path) -> float:
    """When a file was written; 0 for one that has just gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


class Records:
    """The records of a store by cell, each file read when it is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, target: Target) -> dict[str, Any] | None:
        """The record of a target, finished or failed; a finished one goes before."""
        found = [
            record
            for record_id in self._names(target)
            for record in (self._store.read(record_id),)
            if record is not None and (target.protocol is None or _is_asked(target.protocol, record["protocol"]))
        ]
        return min(found, key=lambda record: record["status"] != "done", default=None)

    def _names(self, target: Target) -> list[str]:
        if target.record is not None:
            return ids_of(target.folder, target.cell, target.record)
        cells = dict.fromkeys((target.cell, stand_in(target.folder) or target.cell))
        return [record_id for cell in cells for record_id in self._by_cell.get(cell, [])]

    @cached_property
    def _by_cell(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in sorted(self._store.records_folder.glob("*.json")):
            if not path.name.startswith("."):  # which somebody is still writing
                found.setdefault(path.stem.rpartition("-")[0], []).append(path.stem)
        return found


def stand_in(folder: Path) -> str | None:
    """The cell that stands for the one of a folder, which ran out of memory (harness/launch/cells/out_of_memory.py)."""
    try:
        found = json.loads((folder / "out_of_memory.json").read_text(encoding="utf-8"))["cell"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def ids_of(folder: Path, cell: str, record_id: str) -> list[str]:
    """The ids that the record of a cell may have: its own, and that of the cell that stands for it."""
    other = stand_in(folder)
    return [record_id] if other is None else [record_id, f"{other}{record_id.removeprefix(cell)}"]


def finished(spec: CellSpec) -> dict[str, Any] | None:
    """The finished record of a spec, or None."""
    store = Store(Path(spec.how.out))
    found = (store.load(record_id) for record_id in ids_of(spec.folder, spec.cell, spec.record))
    return next((record for record in found if record is not None), None)


def observe(target: Target, records: Records) -> State:
    """How far one cell is."""
    record = records.find(target)
    found = State(target.cell, target.name, WAITING, str(target.folder / "log.txt"), total=target.total)
    if record is not None and record["status"] == "done":
        return replace(found, state=DONE, record=record["id"], done=target.total)
    beat_path = target.folder / HEARTBEAT
    beat = read_beat(beat_path)
    if beat is not None and is_alive(beat, beat_path):
        total = beat.total or target.total
        return replace(
            found, state=RUNNING, stage=beat.stage, done=beat.done, total=total, left=beat.left, detail=beat.who
        )
    found = replace(found, done=_last_checkpoint(target.folder))
    if record is not None:
        error = record["error"]
        line = f"{error['type']}: {error['message']}" + (f" ({error['mend']})" if error.get("mend") else "")
        return replace(found, state=FAILED, record=record["id"], detail=" ".join(line.split()))
    if beat is not None:
        return replace(found, state=LOST, detail=f"{beat.who} ended without a word")
    return found


def observe_all(targets: Sequence[Target], store: Store) -> list[State]:
    """How far each cell is."""
    records = Records(store)
    return [observe(target, records) for target in targets]


def counts(states: Sequence[State]) -> Mapping[str, int]:
    """How many cells are in each state, in the order of STATES."""
    return {name: sum(state.state == name for state in states) for name in STATES}


def _last_checkpoint(folder: Path) -> int:
    """The iteration of the last checkpoint, 0 without one."""
    try:
        names = [path.name for path in (folder / "checkpoints").iterdir()]
    except OSError:
        return 0
    return max((int(found[1]) for name in names if (found := _CHECKPOINT.fullmatch(name))), default=0)
