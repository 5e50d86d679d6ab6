"""ADE20K as in the SPADE paper: 150 classes and unknown, 256x256, scored by UPerNet101.

The unknown channel comes first: the official network was trained on the values of the files, channel 0
= unknown, channel k = class k of the file, and its checkpoints can be read so.
"""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import SUITES
from harness.suites.base import Augment, Schedule, Suite


@SUITES.register_module(name="ade20k")
def ade20k() -> Suite:
    return Suite(
        name="ade20k",
        title="ADE20K",
        data="ade20k",
        size=(256, 256),
        # 200 epochs of 20,210 photos in batches of 32: 631 whole batches an epoch.
        schedule=Schedule(iterations=126_200, batch=32),
        protocol=Protocol(
            name="native",
            segmenter="upernet101_ade20k",
            image="label",
            label="native",
            # The segmenter's own evaluation averages all 150 classes, an absent one as 0.
            class_mean="all",
            features=("inception",),
        ),
        edges=False,
        unknown="first",
        augment=Augment(resize=(286, 286), flip=True),
        perceptual="vgg19",
        variants={"spade-paper": {}, "multi-scale": {"segmenter": "upernet101_ade20k_multiscale"}},
    )
