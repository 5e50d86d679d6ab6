"""The losses of SPADE and pix2pixHD (paper.md, Training), each a plain function of tensors.

`outputs` is what a discriminator returns: a list over scales of lists over layers, logits last.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.features.base import PerceptualNet

Outputs = list[list[Tensor]]
GanLoss = Literal["hinge", "least_squares"]


def gan_generator(fake: Outputs, kind: GanLoss, over_scales: Literal["mean", "sum"]) -> Tensor:
    """Generator's GAN loss. hinge: -mean(logits); least squares: mean((logits - 1)^2)."""
    losses = [-scale[-1].mean() if kind == "hinge" else _squared(scale[-1], 1.0) for scale in fake]
    return _over_scales(losses, over_scales)


def gan_discriminator(outputs: Outputs, real: bool, kind: GanLoss, over_scales: Literal["mean", "sum"]) -> Tensor:
    """Discriminator's GAN loss on real or on fake images. hinge: mean(max(0, 1 ∓ logits))."""
    if kind == "hinge":
        sign = 1.0 if real else -1.0
        losses = [F.relu(1.0 - sign * scale[-1]).mean() for scale in outputs]
    else:
        losses = [_squared(scale[-1], 1.0 if real else 0.0) for scale in outputs]
    return _over_scales(losses, over_scales)


def feature_matching(fake: Outputs, real: Outputs) -> Tensor:
    """L1 between features of fake and real, all layers but the logits, divided by the number of scales."""
    matched = [
        F.l1_loss(f, r.detach())
        for on_fake, on_real in zip(fake, real, strict=True)
        for f, r in zip(on_fake[:-1], on_real[:-1], strict=True)
    ]
    return torch.stack(matched).sum() / len(fake)


def perceptual(fake: Tensor, real: Tensor, net: PerceptualNet) -> Tensor:
    """Weighted L1 between the perceptual net's feature maps of fake and real images in [-1, 1]."""
    with torch.no_grad():
        targets = net.layers(real)
    losses = [
        weight * F.l1_loss(f, r) for weight, f, r in zip(net.layer_weights, net.layers(fake), targets, strict=True)
    ]
    return torch.stack(losses).sum()


def kld(mu: Tensor, logvar: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mu, exp(logvar)) from N(0, 1), summed over batch and dimensions."""
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()


def _squared(logits: Tensor, target: float) -> Tensor:
    return F.mse_loss(logits, torch.full_like(logits, target))


def _over_scales(losses: list[Tensor], how: Literal["mean", "sum"]) -> Tensor:
    total = torch.stack(losses).sum()
    return total / len(losses) if how == "mean" else total
