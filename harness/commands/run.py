"""`spadebench run`: the cells of a grid, trained and scored where they are not done, then the table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import cluster_options as c
from harness.commands import options as o
from harness.commands.grid_work import absolute, end, work
from harness.commands.grids import chosen_grid, fill_command, grid_suites
from harness.commands.spread_missing import say_without_spread
from harness.progress import say

if TYPE_CHECKING:
    from harness.launch.grids.grid_plan import GridPlan


def run(
    grid: Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own .yaml or .py file.")],
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="Suite; default: the grid's own, one after another.")
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)] = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    protocol: Annotated[
        str, typer.Option(help="Protocol: a shipped one or your own YAML file; a new one rescores, and trains nothing.")
    ] = "native",
    features: Annotated[str | None, typer.Option(help="Feature nets, comma-separated, or none.")] = None,
    out: o.Out = Path("runs"),
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    workers: o.Workers = 0,
    batch: o.ScoreBatch = 8,
    halves: o.Halves = None,
    checkpoint_every: o.CheckpointEvery = None,
    keep: o.Keep = 1,
    launcher: Annotated[
        str, typer.Option(help="local, torchrun (several processes for each cell) or slurm (jobs of a cluster).")
    ] = "local",
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time, a process each; default: one for each GPU, else one.", min=1)
    ] = None,
    nproc: Annotated[
        int | None,
        typer.Option(help="Processes of each cell, with torchrun or slurm; default: one for each GPU.", min=1),
    ] = None,
    partition: c.Partition = None,
    time: c.Time = None,
    mem: c.Memory = None,
    gpus: c.Gpus = None,
    cpus: c.Cpus = None,
    nodes: c.Nodes = None,
    account: c.Account = None,
    qos: c.Qos = None,
    sbatch: c.Sbatch = None,
    cells_per_job: c.CellsPerJob = None,
    retry: Annotated[
        list[str] | None, typer.Option(help="Try again what failed, or oom: what ran out of memory; may be repeated.")
    ] = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="A dry run with time and memory, from a few steps of each cell here.")
    ] = False,
) -> None:
    """Run a grid on a suite and print its table. What is done already is not done again.

    A cell that fails leaves its error in its record, and the rest goes on; the exit code is then 1.

    \b
    Example:
      spadebench run table1 --suite toyscapes --methods spade --budget 20it --out demo
    """
    o.refuse_torchrun("run")
    o.import_user_code(user_code)
    from harness.evaluation.bench import open_bench
    from harness.evaluation.places import Places
    from harness.evaluation.spread import check_halves
    from harness.launch.grids.grid_plan import checked_cells, plan_grid
    from harness.launch.grids.plan import How, check_retry
    from harness.launch.launchers.opening import LaunchOptions, open_launcher
    from harness.protocols.load import load_protocol

    check_retry(retry or [])
    chosen, _ = chosen_grid(grid, suite, methods, seeds, overrides)
    scored = None if protocol == "native" else protocol
    given = {"--methods": methods, "--seeds": seeds, "--set": overrides, "--budget": budget, "--protocol": scored}
    cluster = c.slurm_options(
        launcher, jobs, nproc, partition, time, mem, gpus, cpus, nodes, account, qos, sbatch, cells_per_job
    )
    runner = open_launcher(LaunchOptions(launcher, jobs, nproc, device, cluster), out, say)
    places = Places(data_root, weights_root, out / "cache")
    plans = []
    for known in grid_suites(chosen, suite):
        sized = replace(chosen, set=o.with_budget(dict(chosen.set), budget, known, places))
        cells = checked_cells(sized, known)
        asked = load_protocol(protocol, known)
        # Workers score on devices of their own, and a GPU of theirs is not this process's to fill.
        place = o.device_of(device) if runner is None or dry_run or estimate else o.device_of("cpu")
        bench = open_bench(known, places, place, asked, o.names(features), say=say)
        if halves is not None:
            check_halves([bench], halves)
        how = How(
            out=str(out.absolute()),
            protocol=asked.as_dict(),
            features=o.names(features),
            data_root=absolute(data_root),
            weights_root=absolute(weights_root),
            device=device,
            workers=workers,
            batch=batch,
            checkpoint_every=checkpoint_every,
            keep=keep,
            imports=tuple(str(Path(n).absolute()) if n.endswith(".py") else n for n in user_code or ()),
            command=tuple(sys.argv[1:]),
            halves=halves,
        )
        plans.append(plan_grid(sized, known, bench, how, cells))
    if dry_run or estimate:
        _say_plans(plans, as_json, estimate)
        return
    for plan in plans:
        plan.retry(retry or [])
    outcome = work(plans, runner)
    if halves is not None:
        again: Mapping[str, str | Path | list[str] | None] = {
            "--protocol": scored,
            "--features": features,
            "--import": user_code,
            "--device": device,
            "--data-root": data_root,
            "--weights-root": weights_root,
        }
        for plan in plans:
            say_without_spread(plan, halves, out, again)
    printed = [
        _table(plan, fill_command(grid, plan.suite.name, out, {**given, "--import": user_code}), as_json)
        for plan in plans
    ]
    if as_json:
        o.print_json(printed if len(printed) > 1 else printed[0])
    end(plans, outcome)


def _say_plans(plans: list[GridPlan], as_json: bool, estimate: bool) -> None:
    from harness.commands.estimates import estimates_of
    from harness.launch.cells.estimate import total_line

    shown, unknown = [], False
    for plan in plans:
        states = plan.states()
        found = estimates_of(plan, states, measure=estimate)
        cells = [{"cell": s.cell, "name": s.name, "done": s.state == "done", "state": s.state} for s in states]
        cells = [{**c, **({"estimate": found[c["cell"]].as_dict()} if c["cell"] in found else {})} for c in cells]
        shown.append({"suite": plan.suite.name, "protocol": plan.bench.signed.signature, "cells": cells})
        for state in states if not as_json else ():
            about = f"  {found[state.cell].text}" if state.cell in found else ""
            say(f"{state.cell}  {'to do' if state.state == 'waiting' else state.state}  {state.name}{about}")
        cells_left = {s.cell for s in states[: len(plan.cells)] if s.state != "done"}
        unknown = unknown or cells_left != set(found)
        if not as_json and (estimate or (found and cells_left == set(found))):
            say(total_line(list(found.values())))
    if unknown and not as_json:
        say("add --estimate for time and memory, measured from a few steps")
    if as_json:
        o.print_json(shown if len(shown) > 1 else shown[0])


def _table(plan: GridPlan, command: str, as_json: bool) -> dict[str, Any]:
    """Write the table of what is done, and print it; returns what --json prints."""
    from rich.console import Console

    from reports.build import build_table
    from reports.render_json import as_dict
    from reports.render_terminal import render_terminal
    from reports.write import write_report

    records = plan.records()
    table = build_table(plan.grid, plan.suite.name, records, command=command)
    used = plan.bench.protocol.name
    name = f"{plan.grid.name}-{plan.suite.name}" + ("" if used == "native" else f"-{used}")
    files = write_report(table, Path(plan.how.out) / "reports", name)
    if not as_json:
        Console().print(render_terminal(table))
        for kind, path in files.items():
            say(f"{kind}: {path}")
    done = [record for record in records if record["status"] == "done"]
    failed = [record for record in records if record["status"] == "failed"]
    return {
        "records": done,
        "failed": failed,
        "table": as_dict(table),
        "files": {kind: str(path) for kind, path in files.items()},
    }
