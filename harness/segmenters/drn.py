"""DRN-D-105 on Cityscapes: the segmenter with which the SPADE paper scored Cityscapes.

Yu, Koltun, Funkhouser, "Dilated Residual Networks", 2017. Layers, names and shapes are those of the
release drn-d-105_ms_cityscapes.pth (github.com/fyu/drn).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.registry import SEGMENTERS, UNTRAINED
from harness.segmenters.resnet import conv_norm, normaliser, released, stage
from harness.segmenters.untrained import RANDOM, untrained
from harness.weights import WeightFile, declare, load_state, short_digest

FILE = "drn-d-105_ms_cityscapes.pth"
CLASSES = 19
STRIDE = 8
# Of photos scaled to 0 .. 1, red, green, blue.
MEAN = (0.2901, 0.3281, 0.2870)
STD = (0.1830, 0.1866, 0.1845)
# The sizes beside its own at which a photo is seen in the multi-scale mode.
SCALES = (0.5, 0.75, 1.25, 1.5, 1.75)
NAME = "drn_d_105_cityscapes"
MULTISCALE = "drn_d_105_cityscapes_multiscale"


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
    """DRN-D-105 on Cityscapes' 19 trainIds, at the size of the image (paper.md's table of segmenters).

    scales: those beside 1 at which the photo is seen too; the log-probabilities of all are summed.
    """

    classes = CLASSES

    def __init__(
        self,
        net: nn.Module,
        weights: str,
        device: torch.device | str,
        name: str = NAME,
        scales: tuple[float, ...] = (),
    ) -> None:
        self.name, self.weights, self.device = name, weights, device
        self.net, self.scales = net.to(device), scales
        self.mean, self.std = normaliser(MEAN, device), normaliser(STD, device)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 in 0 .. 18."""
        # One by one: at 2048x1024 a batch does not fit, and a score must not depend on the batch.
        found = self._over_scales if self.scales else self._logits
        return torch.cat([found(image[None]).argmax(dim=1) for image in images.to(self.device)])

    def _logits(self, image: Tensor) -> Tensor:
        return self.net((image / 255 - self.mean) / self.std)

    def _over_scales(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) in 0 .. 255 -> (1, 19, H, W), the log-probabilities summed over the scales."""
        height, width = size = (image.shape[-2], image.shape[-1])
        total = self._logits(image).log_softmax(dim=1)
        for scale in self.scales:
            target = (max(1, int(height * scale)), max(1, int(width * scale)))
            resized = F.interpolate(image, size=target, mode="bicubic", align_corners=False, antialias=True)
            found = self._logits(resized.clamp(0, 255)).log_softmax(dim=1)
            total += F.interpolate(found, size=size, mode="bilinear", align_corners=False, antialias=True)
        return total


def load(path: Path) -> DRND105:
    """The net with the weights of a release file. Raises UserError where it does not fit."""
    return released(DRND105, load_state(path), str(path), RELEASE.get)


RELEASE = declare(
    WeightFile(
        name=NAME,
        file=FILE,
        page="http://go.yf.io/drn-cityscapes-models, to which github.com/fyu/drn links",
        gives="mIoU and accuracy on Cityscapes; no score on the real photos is known",
        users=(NAME, MULTISCALE),
        licence="not stated; the code's is BSD-3-Clause",
        keys="DRN-D-105 with 19 classes",
        check=load,
    )
)


@SEGMENTERS.register_module(name=NAME)
def drn_d_105_cityscapes(weights_root: Path | None, device: torch.device | str) -> DRNCityscapes:
    """The segmenter, one scale; raises UserError where its weight file is missing or does not fit."""
    return DRNCityscapes(*_released(weights_root), device)


@SEGMENTERS.register_module(name=MULTISCALE)
def drn_d_105_cityscapes_multiscale(weights_root: Path | None, device: torch.device | str) -> DRNCityscapes:
    """The same weights in the release's multi-scale mode, six scales; raises UserError as the one above.

    Its scales are the release's (0.5, 0.75, 1.25, 1.5, 1.75 beside 1). No golden output pins the rest, which
    is how the release's test is understood: photos resized as Pillow's bicubic does, sizes cut to pixels;
    log-probabilities, not probabilities, resized as Pillow's bilinear does (which smooths in shrinking) and
    summed. Pillow's rounding of the resized photo to whole values is left out.
    """
    return DRNCityscapes(*_released(weights_root), device, MULTISCALE, SCALES)


@UNTRAINED.register_module(name=NAME)
def untrained_drn(device: torch.device | str) -> DRNCityscapes:
    """The net of one scale with random weights."""
    return DRNCityscapes(_untrained(), RANDOM, device)


@UNTRAINED.register_module(name=MULTISCALE)
def untrained_drn_multiscale(device: torch.device | str) -> DRNCityscapes:
    """The net of six scales with random weights."""
    return DRNCityscapes(_untrained(), RANDOM, device, MULTISCALE, SCALES)


def _untrained() -> DRND105:
    net = untrained(DRND105)
    net.up = bilinear_upsampling(CLASSES).requires_grad_(False)
    return net


def _released(weights_root: Path | None) -> tuple[DRND105, str]:
    """The net with the weights of the release, and their digest."""
    path = RELEASE.find(weights_root)
    return load(path), short_digest(path)
