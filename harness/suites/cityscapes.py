"""Cityscapes as in the SPADE paper: 35 classes and instance edges, 512x256, scored by DRN-D-105 over 19 classes.

Images are enlarged to the labels' own 2048x1024 before the segmenter reads them: the paper's mIoU is
re-measured so, and the segmenter was trained at that size.
"""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import SUITES
from harness.suites.base import Augment, Schedule, Suite


@SUITES.register_module(name="cityscapes")
def cityscapes() -> Suite:
    return Suite(
        name="cityscapes",
        title="Cityscapes",
        data="cityscapes",
        size=(256, 512),
        # 200 epochs of 2,975 photos in batches of 16: 185 whole batches an epoch.
        schedule=Schedule(iterations=37_000, batch=16),
        protocol=Protocol(
            name="native",
            segmenter="drn_d_105_cityscapes",
            image="label",
            label="native",
            # The segmenter's own evaluation leaves out classes with an empty union.
            class_mean="union",
            features=("inception",),
        ),
        edges=True,
        unknown=False,
        augment=Augment(resize=None, flip=True),
        # One upsampling more than at 256x256, so that the start is 8x4 pixels.
        overrides={"generator.upsampling": "more"},
        perceptual="vgg19",
        variants={
            "spade-paper": {"void": "wrong"},
            "multi-scale": {"segmenter": "drn_d_105_cityscapes_multiscale"},
        },
    )
