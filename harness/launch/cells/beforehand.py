"""What is known of a cell before its data set is opened: the classes, and whether its networks can be built."""

from __future__ import annotations

from harness.cells import Cell
from harness.cost import check_networks
from harness.data.base import Classes
from harness.evaluation.bench import open_data
from harness.evaluation.places import Places
from harness.registry import DATASETS, lookup
from harness.suites.base import Suite
from harness.training.loop import suite_encoding

# Where a data set says its classes only when it is opened: what options a network can have, any classes tell.
_ANY = Classes(("one", "other"), None, ((0, 0, 0), (255, 255, 255)))


def suite_classes(suite: Suite, places: Places) -> Classes:
    """The classes of a suite's data set, without its files where its entry says them (harness/data/base.py)."""
    known = _known_classes(suite)
    return open_data(suite, suite.score_split, places, with_photos=False).classes if known is None else known


def check_cell(cell: Cell) -> None:
    """Raise the UserError of an option that a cell's networks cannot have; no data set is opened, nothing allocated."""
    check_networks(cell.config, suite_encoding(cell.config, _known_classes(cell.suite) or _ANY).spec)


def _known_classes(suite: Suite) -> Classes | None:
    known = getattr(lookup(DATASETS, suite.data), "classes", None)
    return known if isinstance(known, Classes) else None
