"""Photo folders whose labels a segmenter made, as Flickr Landscapes in the SPADE paper; 256x256, 50 epochs.

The paper's photos are not published. `spadebench make-labels` labels a folder of photos with
COCO-Stuff's 182 classes; there are no instance maps. The same net scores the images that labelled the
photos: how far it agrees with itself, and no truth.
"""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import SUITES
from harness.suites.base import Augment, Schedule, Suite


@SUITES.register_module(name="landscapes")
def landscapes() -> Suite:
    return Suite(
        name="landscapes",
        title="Landscapes",
        data="folder",
        size=(256, 256),
        # 50 epochs as in the paper, of 40,000 photos (assumed: a round number) in batches of 32: 1,250 an
        # epoch. `--budget 50ep` counts the photos at hand.
        schedule=Schedule(iterations=62_500, batch=32),
        protocol=Protocol(
            name="native",
            segmenter="deeplabv2_coco_stuff",
            image="label",
            label="native",
            class_mean="present",
            features=("inception",),
        ),
        edges=False,
        unknown=True,
        augment=Augment(resize=(286, 286), flip=True),
        perceptual="vgg19",
    )
