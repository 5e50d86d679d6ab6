"""What a norm brings: the grid of norm and rivals over seeds, run by any launcher, then the verdict on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ablations.grid import Grid, GridRow
from harness.commands import options as o
from harness.commands.grid_work import end, work
from harness.errors import UserError, did_you_mean
from harness.progress import say

if TYPE_CHECKING:
    from harness.launch.grids.grid_plan import GridPlan
    from harness.launch.grids.plan import How
    from harness.launch.launchers.launcher import Launcher
    from harness.norm_check.check import NormCheck
    from harness.norm_check.verdict import Trained, Verdict
    from harness.suites.base import Suite

METHOD = "spade"
# What a rival is called, where it is no norm: the method that it is.
METHODS = {"concat": "spade_concat"}


def trial_grid(norm: dict[str, Any], rivals: Sequence[str], seeds: int) -> Grid:
    """SPADE's method with the norm, then each rival: a norm in the same place, or another method.

    Raises UserError for a rival that is neither, that is named twice, or that is the norm itself.
    """
    from harness.registry import METHODS as KNOWN
    from harness.registry import NORMS, names

    title = called(norm)
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
            every = sorted({*METHODS, *names(NORMS), *names(KNOWN)})
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


def refuse_equal_rows(grid: Grid, suite: Suite) -> None:
    """Raises UserError where two rows are one training under two names: it would count as two rivals."""
    from harness.launch.grids.plan import grid_cells

    rows: dict[str, str] = {}
    for row, cell in zip(grid.methods, grid_cells(replace(grid, seeds=grid.seeds[:1]), suite), strict=True):
        title = row.label or row.name
        if (same := rows.setdefault(cell.id, title)) != title:
            raise UserError(f"'{same}' and '{title}' are the same training", where="--against", mend="leave one out")


def called(norm: dict[str, Any]) -> str:
    """The name of a norm, with the options that are not its defaults, as `spade, kernel=1`."""
    from harness.option_values import filled_norm

    usual = filled_norm("norm", norm["name"], "")
    return ", ".join([norm["name"], *(f"{key}={norm[key]}" for key in norm if norm[key] != usual[key])])


def trial(
    grid: Grid,
    suite: str,
    budget: str | None,
    how: How,
    runner: Launcher | None,
    retry: Sequence[str],
    resamples: int,
) -> Verdict:
    """Train and score what is not done, then judge. how: all but the protocol, which is the suite's own.

    Ends with exit code 1 where a cell failed or was lost. Raises UserError where a score is missing.
    """
    from harness.cells import load_suite
    from harness.evaluation.bench import open_bench
    from harness.launch.cells.prepare import places_of
    from harness.launch.grids.grid_plan import plan_grid
    from harness.norm_check.verdict import judge

    known, places = load_suite(suite), places_of(how)
    sized = replace(grid, set=o.with_budget(dict(grid.set), budget, known, places))
    place = o.device_of(how.device) if runner is None else o.device_of("cpu")
    bench = open_bench(known, places, place, say=say)
    plan = plan_grid(sized, known, bench, replace(how, protocol=known.protocol.as_dict()))
    plan.retry(retry)
    outcome = work([plan], runner)
    try:
        norm, *rivals = _trained(plan)
    except UserError as error:
        say(str(error))
        end([plan], outcome)
        raise typer.Exit(1) from error
    return judge(norm, rivals, resamples)


def report(verdict: Verdict, found: NormCheck, out: Path) -> dict[str, str]:
    """Write the page as Markdown, HTML and JSON into the folder's reports; returns their paths by kind."""
    from harness.files import write_json, write_text
    from reports.verdict import render_html, render_markdown

    name = re.sub(r"[^\w.+=-]+", "_", verdict.norm)
    base = out / "reports" / f"norm-{name}-{verdict.suite}"
    plain = {"verdict": verdict.as_dict(), "checks": found.as_dict()}
    files = {kind: base.with_name(f"{base.name}.{kind}") for kind in ("md", "html", "json")}
    write_text(files["md"], render_markdown(plain["verdict"], plain["checks"]))
    write_text(files["html"], render_html(plain["verdict"], plain["checks"]))
    write_json(files["json"], plain)
    return {kind: str(path) for kind, path in files.items()}


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
