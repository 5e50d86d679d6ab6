"""`spadebench run`: the cells of a grid, trained and scored where they are not done, then the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.grids import chosen_grid
from harness.commands.progress import bar, say


def run(
    grid: Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own YAML file.")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: the grid's own.")] = None,
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
    checkpoint_every: o.CheckpointEvery = None,
    keep: o.Keep = 1,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Run a grid on a suite and print its table. What is done already is not done again.

    \b
    Example:
      spadebench run table1 --suite toyscapes --methods spade --budget 20it --out demo
    """
    o.refuse_torchrun("run")
    o.import_user_code(user_code)
    from harness.cells import load_suite, resolve
    from harness.evaluation.bench import open_bench, photos_id, record_id
    from harness.evaluation.places import Places
    from harness.launch.beforehand import check_cell
    from harness.launch.cell import Machine, Watch, check_trained_data, score_cell, score_photos, train_cell
    from harness.protocols.load import load_protocol
    from harness.records import Store
    from harness.training.loop import LoopOptions

    loaded, suite_name = chosen_grid(grid, suite, methods, seeds, overrides)
    chosen = load_suite(suite_name)
    places = Places(data_root, weights_root, out / "cache")
    loaded = replace(loaded, set=o.with_budget(dict(loaded.set), budget, chosen, places))
    cells = [resolve(row.name, chosen, seed, loaded.overrides(row)) for row in loaded.methods for seed in loaded.seeds]
    for cell in cells[:: len(loaded.seeds)]:  # the seed has no say in what can be built
        check_cell(cell)
    asked = load_protocol(protocol, chosen)
    bench = open_bench(chosen, places, o.device_of(device), asked, o.names(features), say=say)
    store = Store(out)
    if dry_run:
        plan = [
            {"cell": cell.id, "name": cell.name, "done": store.load(record_id(bench, cell.id)) is not None}
            for cell in cells
        ]
        if as_json:
            o.print_json({"protocol": bench.signed.signature, "cells": plan})
        for entry in plan if not as_json else ():
            say(f"{entry['cell']}  {'done' if entry['done'] else 'to do'}  {entry['name']}")
        return
    machine = Machine(bench.device, workers, batch)
    loop = LoopOptions(checkpoint_every, keep, workers=workers)
    records: list[dict[str, Any]] = []
    for number, cell in enumerate(cells, start=1):
        name = f"[{number}/{len(cells)}] {cell.name}"
        record = store.load(record_id(bench, cell.id))
        if record is not None:
            check_trained_data(record, bench)
            say(f"{name}: done already, cell {cell.id}")
        else:
            with bar(f"{name} training") as update:
                checkpoint = train_cell(cell, store, places, machine, loop, Watch(update, say))
            with bar(f"{name} scoring") as update:
                record = score_cell(cell, checkpoint, bench, store, machine, update)
        # Another spelling of the same cell may have made the record: the table looks for this one's.
        described = {key: cell.config[key] for key in ("overrides", "title")}
        records.append({**record, "title": cell.title, "config": {**record["config"], **described}})
    if loaded.ceiling:
        record = store.load(record_id(bench, photos_id(bench)))
        if record is None:
            with bar("real photos scoring") as update:
                record = score_photos(bench, store, machine, update)
        records.append(record)
    _report(loaded, chosen.name, asked.name, records, out, as_json)


def _report(grid: Any, suite: str, protocol: str, records: list[dict[str, Any]], out: Path, as_json: bool) -> None:
    from rich.console import Console

    from reports.build import build_table
    from reports.render_json import as_dict
    from reports.render_terminal import render_terminal
    from reports.write import write_report

    table = build_table(grid, suite, records)
    name = f"{grid.name}-{suite}" + ("" if protocol == "native" else f"-{protocol}")
    files = write_report(table, out / "reports", name)
    if as_json:
        o.print_json({"records": records, "table": as_dict(table), "files": {k: str(v) for k, v in files.items()}})
        return
    Console().print(render_terminal(table))
    for kind, path in files.items():
        say(f"{kind}: {path}")
