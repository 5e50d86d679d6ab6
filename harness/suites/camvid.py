"""CamVid: 701 photos of Cambridge streets with 11 classes (Brostow, Fauqueur, Cipolla 2009).

Images are generated at 256x192 and read by ESPNet at the labels' own 480x360. The scored split is
test, as the segmenter was trained on train and val.
"""

from __future__ import annotations

from harness.evaluation.protocol import Protocol
from harness.registry import SUITES
from harness.suites.base import Augment, Schedule, Suite


@SUITES.register_module(name="camvid")
def camvid() -> Suite:
    return Suite(
        name="camvid",
        title="CamVid",
        data="camvid",
        size=(192, 256),
        # 200 epochs of 367 photos in batches of 16, as the official Cityscapes schedule.
        schedule=Schedule(iterations=4400, batch=16),
        protocol=Protocol(
            name="native", segmenter="espnet_camvid", image="label", features=("inception", "efficientnet_lite0")
        ),
        score_split="test",
        unknown=True,
        augment=Augment(resize=(216, 288), flip=True),
        perceptual="vgg19",
        threads=2,
    )
