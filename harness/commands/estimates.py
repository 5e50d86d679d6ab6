"""`spadebench run … --dry-run --estimate`: the estimates of what is left of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.progress import bar

if TYPE_CHECKING:
    from harness.launch.cells.estimate import Estimate
    from harness.launch.grids.grid_plan import GridPlan
    from harness.launch.grids.states import State


def estimates_of(plan: GridPlan, states: Sequence[State]) -> dict[str, Estimate]:
    """An estimate for each cell of the plan that is not done, by cell id; progress on stderr."""
    from harness.launch.cells.estimate import estimate_cells
    from harness.launch.cells.prepare import machine_of, places_of

    left = {cell.id: cell for cell, at in zip(plan.cells, states, strict=True) if at.state != "done"}
    machine = machine_of(plan.how, plan.bench)
    with bar(f"estimating {plan.grid.name} on {plan.suite.name}") as update:
        found = estimate_cells(list(left.values()), plan.bench, places_of(plan.how), machine, update)
    return dict(zip(left, found, strict=True))
