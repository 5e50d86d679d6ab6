"""`spadebench validate-norm`: what a norm layer does right, costs, keeps and brings; a report with a verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import cluster_options as c
from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say

if TYPE_CHECKING:
    from rich.console import Console

    from harness.norm_check.check import NormCheck

STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim"}
PREFIX = "generator.norm."


def validate_norm(
    norm: Annotated[str | None, typer.Argument(help="my_norm.py:MyNorm, module:MyNorm, or a registered name.")] = None,
    suite: o.Suite = "toyscapes",
    against: Annotated[
        str, typer.Option(help="Rivals, comma-separated: norms in the same place, methods, or concat.")
    ] = "spade,concat,batch",
    seeds: Annotated[int, typer.Option(help="Trainings of each.", min=1)] = 5,
    budget: o.Budget = None,
    checks_only: Annotated[bool, typer.Option("--checks-only", help="Train nothing.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Option of the norm, as in kernel=1; may be repeated.")
    ] = None,
    seed: o.Seed = 0,
    repeats: Annotated[int, typer.Option(help="Timed rounds; the median counts.", min=1)] = 5,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Try torch.compile, up to a minute.")] = True,
    out: o.Out = Path("runs"),
    checkpoint_every: o.CheckpointEvery = None,
    launcher: Annotated[str, typer.Option(help="local, torchrun or slurm, as in spadebench run.")] = "local",
    jobs: Annotated[int | None, typer.Option(help="Cells at a time, a process each.", min=1)] = None,
    nproc: Annotated[int | None, typer.Option(help="Processes of each cell.", min=1)] = None,
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
    retry: Annotated[list[str] | None, typer.Option(help="Try again what failed, or oom; may be repeated.")] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of the tests.", min=1000)] = 10_000,
    device: o.Device = None,
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
    template: Annotated[bool, typer.Option("--template", help="Print a norm layer to start from, and stop.")] = False,
) -> None:
    """A verdict on a norm layer: contract, cost, what it keeps of the class; then trained against rivals and tested.

    FILE.py:NAME is code, and is run. Exit code 1 where a point of the contract fails, or another check
    does, and nothing is trained then. docs/norm-tutorial.md

    \b
    Example:
      spadebench validate-norm --template > my_norm.py
      spadebench validate-norm my_norm.py:MyNorm --suite toyscapes --checks-only
      spadebench validate-norm my_norm.py:MyNorm --against spade --seeds 2 --budget 20it
    """
    if template:
        print((Path(__file__).parents[1] / "norm_check" / "template.py").read_text(encoding="utf-8"), end="")
        return
    if norm is None:
        raise UserError("no norm is named", where="validate-norm", mend="give FILE.py:NAME, or --template for a start")
    o.import_user_code(user_code)
    from harness.cells import load_suite
    from harness.commands.grid_work import absolute
    from harness.commands.norm_trial import refuse_equal_rows, report, trial, trial_grid
    from harness.evaluation.places import Places
    from harness.launch.grids.plan import How, check_retry
    from harness.launch.launchers.opening import LaunchOptions, open_launcher
    from harness.norm_check.check import check_norm
    from harness.norm_check.layers import open_norm
    from harness.overrides import parse_set

    check_retry(retry or [])
    options = {key.removeprefix(PREFIX): value for key, value in parse_set(overrides or []).items()}
    cluster = c.slurm_options(
        launcher, jobs, nproc, partition, time, mem, gpus, cpus, nodes, account, qos, sbatch, cells_per_job
    )
    places = Places(data_root, weights_root)
    if not checks_only:  # what cannot be is said before the checks, which take a minute
        rivals = [name for name in (n.strip() for n in against.split(",")) if name]
        grid = trial_grid(open_norm(norm, options), rivals, seeds)
        o.with_budget({}, budget, load_suite(suite), places)
        refuse_equal_rows(grid, load_suite(suite))
        runner = open_launcher(LaunchOptions(launcher, jobs, nproc, device, cluster), out, say)
    with bar("checks") as update:
        found = check_norm(
            norm,
            suite,
            o.device_of(device),
            seed,
            progress=update,
            options=options,
            places=places,
            compiler="inductor" if compiled else None,
            repeats=repeats,
        )
    if not as_json:
        print_checks(found)
    if checks_only or not found.ok:
        if as_json:
            o.print_json({"checks": found.as_dict(), "verdict": None})
        if not found.ok and not checks_only:
            say(f"not trained: a norm has no verdict where its checks fail; here {' and '.join(found.failed)} failed")
        if not found.ok:
            raise typer.Exit(1)
        return
    code = [*(user_code or ()), *([norm] if ":" in norm else ())]
    how = How(
        out=str(out.absolute()),
        protocol={},
        features=None,
        data_root=absolute(data_root),
        weights_root=absolute(weights_root),
        device=device,
        checkpoint_every=checkpoint_every,
        imports=tuple(_absolute(name) for name in code),
        command=tuple(sys.argv[1:]),
    )
    verdict = trial(grid, suite, budget, how, runner, retry or [], resamples)
    files = report(verdict, found, out)
    if as_json:
        o.print_json({"checks": found.as_dict(), "verdict": verdict.as_dict(), "files": files})
        return
    print(f"\n{verdict.sentence}")
    for kind, path in files.items():
        say(f"{kind}: {path}")


def _absolute(name: str) -> str:
    """A file of the user's code, or a file and a name in it, as a worker in another folder needs it."""
    file, colon, rest = name.rpartition(":")
    path = file if colon else name
    return f"{Path(path).absolute()}{colon}{rest if colon else ''}" if path.endswith(".py") else name


