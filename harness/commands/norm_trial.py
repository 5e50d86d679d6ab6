"""What a norm brings: the grid of norm and rivals over seeds, run by any launcher, then the verdict on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ablations.grid import Grid, GridRow
from harness.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from harness.launch.grid_plan import GridPlan
    from harness.norm_check.verdict import Trained, Verdict

METHOD = "spade"
# What a rival is called, where it is no norm: the method that it is.
METHODS = {"concat": "spade_concat"}


def trial_grid(norm: dict[str, Any], title: str, rivals: Sequence[str], seeds: int) -> Grid:
    """SPADE's method with the norm, then each rival: a norm in the same place, or another method.

    Raises UserError for a rival that is neither, that is named twice, or that is the norm itself.
    """
    from harness.registry import METHODS as KNOWN
    from harness.registry import NORMS, names

    rows = [GridRow(METHOD, title, {"generator.norm": norm})]
    for rival in rivals:
        if rival in [row.label for row in rows]:
            raise UserError(f"'{rival}' stands there twice", where="--against", mend="a norm is no rival of itself")
        if rival == METHOD:
            rows.append(GridRow(METHOD, rival))
        elif rival in METHODS or rival in names(KNOWN):
            rows.append(GridRow(METHODS.get(rival, rival), rival))
        elif rival in names(NORMS):
            rows.append(GridRow(METHOD, rival, {"generator.norm": rival}))
        else:
            every = [*METHODS, *names(NORMS), *names(KNOWN)]
            raise UserError(f"no norm or method '{rival}'", where="--against", mend=did_you_mean(rival, every))
    if len(rows) < 2:
        raise UserError("a verdict needs a rival", where="--against", mend="--against spade")
    return Grid(
        name=f"norm-{title}",
        origin="validate-norm",
        title=title,
        caption="",
        methods=tuple(rows),
        seeds=tuple(range(seeds)),
        columns=("parameters", "multiply_adds", "miou", "accuracy", "distance"),
    )


def verdict_of(plan: GridPlan, resamples: int) -> Verdict:
    """The verdict on a finished trial. Raises UserError where a training is missing or has failed."""
    from harness.norm_check.verdict import judge

    norm, *rivals = _trained(plan)
    return judge(norm, rivals, resamples)


def _trained(plan: GridPlan) -> list[Trained]:
    from harness.metrics.confusion import Confusion
    from harness.norm_check.verdict import Trained
    from reports.records import select

    records = plan.records()
    found = []
    for one in select(records, plan.grid, plan.suite.name):
        assert one.row is not None
        title = one.row.label or one.row.name
        if one.missing:
            raise UserError(
                f"row '{title}' has no score for seed {', '.join(map(str, one.missing))}, so there is no verdict",
                where="validate-norm",
                mend="the same command goes on; --retry failed runs again what failed",
            )
        confusions = [Confusion.load(plan.store.records_folder / record["confusion"]) for record in one.records]
        found.append(Trained(title, one.records, confusions))
    return found
