"""The suite's own protocol with other FIDs: pytorch-fid's two earlier nets, training photos, clean-fid's resizing.

`fid-2019-02`: until 2019-02-16, torchvision's net on inputs renormalised for ImageNet. `fid-2019-05`: until
2019-05-27, torchvision's net on inputs in -1 .. 1. `fid-train`: today's net against the training photos.
`fid-clean`: today's weights behind clean-fid's resizing, and KID beside FID.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.evaluation.protocol import Protocol
from harness.registry import PROTOCOLS
from harness.suites.base import Suite

INCEPTION = "inception"


@PROTOCOLS.register_module(name="fid-2019-02")
def fid_2019_02(suite: Suite) -> Protocol | None:
    """pytorch-fid until 2019-02-16: torchvision's Inception, inputs renormalised. None for a suite without FID."""
    return _changed(suite, name="fid-2019-02", features=("inception_torchvision_renormalised",))


@PROTOCOLS.register_module(name="fid-2019-05")
def fid_2019_05(suite: Suite) -> Protocol | None:
    """pytorch-fid until 2019-05-27: torchvision's Inception, inputs in -1 to 1. None for a suite without FID."""
    return _changed(suite, name="fid-2019-05", features=("inception_torchvision",))


@PROTOCOLS.register_module(name="fid-train")
def fid_train(suite: Suite) -> Protocol | None:
    """FID against the training photos. None for a suite without FID."""
    return _changed(suite, name="fid-train", features=(INCEPTION,), reference="train")


@PROTOCOLS.register_module(name="fid-clean")
def fid_clean(suite: Suite) -> Protocol | None:
    """FID and KID behind clean-fid's resizing. None for a suite without FID."""
    return _changed(suite, name="fid-clean", features=("inception_clean",), kernel=True)


def _changed(suite: Suite, **changes: Any) -> Protocol | None:
    return replace(suite.protocol, **changes) if INCEPTION in suite.protocol.features else None
