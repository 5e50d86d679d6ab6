"""What `run --halves` says of cells that were done without it: a run does nothing again that is done."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.progress import say

if TYPE_CHECKING:
    from harness.launch.grids.grid_plan import GridPlan


def say_without_spread(
    plan: GridPlan, halves: int, out: Path, given: Mapping[str, str | Path | Sequence[str] | None]
) -> None:
    """One line where finished records lack the spread over so many halves, with the command that scores one again.

    given: options of the run that say by what it is scored, by name; None for one that was not given.
    """
    without = [r for r in plan.records() if r["status"] == "done" and not has_spread(r, halves)]
    if not without:
        return
    commands = [each for record in without if (each := _command(plan, record, halves, out, given)) is not None]
    count = f"{len(without)} record{'' if len(without) == 1 else 's'} of {plan.suite.name} done before"
    how = f"; it comes with a new scoring, as by {commands[0]}" if commands else "; their checkpoints are gone"
    say(f"{count} without a spread over {halves} halves{how}")


def has_spread(record: Mapping[str, Any], halves: int) -> bool:
    """Whether a record has the spread of its distances over so many halves."""
    found = record.get("spread", {}).values()
    return bool(found) and all(entry["halves"] == halves for entry in found)


def _command(
    plan: GridPlan,
    record: Mapping[str, Any],
    halves: int,
    out: Path,
    given: Mapping[str, str | Path | Sequence[str] | None],
) -> str | None:
    """The `spadebench evaluate` that makes a record again, with the spread; None where its checkpoint is gone."""
    from harness.training.checkpoints import list_checkpoints

    words = ["spadebench", "evaluate", "--suite", plan.suite.name]
    if record.get("cell") is None:
        words.append("--photos")
    else:
        kept = list_checkpoints(plan.store.cell_folder(record["cell"]) / "checkpoints")
        if not kept:
            return None
        words += ["--checkpoint", str(out / kept[-1].relative_to(plan.store.root))]
    for name, value in given.items():
        several = [] if value is None else [value] if isinstance(value, str | Path) else value
        words += [word for each in several for word in (name, str(each))]
    return shlex.join([*words, "--halves", str(halves), "--out", str(out)])
