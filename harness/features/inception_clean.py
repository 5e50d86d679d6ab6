"""FID's net fed as clean-fid feeds it: `fd_inception_clean`.

Parmar, Zhang and Zhu, "On aliased resizing and surprising subtleties in GAN evaluation" (CVPR 2022): a
bilinear resize without a low-pass filter, as in `fid`, aliases where it makes an image smaller, and the
distance then depends on that. clean-fid resizes by an antialiased bicubic filter, each channel in floating
point and without rounding to integers.

The weights are those of `fid`: clean-fid's own file is a TorchScript of the same network of TensorFlow
(inception-2015-12-05) of which pytorch-fid's file is a state dict, so that one file serves both nets here. Its
values are the same to rounding; that they are has not been measured here.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.features import inception as fid
from harness.registry import FEATURES

SIDE = 299


def resize(images: Tensor) -> Tensor:
    """(N, 3, H, W) in 0 .. 255 -> (N, 3, 299, 299) float32 in 0 .. 255, as PIL's bicubic resize of float channels.

    The filter is that of Keys (a = -0.5), widened by the factor by which an image gets smaller; what overshoots is
    cut off. In float64, as PIL has its coefficients: in float32 the filter's places on a wide image are
    rounded so much that values move by more than 0.001.
    """
    sized = F.interpolate(images.double(), (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True)
    return sized.clamp(0, 255).float()


class CleanInception:
    """pool3 features, 2048 wide, of images resized by `resize` and scaled by (value - 128) / 128, as clean-fid does.

    net: that of inception.build, whose own resizing and scaling are switched off.
    """

    name = "inception_clean"
    key = "fd_inception_clean"
    dim = 2048
    weights = fid.Inception.weights

    def __init__(self, net: nn.Module, device: torch.device | str) -> None:
        self.net = net.to(device)
        for own in ("resize_input", "normalize_input"):
            if not hasattr(net, own):
                raise AttributeError(f"pytorch-fid's net has no switch '{own}' any more")
            setattr(net, own, False)

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, 2048) float32."""
        pooled: Tensor = self.net((resize(images) - 128) / 128)[0]
        return pooled.flatten(1)


@FEATURES.register_module(name="inception_clean")
def inception_clean(weights_root: Path | None, device: torch.device | str) -> CleanInception:
    """clean-fid's reading of FID's net. Raises UserError where its weight file is missing or another one."""
    return CleanInception(fid.load(weights_root), device)
