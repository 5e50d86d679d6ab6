"""`spadebench figure KIND`: the figures of a paper, from records. Each kind is one file of this package."""

from __future__ import annotations

import typer

from harness.commands.figure.bars import bars
from harness.commands.figure.classes import classes
from harness.commands.figure.comparison import comparison
from harness.commands.figure.cost import cost
from harness.commands.figure.curves import curves
from harness.commands.figure.failures import failures

figure = typer.Typer(
    no_args_is_help=True,
    help="Draw figures for a paper: PDF, PNG and SVG in one style.",
    epilog="Start here: spadebench figure cost table1 --suite toyscapes --to cost",
)
figure.command()(cost)
figure.command()(classes)
figure.command()(bars)
figure.command()(curves)
figure.command()(comparison)
figure.command()(failures)