def print_checks(found: NormCheck) -> None:
    """The checks for people, on stdout."""
    from rich.console import Console

    console = Console(emoji=False, highlight=False)
    options = ", ".join(f"{key}={value}" for key, value in found.norm.items() if key != "name")
    console.print(f"{found.norm['name']} ({options})" if options else found.norm["name"], style="bold", markup=False)
    _print_contract(console, found)
    _print_cost(console, found)
    _print_kept(console, found)
    console.print("\nReductions", style="bold")
    for line in [each.line() for each in found.reductions or ()] or ["none found"]:
        console.print(f"  {line}", markup=False)
    for part, why in found.left_out.items():
        console.print(f"{part} left out: {why}", style="red", markup=False)


def _print_contract(console: Console, found: NormCheck) -> None:
    console.print("\nContract", style="bold")
    for point in found.contract:
        console.print(f"  {point.name:<11}", end="")
        console.print(f"{point.outcome:<8}", style=STYLES[point.outcome], end="")
        console.print(point.asks if point.outcome == "ok" else f"{point.said} (asked: {point.asks})", markup=False)
        if point.tensor is not None:
            console.print(f"{21 * ' '}{point.tensor.line()}", style="red", markup=False)


def _print_cost(console: Console, found: NormCheck) -> None:
    from rich.table import Table

    cost = found.cost
    if cost is None:
        return
    where = f"the layer with {cost.channels} channels at {cost.size[1]}x{cost.size[0]}"
    title = f"\nCost beside SPADE's on {found.suite}; {where}"
    table = Table(box=None, title=title, title_justify="left", title_style="bold", header_style="bold")
    table.add_column("")
    for heading in ("parameters", "multiply-adds", "forward", "backward", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for what, beside in (("layer", cost.layer), ("generator", cost.generator)):
        for whose, run in ((what, beside.own), (f"{what}, SPADE", beside.spade)):
            times = (f"{1e3 * run.forward:.2f} ms", f"{1e3 * run.backward:.2f} ms", f"{run.memory / 2**20:.2f} MiB")
            table.add_row(whose, f"{run.parameters:,}", f"{run.multiply_adds / 1e6:.2f} M", *times)
        ratios = ("–" if ratio is None else f"{ratio:.3f}" for ratio in beside.ratios().values())
        table.add_row("  own / SPADE's", *ratios, end_section=True)
    console.print(table)
    spade = ", ".join(f"{key}={value}" for key, value in cost.spade.items() if key != "name")
    machine = f"{cost.device}; images: {cost.batch}, repeats: {cost.repeats}; {cost.measured}."
    console.print(f"SPADE has {spade} here. {machine}", style="dim", markup=False)


def _print_kept(console: Console, found: NormCheck) -> None:
    from rich.table import Table

    if not found.kept:
        return
    title = "\nClass read back behind the norm by a linear probe, share of pixels"
    table = Table(box=None, title=title, title_justify="left", title_style="bold", header_style="bold")
    table.add_column("")
    for heading in ("uniform maps", "in eval", "mixed maps", "in eval"):
        table.add_column(heading, justify="right")
    for name, (training, evaluated) in found.kept.items():
        shares = (training.uniform, evaluated.uniform, training.mixed, evaluated.mixed)
        table.add_row(found.norm["name"] if name == "norm" else name, *(f"{share:.3f}" for share in shares))
    console.print(table)
    chance = next(iter(found.kept.values()))[0].chance
    console.print(f"Chance on uniform maps: {chance:.3f}. In training each map is a batch of its own.", style="dim")
