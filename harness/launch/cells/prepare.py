"""A spec made ready to work on: the cell resolved again, its suite's bench opened, both held to what was planned."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from harness.cells import Cell, load_suite, resolve
from harness.errors import UserError
from harness.evaluation.bench import Bench, open_bench, photos_id, record_id
from harness.evaluation.places import Places
from harness.evaluation.protocol import protocol_of
from harness.hardware import pick_device
from harness.launch.cells.cell import Machine
from harness.launch.cells.work import Ready
from harness.launch.grids.plan import CellSpec, How
from harness.norm_check.layers import open_norm
from harness.registry import import_plugin

_AGAIN = "run the grid again, which plans it anew"


def places_of(how: How) -> Places:
    """Where a run looks for data and weights."""

    def path(name: str | None) -> Path | None:
        return None if name is None else Path(name)

    return Places(path(how.data_root), path(how.weights_root), Path(how.out) / "cache")


def prepare(spec: CellSpec, say: Callable[[str], None]) -> Ready:
    """Import the user's code, resolve the cell and open the bench.

    Raises UserError where code, suite or weight files are no longer those of the plan.
    """
    for name in spec.how.imports:
        if ":" in name:
            open_norm(name)  # FILE.py:NAME, a norm that may not register itself
        else:
            import_plugin(name)
    suite = load_suite(spec.suite)
    cell = None
    if spec.config is not None:
        assert spec.seed is not None
        cell = resolve(spec.method, suite, spec.seed, spec.overrides)
        if cell.id != spec.cell:
            raise UserError("the code of this cell changed since it was planned", where=spec.name, mend=_AGAIN)
    protocol = protocol_of(spec.how.protocol, where=f"spec of {spec.name}")
    device = _device(spec.how.device)
    bench = open_bench(suite, places_of(spec.how), device, protocol, spec.how.features, say=say)
    check_planned(spec, bench)
    return Ready(cell, bench, machine_of(spec.how, bench))


def _device(name: str | None) -> torch.device:
    """The device asked for; of several processes of a torchrun each has a GPU of its own."""
    device = pick_device(name)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if several and device.type == "cuda" else device


def ready_in(bench: Bench, cell: Cell | None, how: How) -> Ready:
    """What is open already, for a cell that is worked on in this process."""
    return Ready(cell, bench, machine_of(how, bench))


def machine_of(how: How, bench: Bench) -> Machine:
    return Machine(bench.device, how.workers, how.batch)


def check_planned(spec: CellSpec, bench: Bench) -> None:
    """Raise UserError where the bench is not the one that the spec was planned for."""
    if record_id(bench, spec.cell if spec.config is not None else photos_id(bench)) != spec.record:
        raise UserError(
            "data, segmenter or feature nets changed since this cell was planned", where=spec.name, mend=_AGAIN
        )
