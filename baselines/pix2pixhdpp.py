"""The pix2pixHD++ generator: pix2pixHD's body with spectral norm and Sync BN (paper, section 4, baselines)."""

from __future__ import annotations

from typing import Any

import torch

from baselines.global_body import GlobalBody
from baselines.init import initialise
from baselines.norms.build import NormValue
from harness.labels import LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "sync_batch", "affine": True}


@GENERATORS.register_module(name="pix2pixhdpp")
class Pix2PixHDPlusPlus(GlobalBody):
    """Label maps -> images in [-1, 1]; state-dict names of the official SPADE code's Pix2PixHDGenerator.

    ngf: 64, or 48 for the compact one. norm: of all 27 normed layers; {"name": "spade"} gives
    "pix2pixHD++ w/ SPADE" (layout inferred). See GlobalBody for the rest.
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
        super().__init__(labels, size, ngf, downsamplings, blocks, norm, spectral, nested=True)

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0 (paper.md, Training)."""
        initialise(self, rng, "xavier")
