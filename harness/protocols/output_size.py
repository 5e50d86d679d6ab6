"""`output-size`: images as they were generated, label maps nearest-resized to them, photos brought to that size.

What evaluation code does that resizes the labels together with the network's input: on Cityscapes it gives
other values than reading the images back at 2048x1024.
"""

from __future__ import annotations

from dataclasses import replace

from harness.evaluation.protocol import Protocol
from harness.registry import PROTOCOLS
from harness.suites.base import Suite


@PROTOCOLS.register_module(name="output-size")
def output_size(suite: Suite) -> Protocol:
    """Images at the size they were generated at, label maps nearest-resized to them."""
    return replace(suite.protocol, name="output-size", image="own", label="image")
