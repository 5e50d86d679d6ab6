"""`native`: images resized to the label map's own size, labels untouched: the suite's own protocol."""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import PROTOCOLS
from harness.suites.base import Suite


@PROTOCOLS.register_module(name="native")
def native(suite: Suite) -> Protocol:
    """Images resized to the label map's own size, labels untouched: the suite's own protocol."""
    return suite.protocol
