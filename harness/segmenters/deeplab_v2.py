"""DeepLabV2-ResNet101 on COCO-Stuff: the segmenter with which the SPADE paper scored COCO-Stuff.

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and
Fully Connected CRFs", 2017. Layers, names and shapes are those of the release
deeplabv2_resnet101_msc-cocostuff164k-100000.pth (github.com/kazuto1011/deeplab-pytorch).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.registry import SEGMENTERS, UNTRAINED
from harness.segmenters.resnet import EXPANSION, normaliser, released
from harness.segmenters.untrained import RANDOM, untrained
from harness.weights import WeightFile, declare, load_state, short_digest

FILE = "deeplabv2_resnet101_msc-cocostuff164k-100000.pth"
NAME = "deeplabv2_coco_stuff"
SINGLESCALE = "deeplabv2_coco_stuff_singlescale"
CLASSES = 182
SCALES = (0.5, 0.75)
RATES = (6, 12, 18, 24)
# Blue, green, red.
MEAN = (104.008, 116.669, 122.675)


class ConvNorm(nn.Module):
    """Convolution without bias and batch norm, named as in the release."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        self.conv = nn.Conv2d(into, out, kernel, stride, padding, dilation, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Stem(nn.Module):
    """7x7 and a max pool that rounds sizes up: (N, 3, H, W) -> (N, 64, about H / 4, about W / 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, 64, 7, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1, ceil_mode=True)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the stride in the first 1x1, as in the Caffe original."""

    def __init__(self, into: int, width: int, stride: int, dilation: int, project: bool) -> None:
        super().__init__()
        out = EXPANSION * width
        self.reduce = ConvNorm(into, width, 1, stride)
        self.conv3x3 = ConvNorm(width, width, 3, dilation=dilation)
        self.increase = ConvNorm(width, out, 1)
        self.shortcut = ConvNorm(into, out, 1, stride) if project else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = F.relu(self.conv3x3(F.relu(self.reduce(x))))
        return F.relu(self.increase(x) + shortcut)


def _stage(into: int, width: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    row = nn.Sequential()
    for number in range(1, blocks + 1):
        first = number == 1
        block = Bottleneck(into if first else EXPANSION * width, width, stride if first else 1, dilation, first)
        row.add_module(f"block{number}", block)
    return row


class ASPP(nn.Module):
    """Four 3x3 convolutions of dilation 6, 12, 18, 24, summed."""

    def __init__(self, into: int, classes: int) -> None:
        super().__init__()
        self.c0, self.c1, self.c2, self.c3 = (nn.Conv2d(into, classes, 3, 1, rate, rate) for rate in RATES)

    def forward(self, x: Tensor) -> Tensor:
        return self.c0(x) + self.c1(x) + self.c2(x) + self.c3(x)


class DeepLabV2(nn.Module):
    """(N, 3, H, W) -> logits (N, classes, about H / 8, about W / 8). 55,919,384 parameters with 182 classes."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.layer1 = Stem()
        self.layer2 = _stage(64, 64, 3)
        self.layer3 = _stage(256, 128, 4, stride=2)
        self.layer4 = _stage(512, 256, 23, dilation=2)
        self.layer5 = _stage(1024, 512, 3, dilation=4)
        self.aspp = ASPP(2048, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.aspp(self.layer5(self.layer4(x)))


class MultiScale(nn.Module):
    """The element-wise largest logits of a net at scales 1, 0.5 and 0.75, at the size of the first."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        largest = self.base(x)
        size = largest.shape[-2:]
        for scale in SCALES:
            shrunk = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            logits = F.interpolate(self.base(shrunk), size=size, mode="bilinear", align_corners=False)
            largest = torch.maximum(largest, logits)
        return largest


def multi_scale_net() -> MultiScale:
    """The layout of the release."""
    return MultiScale(DeepLabV2())


class DeepLabV2COCOStuff:
    """DeepLabV2 on COCO-Stuff's 182 classes, at the size of the image; `net` decides the scales."""

    classes = CLASSES

    def __init__(self, net: nn.Module, weights: str, device: torch.device | str, name: str = NAME) -> None:
        self.name, self.net, self.weights, self.device = name, net.to(device), weights, device
        self.mean = normaliser(MEAN, device)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB, sides of 2 or more -> (N, H, W) int64 in 0 .. 181."""
        # One by one: 182 maps at full size are large, and a score must not depend on the batch.
        return torch.cat([self._one(image[None]) for image in images.to(self.device).flip(1) - self.mean])

    def _one(self, image: Tensor) -> Tensor:
        logits = F.interpolate(self.net(image), size=image.shape[-2:], mode="bilinear", align_corners=False)
        return logits.argmax(dim=1)


def load(path: Path) -> MultiScale:
    """The net with the weights of a release file. Raises UserError where it does not fit."""
    return released(multi_scale_net, load_state(path), str(path), RELEASE.get)


RELEASE = declare(
    WeightFile(
        name=NAME,
        file=FILE,
        page="https://github.com/kazuto1011/deeplab-pytorch",
        address=f"https://github.com/kazuto1011/deeplab-pytorch/releases/download/v1.0/{FILE}",
        gives="mIoU 39.1, accuracy 66.8 on COCO-Stuff's real validation photos",
        users=(NAME, SINGLESCALE),
        licence="not stated; the code's is MIT",
        keys="DeepLabV2-ResNet101 MSC with 182 classes",
        check=load,
    )
)


@SEGMENTERS.register_module(name=NAME)
def deeplabv2_coco_stuff(weights_root: Path | None, device: torch.device | str) -> DeepLabV2COCOStuff:
    """The segmenter, three scales; raises UserError where its weight file is missing or does not fit.

    Known score on COCO-Stuff's real validation photos: mIoU 39.1, accuracy 66.8.
    """
    return DeepLabV2COCOStuff(*_released(weights_root), device)


@SEGMENTERS.register_module(name=SINGLESCALE)
def deeplabv2_coco_stuff_singlescale(weights_root: Path | None, device: torch.device | str) -> DeepLabV2COCOStuff:
    """The same weights at the image's own scale alone, which its training did not aim at; no score is known."""
    net, weights = _released(weights_root)
    return DeepLabV2COCOStuff(net.base, weights, device, SINGLESCALE)


@UNTRAINED.register_module(name=NAME)
def untrained_deeplabv2(device: torch.device | str) -> DeepLabV2COCOStuff:
    """The net of three scales with random weights."""
    return DeepLabV2COCOStuff(untrained(multi_scale_net), RANDOM, device)


@UNTRAINED.register_module(name=SINGLESCALE)
def untrained_deeplabv2_singlescale(device: torch.device | str) -> DeepLabV2COCOStuff:
    """The net of one scale with random weights."""
    return DeepLabV2COCOStuff(untrained(DeepLabV2), RANDOM, device, SINGLESCALE)


def _released(weights_root: Path | None) -> tuple[MultiScale, str]:
    """The net with the weights of the release, and their digest."""
    path = RELEASE.find(weights_root)
    return load(path), short_digest(path)
