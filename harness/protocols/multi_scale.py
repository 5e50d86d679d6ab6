"""`multi-scale`: the suite's segmenter in the multi-scale mode of its own evaluation code.

On ADE20K that mode came with the later releases of UPerNet101, which are other weights than the paper's.
"""

from __future__ import annotations

from dataclasses import replace

from harness.evaluation.protocol import Protocol
from harness.registry import PROTOCOLS
from harness.suites.base import Suite


@PROTOCOLS.register_module(name="multi-scale")
def multi_scale(suite: Suite) -> Protocol | None:
    """The suite's own, with its segmenter in multi-scale mode. None where the suite names no such mode."""
    changes = suite.variants.get("multi-scale")
    return None if changes is None else replace(suite.protocol, name="multi-scale", **changes)
