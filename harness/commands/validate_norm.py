"""`spadebench validate-norm`: what a norm layer does right, costs and keeps, before and beside any training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import options as o
from harness.commands.progress import bar
from harness.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.norm_check.check import NormCheck

STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim"}
PREFIX = "generator.norm."


def validate_norm(
    norm: Annotated[str | None, typer.Argument(help="my_norm.py:MyNorm, module:MyNorm, or a registered name.")] = None,
    suite: o.Suite = "toyscapes",
    checks_only: Annotated[bool, typer.Option("--checks-only", help="Train nothing.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Option of the norm, as in kernel=1; may be repeated.")
    ] = None,
    seed: o.Seed = 0,
    repeats: Annotated[int, typer.Option(help="Timed rounds; the median counts.", min=1)] = 5,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Try torch.compile, up to a minute.")] = True,
    device: o.Device = None,
    data_root: o.DataRoot = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
    template: Annotated[bool, typer.Option("--template", help="Print a norm layer to start from, and stop.")] = False,
) -> None:
    """Check a norm layer: its contract, its cost against SPADE, what it keeps of the class, what it reduces to.

    FILE.py:NAME is code, and is run. Exit code 1 where a point of the contract fails. docs/norm-tutorial.md

    \b
    Example:
      spadebench validate-norm --template > my_norm.py
      spadebench validate-norm my_norm.py:MyNorm --suite toyscapes --checks-only
    """
    if template:
        print((Path(__file__).parents[1] / "norm_check" / "template.py").read_text(encoding="utf-8"), end="")
        return
    if norm is None:
        raise UserError("no norm is named", where="validate-norm", mend="give FILE.py:NAME, or --template for a start")
    if not checks_only:
        raise UserError("training is not part of it yet", where="validate-norm", mend="give --checks-only")
    o.import_user_code(user_code)
    from harness.evaluation.places import Places
    from harness.norm_check.check import check_norm
    from harness.overrides import parse_set

    with bar("checks") as update:
        found = check_norm(
            norm,
            suite,
            o.device_of(device),
            seed,
            progress=update,
            options={key.removeprefix(PREFIX): value for key, value in parse_set(overrides or []).items()},
            places=Places(data_root),
            compiler="inductor" if compiled else None,
            repeats=repeats,
        )
    if as_json:
        o.print_json(found.as_dict())
    else:
        print_checks(found)
    # What it brings: the grid of (norm, rivals) × seeds, the verdict and the report come here, unless checks_only.
    if not found.ok:
        raise typer.Exit(1)


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
