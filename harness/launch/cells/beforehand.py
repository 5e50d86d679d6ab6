"""What is known of a cell before its data set is opened: the classes, and whether its networks can be built."""

from __future__ import annotations

import torch
from torch import nn

from harness.cells import Cell
from harness.cost import check_networks
from harness.data.base import Classes
from harness.errors import UserError
from harness.evaluation.bench import open_data
from harness.evaluation.places import Places
from harness.registry import DATASETS, lookup
from harness.suites.base import Suite
from harness.training.loop import suite_encoding
from harness.training.networks import construct

# Where a data set says its classes only when it is opened: what options a network can have, any classes tell.
_ANY = Classes(("one", "other"), None, ((0, 0, 0), (255, 255, 255)))


def suite_classes(suite: Suite, places: Places) -> Classes:
    """The classes of a suite's data set, without its files where its entry says them (harness/data/base.py)."""
    known = _known_classes(suite)
    return open_data(suite, suite.score_split, places, with_photos=False).classes if known is None else known


def check_cell(cell: Cell) -> None:
    """Raise the UserError of an option that a cell's networks cannot have; no data set is opened, nothing allocated."""
    check_networks(cell.config, suite_encoding(cell.config, _known_classes(cell.suite) or _ANY).spec)


def check_synchronised(cell: Cell) -> None:
    """Raise UserError where a cell has synchronised batch norm, whose processes meet on GPUs only."""
    with torch.device("meta"):
        networks = construct(cell.config, suite_encoding(cell.config, _known_classes(cell.suite) or _ANY).spec)
    for name, network in networks.named().items():
        if any(isinstance(layer, nn.SyncBatchNorm) for layer in network.modules()):
            option = _without_synchronised(name, cell.config["method"][name].get("norm"))
            raise UserError(
                f"the {name} has synchronised batch norm, which does not work over several processes on CPUs",
                where=cell.name,
                mend=f"{option}train on GPUs, or in one process",
            )


def _without_synchronised(part: str, norm: object) -> str:
    """The option that puts plain batch norm in its place; empty where it cannot be told."""
    if not isinstance(norm, dict):
        return ""
    if norm.get("base") == "sync_batch":
        return f"--set {part}.norm.base=batch, or "
    if norm.get("name") != "sync_batch":
        return ""
    affine = str(norm.get("affine", False)).lower()
    return f"--set '{part}.norm={{name: batch, affine: {affine}}}', or "


def _known_classes(suite: Suite) -> Classes | None:
    known = getattr(lookup(DATASETS, suite.data), "classes", None)
    return known if isinstance(known, Classes) else None
