"""DRN-D-105 on Cityscapes: the segmenter with which the SPADE paper scored Cityscapes.

Yu, Koltun, Funkhouser, "Dilated Residual Networks", 2017. Layers, names and shapes are those of the
release drn-d-105_ms_cityscapes.pth (github.com/fyu/drn).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from harness.registry import SEGMENTERS
from harness.segmenters.resnet import conv_norm, normaliser, released, stage
from harness.weights import find_weights, load_state, short_digest

FILE = "drn-d-105_ms_cityscapes.pth"
GET = f"get {FILE} from the segmentation models that github.com/fyu/drn links to"
CLASSES = 19
STRIDE = 8
# Of photos scaled to 0 .. 1, red, green, blue.
MEAN = (0.2901, 0.3281, 0.2870)
STD = (0.1830, 0.1866, 0.1845)


def bilinear_upsampling(channels: int) -> nn.ConvTranspose2d:
    """Bilinear upsampling by 8, each channel by itself, as a layer with weights (channels, 1, 16, 16)."""
    up = nn.ConvTranspose2d(channels, channels, 2 * STRIDE, STRIDE, STRIDE // 2, groups=channels, bias=False)
    # On the CPU even where a net is built on the meta device, whose arithmetic takes seconds to import.
    ramp = 1 - (torch.arange(2 * STRIDE, device="cpu") - (STRIDE - 0.5)).abs() / STRIDE
    with torch.no_grad():
        up.weight.copy_(ramp[:, None] * ramp)
    return up


class DRND105(nn.Module):
    """(N, 3, H, W) -> logits (N, classes, H, W). 54,302,915 parameters with 19 classes.

    The classes are found at an eighth of the size and brought up by a bilinear transposed convolution,
    which stays fixed in training.
    """

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.base = nn.Sequential(
            conv_norm(3, 16, 7),
            conv_norm(16, 16, 3),
            conv_norm(16, 32, 3, stride=2),
            stage(32, 64, 3, stride=2),
            stage(256, 128, 4, stride=2),
            stage(512, 256, 23, dilation=2),
            stage(1024, 512, 3, dilation=4),
            conv_norm(2048, 512, 3, dilation=2),
            conv_norm(512, 512, 3),
        )
        self.seg = nn.Conv2d(512, classes, 1)
        self.up = bilinear_upsampling(classes)

    def coarse(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> logits (N, classes, ceil(H / 8), ceil(W / 8))."""
        return self.seg(self.base(x))

    def forward(self, x: Tensor) -> Tensor:
        # A size that is no multiple of 8 comes out rounded up.
        return self.up(self.coarse(x))[..., : x.shape[-2], : x.shape[-1]]


class DRNCityscapes:
    """DRN-D-105 on Cityscapes' 19 trainIds, one scale, at the size of the image (paper.md's table of segmenters)."""

    name = "drn_d_105_cityscapes"
    classes = CLASSES

    def __init__(self, net: nn.Module, weights: str, device: torch.device | str) -> None:
        self.net, self.weights, self.device = net.to(device), weights, device
        self.mean, self.std = normaliser(MEAN, device), normaliser(STD, device)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 in 0 .. 18."""
        # One by one: at 2048x1024 a batch does not fit, and a score must not depend on the batch.
        seen = (images.to(self.device) / 255 - self.mean) / self.std
        return torch.cat([self.net(image[None]).argmax(dim=1) for image in seen])


@SEGMENTERS.register_module(name="drn_d_105_cityscapes")
def drn_d_105_cityscapes(weights_root: Path | None, device: torch.device | str) -> DRNCityscapes:
    """The segmenter; raises UserError where its weight file is missing or does not fit."""
    path = find_weights(FILE, weights_root, None, GET)
    net = released(DRND105, load_state(path), str(path), GET)
    return DRNCityscapes(net, short_digest(path), device)
