"""VGG19 as CRN and SIMS use it for their perceptual losses (paper.md, CRN and SIMS).

The weights are torchvision's, as for `vgg19`; the originals have those of Simonyan and Zisserman, which
were trained on inputs of the same range as these.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from harness.features.vgg19 import SHA256_PREFIX, load
from harness.registry import PERCEPTUAL

# Where relu1_2, relu2_2, relu3_2, relu4_2 and relu5_2 lie in torchvision's `features`.
LAYERS = (3, 8, 13, 22, 31)
MEAN = (123.68, 116.779, 103.939)
# Of the input, conv1_2, 2_2, 3_2, 4_2 and 5_2: CRN's for images of height 256, and those SIMS takes from CRN's for 512.
CRN_WEIGHTS = (1.0, 1 / 1.6, 1 / 2.3, 1 / 1.8, 1 / 2.8, 10 / 0.8)
SIMS_WEIGHTS = (1.0, 1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)


class MeanSubtractedVGG19:
    """The input itself, then the maps after conv1_2, 2_2, 3_2, 4_2 and 5_2 and their ReLU; average pooling.

    Images go in as RGB of 0 .. 255 less the mean of ImageNet, undivided. net: vgg19.build's, up to relu5_2.
    """

    weights = SHA256_PREFIX

    def __init__(
        self, name: str, layer_weights: tuple[float, ...], net: nn.Sequential, device: torch.device | str
    ) -> None:
        self.name, self.layer_weights = name, layer_weights
        pooled = [nn.AvgPool2d(2) if isinstance(layer, nn.MaxPool2d) else layer for layer in net]
        self.net = nn.Sequential(*pooled).eval().to(device)
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) on the scale of -1 to 1, H and W at least 16 -> 6 feature maps; differentiable."""
        x = (images + 1) * 127.5 - self.mean
        maps = [x]
        for index, layer in enumerate(self.net):
            x = layer(x)
            if index in LAYERS:
                maps.append(x)
        return maps


@PERCEPTUAL.register_module(name="vgg19_crn")
def vgg19_crn(weights_root: Path | None, device: torch.device | str) -> MeanSubtractedVGG19:
    """CRN's perceptual net. Raises UserError where its weight file is missing or another one."""
    return MeanSubtractedVGG19("vgg19_crn", CRN_WEIGHTS, load(weights_root, LAYERS[-1]), device)


@PERCEPTUAL.register_module(name="vgg19_sims")
def vgg19_sims(weights_root: Path | None, device: torch.device | str) -> MeanSubtractedVGG19:
    """The perceptual net of SIMS' synthesis. Raises UserError where its weight file is missing or another one."""
    return MeanSubtractedVGG19("vgg19_sims", SIMS_WEIGHTS, load(weights_root, LAYERS[-1]), device)
