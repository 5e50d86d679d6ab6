"""The segmenter of the built-in suite: a small U-shaped net, its weights shipped with the package.

`spadebench train-segmenter toyscapes` makes the weights; the JSON beside them says how these were made.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import SEGMENTERS
from harness.weights import short_digest

WEIGHTS = Path(__file__).parent / "weights" / "toyscapes.safetensors"
CLASSES = 9
PENULTIMATE = 64
WIDTHS = (16, 32, 64, 96)


def _conv(into: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


class ToyscapesNet(nn.Module):
    """Three halvings and back, with skips; a 64-wide layer at full size before the classes. 358,569 parameters."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four = WIDTHS
        self.stem = _conv(3, one)
        self.down1 = nn.Sequential(_conv(one, two, stride=2), _conv(two, two))
        self.down2 = nn.Sequential(_conv(two, three, stride=2), _conv(three, three))
        self.down3 = nn.Sequential(_conv(three, four, stride=2), _conv(four, four))
        self.up2 = _conv(four + three, three)
        self.up1 = _conv(three + two, 48)
        self.up0 = _conv(48 + one, 24)
        self.last = _conv(24, PENULTIMATE, kernel=1)
        self.classes = nn.Conv2d(PENULTIMATE, CLASSES, 1)

    def penultimate(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], RGB -> (N, 64, H, W), 0 or more."""
        x0 = self.stem(images)
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x = self.up2(_joined(self.down3(x2), x2))
        x = self.up1(_joined(x, x1))
        return self.last(self.up0(_joined(x, x0)))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], RGB -> logits (N, 9, H, W)."""
        return self.classes(self.penultimate(images))


def _joined(coarse: Tensor, skip: Tensor) -> Tensor:
    return torch.cat([F.interpolate(coarse, size=skip.shape[2:], mode="nearest"), skip], dim=1)


def load_net(path: Path, device: torch.device | str) -> ToyscapesNet:
    """The trained net, frozen and in eval mode. Raises UserError where the file is missing, broken or another's."""
    with torch.random.fork_rng(devices=[]):  # the random weights are replaced at once
        net = ToyscapesNet()
    again = "make it with: spadebench train-segmenter toyscapes --out FILE"
    if not path.is_file():
        raise UserError("no such weights file", where=str(path), mend=again)
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError("these are no weights of the toyscapes segmenter", where=str(path), mend=again) from error
    return net.eval().requires_grad_(False).to(device)


class ToyscapesSegmenter:
    """Reads toyscapes photos at their own size, any size of 8 pixels or more."""

    name = "toyscapes"
    classes = CLASSES

    def __init__(self, net: ToyscapesNet, weights: str, device: torch.device | str) -> None:
        self.net, self.weights, self.device = net, weights, device

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 in 0 .. 8."""
        return self.net(images.to(self.device) / 127.5 - 1).argmax(dim=1)


@SEGMENTERS.register_module(name="toyscapes")
def segmenter(weights_root: Path | None, device: torch.device | str) -> ToyscapesSegmenter:
    """The segmenter with the package's own weights; weights_root is not used."""
    return ToyscapesSegmenter(load_net(WEIGHTS, device), short_digest(WEIGHTS), device)
