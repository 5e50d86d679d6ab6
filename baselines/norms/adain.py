"""AdaIN, adaptive instance norm: the mean and std of each channel are set from outside."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.init import GAIN
from baselines.norms.by_class import class_shares, full_precision
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


def adain(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """std * (x - mean of x) / std of x + mean (Huang & Belongie 2017, equation 8).

    x: (N, C, H, W), more than one pixel. mean, std: (N, C), what the channels are given. The statistics
    of x are those of each image and channel, with 1e-5 added to the variance. Returns as x.
    """
    return (F.instance_norm(x) * std[:, :, None, None] + mean[:, :, None, None]).to(x.dtype)


@NORMS.register_module(name="adain")
class AdaIN(nn.Module):
    """adain(x, mean, std) with a mean and a std per channel from a style code of the label map.

    The code is relu(linear(class shares)), the shares being the one-hot label map pooled over space;
    one linear map makes the means of it, one the stds. The stds are not kept positive. Edges are not
    read.

    hidden: length of the code. Raises UserError for a length under 1.
    """

    def __init__(self, channels: int, labels: LabelSpec, hidden: int = 128) -> None:
        super().__init__()
        if hidden < 1:
            raise UserError(f"a code cannot have {hidden} numbers", where="norm 'adain'", mend="give hidden from 1 up")
        self.mlp = nn.Sequential(nn.Linear(labels.classes, hidden), nn.ReLU())
        self.mlp_mean = nn.Linear(hidden, channels)
        self.mlp_std = nn.Linear(hidden, channels)
        self.initialise(torch.Generator().manual_seed(0))

    @torch.no_grad()
    def initialise(self, rng: torch.Generator) -> None:
        """Means 0; stds normal(1, 0.02) over channels and classes, for label maps of one class."""
        first, last = self.mlp[0], self.mlp_std
        assert isinstance(first, nn.Linear)
        first.weight.copy_(torch.randn(first.weight.shape, generator=rng, device=rng.device))
        # Half of a code's numbers are cut off by the ReLU, so its squares sum to about half its length.
        spread = GAIN * math.sqrt(2 / last.in_features)
        last.weight.copy_(spread * torch.randn(last.weight.shape, generator=rng, device=rng.device))
        last.bias.fill_(1.0)
        for zero in (first.bias, self.mlp_mean.weight, self.mlp_mean.bias):
            zero.zero_()

    def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
        """x (N, channels, h, w) and label maps of any size -> as x."""
        if labels is None:
            raise ValueError("AdaIN needs label maps: here they are its style")
        with full_precision(x.device):
            code = self.mlp(class_shares(labels, self.mlp_mean.weight.dtype))
            mean, std = self.mlp_mean(code), self.mlp_std(code)
        return adain(x, mean, std)
