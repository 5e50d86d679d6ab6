"""The built-in suite: rendered landscapes, small enough to train and score on two cores in minutes.

Sizes are chosen by the clock: the three rows of Table 1 train and score within a quarter of an hour
on two CPU cores. The smaller widths are factors of this suite and stand in every record.
"""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import SUITES
from harness.suites.base import Augment, Schedule, Suite


@SUITES.register_module(name="toyscapes")
def toyscapes() -> Suite:
    return Suite(
        name="toyscapes",
        title="Toyscapes",
        data="toyscapes",
        size=(64, 64),
        data_options={"size": [64, 64], "seed": 0},
        schedule=Schedule(iterations=800, batch=4),
        protocol=Protocol(name="native", segmenter="toyscapes", features=("toyscapes",)),
        unknown=False,
        augment=Augment(flip=True),
        scaled={
            "generator.ngf": 1 / 4,
            "generator.norm.hidden": 1 / 4,
            "generator.width": 1 / 16,
            "discriminator.ndf": 1 / 4,
            "encoder.ndf": 1 / 4,
        },
        overrides={
            # The paper's 1e-4 is for hundreds of times as many steps.
            "optimiser.lr_generator": 4e-4,
            "encoder.size": 64,
        },
        # Nets of random weights were tried for SPADE, and gained nothing in trainings as short as these.
        perceptual=None,
        threads=2,
    )
