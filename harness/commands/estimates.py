"""`spadebench run … --dry-run`, with --estimate or without: the estimates of what is left of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.progress import bar

if TYPE_CHECKING:
    from harness.launch.cells.estimate import Estimate
    from harness.launch.grids.grid_plan import GridPlan
    from harness.launch.grids.states import State


def estimates_of(plan: GridPlan, states: Sequence[State], measure: bool) -> dict[str, Estimate]:
    """An estimate for each cell of the plan that is not done, by cell id; progress on stderr.

    states: of the plan's specs. measure: whether what is not in the cache is measured, else it is left out.
    """
    from harness.launch.cells.estimate import estimate_cells, kept_estimates
    from harness.launch.cells.prepare import machine_of, places_of

    left = {cell.id: cell for cell, at in zip(plan.cells, states, strict=False) if at.state != "done"}
    machine = machine_of(plan.how, plan.bench)
    if not measure:
        kept = kept_estimates(list(left.values()), plan.bench, places_of(plan.how), machine)
        return {key: each for key, each in zip(left, kept, strict=True) if each is not None}
    with bar(f"estimating {plan.grid.name} on {plan.suite.name}") as update:
        found = estimate_cells(list(left.values()), plan.bench, places_of(plan.how), machine, update)
    return dict(zip(left, found, strict=True))
