"""The feature net of the built-in suite: pooled features of its segmenter, for `fd_toyscapes`.

It knows toyscapes photos and nothing else, so its distance has a name of its own and is never called fid.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from harness.registry import FEATURES
from harness.segmenters.toyscapes import PENULTIMATE, WEIGHTS, ToyscapesNet, load_net
from harness.weights import short_digest


class ToyscapesFeatures:
    """The mean over an image of the segmenter's last layer before the classes, 64 wide."""

    name = "toyscapes"
    key = "fd_toyscapes"
    dim = PENULTIMATE

    def __init__(self, net: ToyscapesNet, weights: str, device: torch.device | str) -> None:
        self.net, self.weights, self.device = net, weights, device

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, 64) float32."""
        return self.net.penultimate(images.to(self.device) / 127.5 - 1).mean(dim=(2, 3))


@FEATURES.register_module(name="toyscapes")
def features(weights_root: Path | None, device: torch.device | str) -> ToyscapesFeatures:
    """The feature net with the segmenter's weights from the package; weights_root is not used."""
    return ToyscapesFeatures(load_net(WEIGHTS, device), short_digest(WEIGHTS), device)
