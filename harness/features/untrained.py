"""The Inceptions with random weights, at their real size: every path can be run where no weight file is at hand.

They find nothing in an image that a trained net would, and their distances are no scores.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from harness.features import inception as fid
from harness.features import inception_clean as clean
from harness.features import inception_torchvision as early
from harness.registry import UNTRAINED

SEED = 0


def draw_state(shapes: nn.Module) -> dict[str, Tensor]:
    """A state dict with the names and shapes of `shapes`, which may lie on the meta device; a fixed seed decides.

    Weights of convs and of the classifier are uniform with the variance of He et al. 2015, so that features
    keep the scale of the input; norms do nothing. They are drawn on the CPU by torch's uniform generator,
    whose values are the same on every machine.
    """
    rng = torch.Generator().manual_seed(SEED)
    state = {}
    for key, like in shapes.state_dict().items():
        if like.ndim > 1:
            bound = math.sqrt(6 / math.prod(like.shape[1:]))
            state[key] = (2 * torch.rand(like.shape, generator=rng) - 1) * bound
        else:
            ones = key.endswith((".bn.weight", ".running_var"))
            state[key] = torch.full(like.shape, int(ones), dtype=like.dtype)
    return state


def fid_shapes() -> nn.Module:
    """A net on the meta device with the names and shapes of pytorch-fid's file.

    pytorch-fid's net differs from torchvision's in its poolings, and in the 1008 classes of its TensorFlow original.
    """
    from torchvision.models import Inception3

    with torch.device("meta"):
        net: nn.Module = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    return net


def early_shapes() -> nn.Module:
    """A net on the meta device with the names and shapes of torchvision's file."""
    from torchvision.models import Inception3

    with torch.device("meta"):
        net: nn.Module = Inception3(init_weights=False)
    return net


def _early(name: str, affine: early.Affine, device: torch.device | str) -> early.TorchvisionInception:
    return early.TorchvisionInception(name, affine, "random", early.build(draw_state(early_shapes())), device)


@UNTRAINED.register_module(name="inception")
def inception(device: torch.device | str) -> fid.Inception:
    """The net of `fid` under the key fd_inception: FID is the name for its own weights only."""
    net = fid.Inception(fid.build(draw_state(fid_shapes())), device)
    net.key, net.weights = "fd_inception", "random"
    return net


@UNTRAINED.register_module(name="inception_clean")
def inception_clean(device: torch.device | str) -> clean.CleanInception:
    """The same weights as `inception`, fed as clean-fid feeds its net."""
    net = clean.CleanInception(fid.build(draw_state(fid_shapes())), device)
    net.weights = "random"
    return net


@UNTRAINED.register_module(name="inception_torchvision")
def inception_torchvision(device: torch.device | str) -> early.TorchvisionInception:
    """torchvision's net, inputs in -1 .. 1."""
    return _early("inception_torchvision", early.PLAIN, device)


@UNTRAINED.register_module(name="inception_torchvision_renormalised")
def inception_torchvision_renormalised(device: torch.device | str) -> early.TorchvisionInception:
    """torchvision's net with the same weights, inputs renormalised."""
    return _early("inception_torchvision_renormalised", early.RENORMALISED, device)
