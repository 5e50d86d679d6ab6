"""The checks of one norm layer, from first to last: what a trial says before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from harness.cells import load_suite, resolve
from harness.errors import UserError, error_line
from harness.evaluation.places import Places
from harness.hardware import describe
from harness.labels import LabelSpec
from harness.launch.cells.beforehand import suite_classes
from harness.norm_check.contract import check_contract
from harness.norm_check.cost import METHOD, NormCost, norm_cost, rounds
from harness.norm_check.keeps import Kept, what_is_kept
from harness.norm_check.layers import open_norm
from harness.norm_check.points import Point
from harness.norm_check.reductions import Reduction, reductions
from harness.suites.base import Suite
from harness.training.loop import suite_encoding

# Beside the norm, what the probe reads behind these.
COMPARED = ("spade", "batch", "instance")
# (done, total, {}), as a bar of harness/progress.py takes it.
Progress = Callable[[int, int, Mapping[str, float]], None]
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class NormCheck:
    """What the checks found.

    norm: as a config has it. contract: a Point each. cost, kept, reductions: None where the layer did not run;
    `left_out` says why, by the part's name. kept: by norm, `norm` being the one under check, in training and eval.
    """

    spec: str
    norm: dict[str, Any]
    suite: str
    seed: int
    hardware: dict[str, Any]
    contract: tuple[Point, ...]
    cost: NormCost | None
    kept: dict[str, tuple[Kept, ...]] | None
    reductions: tuple[Reduction, ...] | None
    left_out: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether no point of the contract failed and no part was left out."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The parts that failed: `contract` where a point of it did, and those that were left out."""
        contract = ("contract",) if any(point.outcome == "failed" for point in self.contract) else ()
        return (*contract, *self.left_out)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values, fit for JSON."""
        return {
            "spec": self.spec,
            "norm": self.norm,
            "suite": self.suite,
            "seed": self.seed,
            "hardware": self.hardware,
            "ok": self.ok,
            "contract": [point.as_dict() for point in self.contract],
            "cost": self.cost and self.cost.as_dict(),
            "kept": self.kept and {name: [k.as_dict() for k in two] for name, two in self.kept.items()},
            "reductions": None if self.reductions is None else [each.as_dict() for each in self.reductions],
            "left_out": self.left_out,
        }


def check_norm(
    spec: str,
    suite: Suite | str,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    places: Places | None = None,
    compiler: str | None = "inductor",
    repeats: int = 5,
) -> NormCheck:
    """Check a norm layer on a suite: contract, cost against SPADE, what it keeps of the class, reductions.

    spec: a registry name, `FILE.py:NAME` or `MODULE:NAME` (code, which is run). options: of the norm, where they
    differ from their defaults. progress: called after each step. compiler: backend of torch.compile, None: not tried.
    Raises UserError for a spec or options that cannot be; what a layer does wrong is a finding.
    """
    suite = load_suite(suite) if isinstance(suite, str) else suite
    norm = open_norm(spec, options)
    labels = _label_spec(suite, places or Places(), seed)
    device = torch.device(device)
    compared = {"norm": norm, **{name: open_norm(name) for name in COMPARED if name != norm["name"]}}
    left_out: dict[str, str] = {}
    total, done = 1 + rounds(repeats) + len(compared) + 1, 0

    def tick(to: int) -> None:
        nonlocal done
        done = to
        if progress is not None:
            progress(done, total, {})

    def part(name: str, run: Callable[[], _Found]) -> _Found | None:
        try:
            return run()
        except UserError as error:
            left_out[name] = str(error)
        except (Exception, SystemExit) as error:  # the layer is a user's code, and may even call sys.exit
            left_out[name] = error_line(error)
        return None

    def read() -> dict[str, tuple[Kept, ...]]:
        found: dict[str, tuple[Kept, ...]] = {}
        for i, (name, value) in enumerate(compared.items()):
            found[name] = what_is_kept(value, seed)
            tick(2 + rounds(repeats) + i)
        return found

    contract = check_contract(norm, labels, device, seed, compiler)
    tick(1)
    cost = part(
        "cost", lambda: norm_cost(norm, suite, labels, device, seed, repeats=repeats, tick=lambda: tick(done + 1))
    )
    kept = part("kept", read)
    known = part("reductions", lambda: reductions(norm, seed))
    tick(total)
    return NormCheck(spec, norm, suite.name, seed, describe(device), contract, cost, kept, known, left_out)


def _label_spec(suite: Suite, places: Places, seed: int) -> LabelSpec:
    config = resolve(METHOD, suite, seed).config
    return suite_encoding(config, suite_classes(suite, places)).spec
