"""VGG19, the net of the paper's perceptual loss (Park et al. 2019, after Wang et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import PERCEPTUAL
from harness.weights import find_weights, load_state

FILE_NAME = "vgg19-dcbb9e9d.pth"
SHA256_PREFIX = "dcbb9e9d"
GET = f"download https://download.pytorch.org/models/{FILE_NAME}"

# Where relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 lie in torchvision's `features`.
LAYERS = (1, 6, 11, 20, 29)
LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def build(state: Mapping[str, Tensor], last: int = LAYERS[-1]) -> nn.Sequential:
    """torchvision's VGG19 features up to the layer `last` (relu5_1), frozen and in eval mode.

    state: the state dict of torchvision's whole net, or of its features alone (`features.N.weight`).
    Raises RuntimeError where it does not fit.
    """
    from torchvision.models import vgg

    with torch.random.fork_rng(devices=[]):  # the random weights are replaced at once
        # Not vgg.vgg19: that also fills the 120 million weights of its classifier.
        features = vgg.make_layers(vgg.cfgs["E"], batch_norm=False)[: last + 1]
    assert isinstance(features, nn.Sequential)
    own = {key: value for key, value in state.items() if key.startswith("features.")}
    nn.ModuleDict({"features": features}).load_state_dict(
        {key: value for key, value in own.items() if int(key.split(".")[1]) <= last}
    )
    return features.eval().requires_grad_(False)


def load(weights_root: Path | None, last: int = LAYERS[-1]) -> nn.Sequential:
    """`build` on the weight file. Raises UserError where it is missing or another one."""
    path = find_weights(FILE_NAME, weights_root, SHA256_PREFIX, GET)
    try:
        return build(load_state(path), last)
    except (RuntimeError, ValueError) as error:
        raise UserError("these weights do not fit torchvision's VGG19", where=str(path), mend=GET) from error


class VGG19:
    """Feature maps after relu1_1, 2_1, 3_1, 4_1 and 5_1.

    As the official code: images in -1 .. 1 go in as they are, without ImageNet normalisation.
    """

    name = "vgg19"
    weights = SHA256_PREFIX
    layer_weights = LAYER_WEIGHTS

    def __init__(self, net: nn.Sequential, device: torch.device | str) -> None:
        self.net = net.to(device)

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1], H and W at least 16 -> 5 feature maps; differentiable."""
        maps, x = [], images
        for index, layer in enumerate(self.net):
            x = layer(x)
            if index in LAYERS:
                maps.append(x)
        return maps


@PERCEPTUAL.register_module(name="vgg19")
def vgg19(weights_root: Path | None, device: torch.device | str) -> VGG19:
    """The paper's perceptual net. Raises UserError where its weight file is missing or another one."""
    return VGG19(load(weights_root), device)
