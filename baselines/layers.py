"""What the networks share: spectral norm, and convs that are followed by a norm from the registry."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm, spectral_norm

from baselines.norms.build import NormValue, build_norm, norm_name
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec

# Layers that do not read the label map; every other layer is given it.
PLAIN = (nn.Conv2d, nn.ConvTranspose2d, nn.ReLU, nn.LeakyReLU, nn.ReflectionPad2d, nn.Tanh)

Layer = TypeVar("Layer", bound=nn.Module)


class Conditioned(nn.Sequential):
    """Layers in a row, numbered as in nn.Sequential; norms and blocks among them are given the label maps."""

    def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
        for layer in self:
            input = layer(input) if type(layer) in PLAIN else layer(input, labels)
        return input


class _Float32SpectralNorm(SpectralNorm):
    """Spectral norm that keeps to float32 under autocast: in bf16 its estimate would jitter by a percent."""

    def compute_weight(self, module: nn.Module, do_power_iteration: bool) -> Tensor:
        with torch.autocast(getattr(module, f"{self.name}_orig").device.type, enabled=False):
            return super().compute_weight(module, do_power_iteration)


def spectral(layer: Layer) -> Layer:
    """Put spectral norm (Miyato et al. 2018; one power iteration per training forward) on a layer's weight.

    The hook form of torch is used, since official checkpoints hold its `weight_orig`, `weight_u`, `weight_v`.
    """
    spectral_norm(layer)
    hook = spectral_hook(layer)
    assert hook is not None
    hook.__class__ = _Float32SpectralNorm  # torch's constructor function has its class fixed
    return layer


def spectral_hook(layer: nn.Module) -> SpectralNorm | None:
    """The spectral norm of a layer, if it has one."""
    return next((hook for hook in layer._forward_pre_hooks.values() if isinstance(hook, SpectralNorm)), None)


def normed(layer: nn.Conv2d | nn.ConvTranspose2d, norm: NormValue, labels: LabelSpec, with_spectral: bool) -> nn.Module:
    """A conv with spectral norm if asked for, then a norm: numbered 0 and 1.

    The conv loses its bias, which the norm would cancel. With the norm `none` it keeps the bias and
    stands alone. This is how the official SPADE code builds every layer outside its SPADE blocks.
    """
    if with_spectral:
        spectral(layer)
    if norm_name(norm) == "none":
        return layer
    layer.register_parameter("bias", None)
    return Conditioned(layer, build_norm(norm, layer.out_channels, labels))


def check_size(size: tuple[int, int], multiple: int, where: str, least: int = 1) -> None:
    """Raise UserError unless both sides of `size` (h, w) are multiples of `multiple`, at least `least` of them."""
    height, width = size
    if any(side % multiple or side < least * multiple for side in size):
        above = f" from {least * multiple} up" if least > 1 else ""
        raise UserError(
            f"cannot make images of {width}x{height}", where=where, mend=f"sides must be multiples of {multiple}{above}"
        )
