"""`spadebench status`: how far the cells of a grid are, read from files. Trains and scores nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.commands.grids import chosen_grid, grid_suites
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.evaluation.protocol import Protocol
    from harness.launch.grids.states import State, Target
    from harness.suites.base import Suite

_SECONDS_BETWEEN_LOOKS = 2.0


def status(
    grid: Annotated[str, typer.Argument(help="Grid: a shipped one such as table1, or your own .yaml or .py file.")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: all of the grid's own.")] = None,
    methods: Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; default: the grid's own.", min=1)] = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    protocol: Annotated[str, typer.Option(help="Protocol that the cells are scored by.")] = "native",
    features: Annotated[str | None, typer.Option(help="Feature nets, comma-separated, or none.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of cells and records.")] = Path("runs"),
    data_root: o.DataRoot = None,
    weights_root: o.WeightsRoot = None,
    user_code: o.Import = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds until all have ended.")] = False,
    as_json: o.Json = False,
) -> None:
    """Say which cells of a grid are done, running, failed, waiting or lost, and where their logs are.

    Give the options that the run was given. A lost cell is one whose process ended without a word: the same
    run goes on with it.

    \b
    Example:
      spadebench status table1 --suite toyscapes --methods spade --budget 20it --out demo
    """
    if watch and as_json:
        raise UserError("--watch is for people", where="--json", mend="leave one of them out")
    o.import_user_code(user_code)
    from harness.evaluation.places import Places
    from harness.launch.grids.plan import cell_names, grid_cells
    from harness.launch.grids.states import Target, observe_all, photos_target
    from harness.launch.launchers.slurm_jobs import with_jobs
    from harness.protocols.load import load_protocol
    from harness.records import Store

    chosen, _ = chosen_grid(grid, suite, methods, seeds, overrides)
    store = Store(out)
    targets: list[Target] = []
    photos: list[Target] = []
    for known in grid_suites(chosen, suite):
        sized = replace(chosen, set=o.with_budget(dict(chosen.set), budget, known, Places(data_root)))
        asked = Asked(load_protocol(protocol, known), o.names(features), known, weights_root)
        cells = grid_cells(sized, known)
        for cell, called in zip(cells, cell_names(sized, cells), strict=True):
            total = cell.config["schedule"]["iterations"]
            key = cell.id
            targets.append(Target(key, called, store.cell_folder(key), total, protocol=asked.fits))
        if sized.ceiling:
            photos.append(photos_target(store, known.name, asked.fits))
    targets = [*list({target.cell: target for target in reversed(targets)}.values())[::-1], *photos]
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(targets, store)
        return
    states = with_jobs(observe_all(targets, store), store.root)
    if as_json:
        o.print_json(_plain(states))
    else:
        print("\n".join(lines(states)))


@dataclass(frozen=True)
class Asked:
    """The protocol that a run would score by, as far as it is known without the data.

    features: names asked for, None for the protocol's own that are at hand. weights: the folder of weight files.
    """

    protocol: Protocol
    features: list[str] | None
    suite: Suite
    weights: Path | None = None

    def fits(self, described: Mapping[str, Any]) -> bool:
        """Whether a record with this part about its protocol is what the run would look for."""
        own = self.protocol.as_dict()
        recorded = described.get("fields")
        if recorded is None:
            return described.get("name") == self._name
        # The name decides no score; the others of these are signed as they were opened.
        opened = ("name", "segmenter", "features", "kernel")
        return (
            all(recorded.get(key, value) == value for key, value in own.items() if key not in opened)
            and recorded["kernel"] == (own["kernel"] and bool(recorded["features"]))
            and (recorded["features"] == self._wanted or recorded["features"] == self._at_hand)
            and self._reads(recorded["segmenter"], described)
        )

    @property
    def _name(self) -> str:
        own = self.suite.protocol
        return own.name if replace(self.protocol, name=own.name) == own else self.protocol.name

    @cached_property
    def _wanted(self) -> list[str]:
        return sorted(set(self.protocol.features if self.features is None else self.features))

    @cached_property
    def _at_hand(self) -> list[str]:
        """The names by which the nets are signed: opened once, and only where a record has others."""
        from harness.data.roots import weights_root
        from harness.features.opening import open_feature_net

        found = []
        for name in self._wanted:
            with suppress(UserError):  # a run leaves it out, or ends where it was asked for by name
                found.append(open_feature_net(name, weights_root(self.weights), "cpu").name)
        return found

    def _reads(self, segmenter: str, described: Mapping[str, Any]) -> bool:
        """Whether the segmenter of a record is the one asked for."""
        asked = self.protocol.segmenter
        if asked is None or segmenter == asked:
            return segmenter == asked
        if ":" in asked:  # a file, whose net has a name of its own
            return described.get("name") == self._name
        return segmenter == self._segmenter

    @cached_property
    def _segmenter(self) -> str | None:
        """The name by which a registered segmenter is signed, None where it is not at hand."""
        from harness.data.roots import weights_root
        from harness.segmenters.opening import open_segmenter

        with suppress(UserError):
            opened = open_segmenter(self.protocol.segmenter or "", weights_root(self.weights), "cpu")
            return "_".join(opened.name.split())
        return None


def lines(states: Sequence[State]) -> list[str]:
    """The counts, and a line for each cell."""
    from harness.launch.grids.drive import amount
    from harness.launch.grids.states import counts

    width = max((len(state.name) for state in states), default=0)
    cells = max((len(state.cell) for state in states), default=0)
    found = [", ".join(f"{count} {name}" for name, count in counts(states).items())]
    for state in states:
        far = f"{state.stage} {amount(state)}".strip()
        said = "  ".join(part for part in (far, state.detail) if part)
        found.append(f"{state.state:<8}{state.cell:<{cells}}  {state.name:<{width}}  {said}  {state.log}")
    return found


def _plain(states: Sequence[State]) -> dict[str, Any]:
    from harness.launch.grids.states import counts

    return {"counts": dict(counts(states)), "cells": [state.as_dict() for state in states]}


def _watch(targets: Sequence[Target], store: Any) -> None:
    """Show the lines anew until every cell is done or has failed. Raises KeyboardInterrupt at ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from harness.launch.grids.states import DONE, FAILED, observe_all
    from harness.launch.launchers.slurm_jobs import with_jobs

    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            states = with_jobs(observe_all(targets, store), store.root)
            live.update(Text("\n".join(lines(states)), overflow="fold"), refresh=True)
            if all(state.state in (DONE, FAILED) for state in states):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
