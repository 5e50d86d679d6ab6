"""Working through planned cells from a command: by a launcher or in this process, and what is said at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.progress import bar, say

if TYPE_CHECKING:
    from harness.launch.grids.drive import Outcome
    from harness.launch.grids.grid_plan import GridPlan
    from harness.launch.grids.plan import CellSpec
    from harness.launch.launchers.launcher import Launcher


def absolute(path: Path | None) -> str | None:
    """A path as a worker in another folder needs it."""
    return None if path is None else str(path.absolute())


def work(plans: list[GridPlan], runner: Launcher | None) -> Outcome:
    """All that is left to do, by the launcher, or in this process without one."""
    from harness.launch.cells.prepare import ready_in
    from harness.launch.cells.work import Ready
    from harness.launch.grids.drive import drive
    from harness.launch.grids.here import work_here

    left = [spec for plan in plans for spec in plan.to_do(say)]
    if runner is not None:
        return drive(left, runner, say)
    plan_of = {spec.key: plan for plan in plans for spec in plan.specs}

    def prepare(spec: CellSpec) -> Ready:
        plan = plan_of[spec.key]
        return ready_in(plan.bench, plan.cell_of.get(spec.key), plan.how)

    return work_here(left, prepare, bar, say)


def end(plans: list[GridPlan], outcome: Outcome) -> None:
    """Name what failed and what was lost, with their logs; then exit code 1."""
    specs = [spec for plan in plans for spec in plan.specs]
    failed = {s.key for plan in plans for s, at in zip(plan.specs, plan.states(), strict=True) if at.state == "failed"}
    for what, keys in (("failed", failed), ("lost", set(outcome.lost))):
        named = {spec.key: f"{spec.name} ({spec.log})" for spec in specs if spec.key in keys}
        if named:
            how = "; --retry failed tries again" if what == "failed" else "; the same command goes on"
            say(f"{len(named)} cell{'' if len(named) == 1 else 's'} {what}: {', '.join(named.values())}{how}")
    if failed or outcome.lost:
        raise typer.Exit(1)
