"""`spade-paper`: the best reading of how the SPADE paper scored each of its suites.

The paper says which segmenters it took and that FID was its distance, no more. FID: in November 2018
pytorch-fid fed torchvision's Inception with inputs renormalised for ImageNet (until 2019-02-16), compared
with the validation photos at the generated size. Accuracy on Cityscapes: 81.9 in the paper is what 93.5,
re-measured with void left out, becomes when void pixels (an eighth) count as wrong. The rest of a suite is
its segmenter's own evaluation. A suite of the paper says under `variants` what differs from its own protocol.
"""

from __future__ import annotations

from dataclasses import replace

from harness.evaluation.protocol import Protocol
from harness.registry import PROTOCOLS
from harness.suites.base import Suite


@PROTOCOLS.register_module(name="spade-paper")
def spade_paper(suite: Suite) -> Protocol | None:
    """The best reading of how the SPADE paper scored this suite. None for a suite that it does not have."""
    changes = suite.variants.get("spade-paper")
    if changes is None:
        return None
    paper = replace(suite.protocol, name="spade-paper", features=("inception_torchvision_renormalised",))
    return replace(paper, **changes)
