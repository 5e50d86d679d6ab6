"""SPADE, the paper's layer: scale and shift vary over space and are computed from the label map."""

from __future__ import annotations

from torch import Tensor, nn

from baselines.checks import at_least_one
from baselines.norms.build import NormValue, build_base
from baselines.one_hot import compute_dtype
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="spade")
class SPADE(nn.Module):
    """out = base(x) * (1 + gamma) + beta (paper, section 3, equations 1 to 3).

    The label map is nearest-resized to x; a conv to `hidden` channels and ReLU, then a conv to gamma
    and one to beta.

    kernel: size of all three convs, odd. hidden: width between them. base: any parameter-free norm.
    Raises UserError for an even kernel, or a base that has parameters.
    """

    def __init__(
        self, channels: int, labels: LabelSpec, kernel: int = 3, hidden: int = 128, base: NormValue = "sync_batch"
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise UserError(f"kernel must be odd, not {kernel}", where="norm 'spade'", mend="the paper tries 1, 3, 5")
        at_least_one("norm 'spade'", {"hidden": hidden})
        self.param_free_norm = build_base(base, channels, labels, "norm 'spade'")
        pad = kernel // 2
        self.mlp_shared = nn.Sequential(nn.Conv2d(labels.channels, hidden, kernel, padding=pad), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, kernel, padding=pad)
        self.mlp_beta = nn.Conv2d(hidden, channels, kernel, padding=pad)

    def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
        """x (N, channels, h, w) and label maps of any size -> (N, channels, h, w)."""
        if labels is None:
            raise ValueError("SPADE needs label maps")
        one_hot = labels.resized(x.shape[2], x.shape[3]).one_hot(compute_dtype(self.mlp_gamma.weight))
        hidden = self.mlp_shared(one_hot)
        return self.param_free_norm(x, labels) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
