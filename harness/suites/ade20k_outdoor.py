"""ADE20K-outdoor: ADE20K's suite on the photos that a list names (harness.data.ade20k_outdoor)."""

from __future__ import annotations

from dataclasses import replace

from harness.registry import SUITES
from harness.suites.ade20k import ade20k
from harness.suites.base import Suite


@SUITES.register_module(name="ade20k_outdoor")
def ade20k_outdoor() -> Suite:
    # ADE20K's steps: how many photos a list has is not known here, and the paper's is not published.
    return replace(ade20k(), name="ade20k_outdoor", title="ADE20K-outdoor", data="ade20k_outdoor")
