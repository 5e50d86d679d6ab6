"""The pix2pixHD generator (Wang et al. 2018, the global generator): instance norm, no spectral norm."""

from __future__ import annotations

from typing import Any

import torch

from baselines.global_body import GlobalBody
from baselines.init import initialise
from baselines.norms.build import NormValue
from harness.labels import LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "instance"}


@GENERATORS.register_module(name="pix2pixhd")
class Pix2PixHD(GlobalBody):
    """Label maps -> images in [-1, 1]; state-dict names of pix2pixHD's GlobalGenerator. See GlobalBody."""

    def __init__(
        self,
        labels: LabelSpec,
        size: tuple[int, int],
        ngf: int = 64,
        downsamplings: int = 4,
        blocks: int = 9,
        norm: NormValue = NORM,
    ) -> None:
        super().__init__(labels, size, ngf, downsamplings, blocks, norm, spectral=False, nested=False)

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights as pix2pixHD does: convs normal of standard deviation 0.02."""
        initialise(self, rng, "normal")
