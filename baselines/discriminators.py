"""Multi-scale PatchGAN discriminators: that of SPADE and that of pix2pixHD.

Both see the label map and the image together, at full size and at halves of it, and judge patches.
They differ in norms, biases and names.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.checks import at_least_one
from baselines.init import initialise
from baselines.layers import Conditioned, normed
from baselines.norms.build import NormValue, build_norm
from baselines.one_hot import SharedLabels, compute_dtype
from harness.labels import LabelMap, LabelSpec
from harness.registry import DISCRIMINATORS

NORM: dict[str, Any] = {"name": "instance"}
# No layer is wider than this, whatever ndf is.
WIDEST = 512


def patch_convs(channels: int, ndf: int, layers: int) -> list[nn.Conv2d]:
    """The convs of one scale: kernel 4, padding 2; stride 2 but for the last two; the last gives the logits."""
    at_least_one("discriminator", {"ndf": ndf, "layers": layers})
    widths = [channels] + [min(ndf * 2**i, WIDEST) for i in range(layers)] + [1]
    strides = [2] * (layers - 1) + [1, 1]
    return [nn.Conv2d(a, b, 4, stride=s, padding=2) for a, b, s in zip(widths, widths[1:], strides, strict=False)]


def joined(labels: LabelMap, images: Tensor, weight: Tensor) -> Tensor:
    """(N, label channels + 3, h, w): one-hot label maps at the size of the images, then the images."""
    dtype = compute_dtype(weight)
    return torch.cat([labels.resized(images.shape[2], images.shape[3]).one_hot(dtype), images.to(dtype)], dim=1)


def halved(x: Tensor) -> Tensor:
    """Average pool 3, stride 2, padding 1; the padding does not count."""
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)


class PatchDiscriminator(nn.Module):
    """One scale of SPADE's: spectral norm and a norm on the middle layers, LeakyReLU 0.2 on all but the last."""

    def __init__(self, labels: LabelSpec, ndf: int, layers: int, norm: NormValue, spectral: bool) -> None:
        super().__init__()
        convs = patch_convs(labels.channels + 3, ndf, layers)
        middle = [normed(conv, norm, labels, spectral) for conv in convs[1:-1]]
        for i, layer in enumerate([convs[0], *middle]):
            self.add_module(f"model{i}", Conditioned(layer, nn.LeakyReLU(0.2)))
        self.add_module(f"model{layers}", Conditioned(convs[-1]))

    def forward(self, x: Tensor, labels: LabelMap) -> list[Tensor]:
        """(N, label channels + 3, h, w) -> the output of every layer; the last is the logits."""
        outputs = []
        for layer in self.children():
            x = layer(x, labels)
            outputs.append(x)
        return outputs


@DISCRIMINATORS.register_module(name="multiscale")
class MultiscaleDiscriminator(nn.Module):
    """SPADE's (paper, appendix A); state-dict names of the official `latest_net_D.pth`.

    num_scales: number of PatchGANs, each at half the size of the one before. layers: normed layers and
    the first, so that there are layers + 1 convs; 5 is the "deeper discriminator". ndf: first width.
    norm, spectral: on the middle layers.
    """

    def __init__(
        self,
        labels: LabelSpec,
        num_scales: int = 2,
        layers: int = 4,
        ndf: int = 64,
        norm: NormValue = NORM,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        at_least_one("discriminator 'multiscale'", {"num_scales": num_scales})
        for i in range(num_scales):
            self.add_module(f"discriminator_{i}", PatchDiscriminator(labels, ndf, layers, norm, spectral))

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0 (paper.md, Training)."""
        initialise(self, rng, "xavier")

    def forward(self, labels: LabelMap, images: Tensor) -> list[list[Tensor]]:
        """Label maps and images (N, 3, h, w) -> for each scale, full size first, the output of every layer."""
        labels = SharedLabels(labels)
        x = joined(labels, images, next(self.parameters()))
        outputs = []
        for scale in self.children():
            outputs.append(scale(x, labels))
            x = halved(x)
        return outputs


@DISCRIMINATORS.register_module(name="multiscale_pix2pixhd")
class Pix2PixHDDiscriminator(nn.Module):
    """pix2pixHD's: instance norm, biases, no spectral norm; the names of its `latest_net_D.pth`.

    Its names count scales from the smallest: with two, `scale1_*` sees full size and `scale0_*` half.
    layers: counted as in `multiscale`; pix2pixHD's own n_layers 3 is 4 here, the same five convs.
    """

    def __init__(
        self, labels: LabelSpec, num_scales: int = 2, layers: int = 4, ndf: int = 64, norm: NormValue = NORM
    ) -> None:
        super().__init__()
        at_least_one("discriminator 'multiscale_pix2pixhd'", {"num_scales": num_scales})
        self.num_scales = num_scales
        self.layers = layers
        for scale in range(num_scales):
            convs = patch_convs(labels.channels + 3, ndf, layers)
            for i, conv in enumerate(convs):
                after: list[nn.Module] = [build_norm(norm, conv.out_channels, labels)] if 0 < i < layers else []
                after += [nn.LeakyReLU(0.2)] if i < layers else []
                self.add_module(f"scale{scale}_layer{i}", Conditioned(conv, *after))

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights as pix2pixHD does: convs normal of standard deviation 0.02."""
        initialise(self, rng, "normal")

    def forward(self, labels: LabelMap, images: Tensor) -> list[list[Tensor]]:
        """Label maps and images (N, 3, h, w) -> for each scale, full size first, the output of every layer."""
        labels = SharedLabels(labels)
        x = joined(labels, images, next(self.parameters()))
        outputs = []
        for scale in reversed(range(self.num_scales)):
            y, features = x, []
            for i in range(self.layers + 1):
                y = self.get_submodule(f"scale{scale}_layer{i}")(y, labels)
                features.append(y)
            outputs.append(features)
            x = halved(x)
        return outputs
