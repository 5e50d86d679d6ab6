"""The suite's own protocol with other averages: each class mean, and void pixels counted wrong.

All of them come out of the confusion that the suite's own protocol leaves.
"""

from __future__ import annotations

from dataclasses import replace

from harness.evaluation.protocol import Protocol
from harness.registry import PROTOCOLS
from harness.suites.base import Suite


@PROTOCOLS.register_module(name="mean-union")
def mean_union(suite: Suite) -> Protocol:
    """mIoU over the classes with a non-empty union (mmsegmentation, DRN)."""
    return replace(suite.protocol, name="mean-union", class_mean="union")


@PROTOCOLS.register_module(name="mean-present")
def mean_present(suite: Suite) -> Protocol:
    """mIoU over the classes in the ground truth (deeplab-pytorch)."""
    return replace(suite.protocol, name="mean-present", class_mean="present")


@PROTOCOLS.register_module(name="mean-all")
def mean_all(suite: Suite) -> Protocol:
    """mIoU over all classes, an absent one 0 (semantic-segmentation-pytorch)."""
    return replace(suite.protocol, name="mean-all", class_mean="all")


@PROTOCOLS.register_module(name="void-wrong")
def void_wrong(suite: Suite) -> Protocol:
    """Accuracy over all pixels, void ones counted wrong."""
    return replace(suite.protocol, name="void-wrong", void="wrong")
