"""`spadebench list`: what can be named on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.commands import options as o
from harness.errors import UserError, did_you_mean

KINDS = (
    "methods",
    "suites",
    "protocols",
    "grids",
    "datasets",
    "segmenters",
    "features",
    "perceptual",
    "norms",
    "generators",
)


def list_entries(
    kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(KINDS)}.")] = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
) -> None:
    """List methods, suites, grids, segmenters, norms and the other names there are.

    \b
    Example:
      spadebench list methods
    """
    if kind is not None and kind not in KINDS:
        raise UserError(f"nothing of the kind '{kind}' to list", mend=did_you_mean(kind, KINDS))
    o.import_user_code(user_code)
    found = {each: _entries(each) for each in ([kind] if kind else KINDS)}
    if as_json:
        o.print_json(found)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("kind", "name", "what"):
        table.add_column(heading, overflow="fold")
    for each, entries in found.items():
        for name, what in entries.items():
            table.add_row(each, name, what)
    Console().print(table)


def _entries(kind: str) -> dict[str, str]:
    """Name -> one line."""
    from ablations.grid import grid_names, load_grid
    from harness import registry

    if kind == "grids":
        return {name: load_grid(name).title for name in grid_names()}
    registries = {
        "methods": registry.METHODS,
        "suites": registry.SUITES,
        "protocols": registry.PROTOCOLS,
        "datasets": registry.DATASETS,
        "segmenters": registry.SEGMENTERS,
        "features": registry.FEATURES,
        "perceptual": registry.PERCEPTUAL,
        "norms": registry.NORMS,
        "generators": registry.GENERATORS,
    }
    chosen = registries[kind]
    names = registry.names(chosen)
    if kind in ("methods", "suites"):
        return {name: registry.lookup(chosen, name)().title for name in names}
    return {name: _first_sentence(registry.lookup(chosen, name).__doc__) for name in names}


def _first_sentence(text: str | None) -> str:
    line = " ".join((text or "").split("\n\n")[0].split())
    return line.split(". ")[0].rstrip(".")
