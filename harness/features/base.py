"""What a feature net is, for Fréchet distances and for the perceptual loss.

A feature net entry: entry(weights_root: Path | None, device) -> FeatureNet.
A perceptual net entry: entry(weights_root: Path | None, device) -> PerceptualNet.
Either finds its own weights, checks them, and raises UserError that says where they were expected,
or which extra to install.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class FeatureNet(Protocol):
    """name: registry name. key: its key under `scores`: `fid` for the real Inception weights only, else
    `fd_<name>`. weights: first 8 hex digits of the sha256 of the weights. dim: width of a feature."""

    name: str
    key: str
    weights: str
    dim: int

    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, dim) float32."""
        ...


@runtime_checkable
class PerceptualNet(Protocol):
    """name, weights: as above. Feature maps for the perceptual loss, with the weight of each."""

    name: str
    weights: str
    layer_weights: tuple[float, ...]

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] -> feature maps, one for each of layer_weights; differentiable."""
        ...
