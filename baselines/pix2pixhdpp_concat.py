"""pix2pixHD++ whose residual blocks read the label map too (paper, Table 3, "pix2pixHD++ w/ Concat")."""

from __future__ import annotations

from typing import Any

import torch

from baselines.global_body import GlobalBody
from baselines.init import initialise
from baselines.norms.build import NormValue
from harness.labels import LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "sync_batch", "affine": True}


@GENERATORS.register_module(name="pix2pixhdpp_concat")
class Pix2PixHDPlusPlusConcat(GlobalBody):
    """Label maps -> images in [-1, 1].

    The paper gives no layout and no code of it exists. The one here is inferred from the printed
    count of 195M (195,453,315 for ADE20K): pix2pixHD++ with the resized label map concatenated to the
    input of the first conv of each of the nine residual blocks, and nowhere else beside the start.

    norm: of all 27 normed layers. See GlobalBody for the rest.
    """

    def __init__(
        self,
        labels: LabelSpec,
        size: tuple[int, int],
        ngf: int = 64,
        downsamplings: int = 4,
        blocks: int = 9,
        norm: NormValue = NORM,
        spectral: bool = True,
    ) -> None:
        super().__init__(labels, size, ngf, downsamplings, blocks, norm, spectral, nested=True, concat=True)

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0 (paper.md, Training)."""
        initialise(self, rng, "xavier")
