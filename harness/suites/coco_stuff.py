"""COCO-Stuff as in the SPADE paper: 182 classes, unknown and instance edges, 256x256, scored by DeepLabV2."""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import SUITES
from harness.suites.base import Augment, Schedule, Suite


@SUITES.register_module(name="coco_stuff")
def coco_stuff() -> Suite:
    return Suite(
        name="coco_stuff",
        title="COCO-Stuff",
        data="coco_stuff",
        size=(256, 256),
        # 100 epochs of 118,287 photos in batches of 32: 3,696 whole batches an epoch.
        schedule=Schedule(iterations=369_600, batch=32),
        protocol=Protocol(
            name="native",
            segmenter="deeplabv2_coco_stuff",
            image="label",
            label="native",
            # The segmenter's own evaluation averages the classes that are in the ground truth.
            class_mean="present",
            features=("inception",),
        ),
        edges=True,
        unknown=True,
        augment=Augment(resize=(286, 286), flip=True),
        perceptual="vgg19",
        variants={"spade-paper": {}},
    )
