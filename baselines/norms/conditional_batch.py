"""Conditional batch norm: one scale and shift per channel for the whole image, by its classes."""

from __future__ import annotations

from torch import Tensor

from baselines.norms.build import NormValue
from baselines.norms.by_class import ClassTables, class_shares, full_precision
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="conditional_batch")
class ConditionalBatch(ClassTables):
    """out = base(x) * scale + shift, both constant over space (Dumoulin et al. 2017; de Vries et al. 2017).

    Scale and shift are the class shares of the label map (its one-hot form pooled over space) times a
    table of one row per class. For a label map of one class that is the row of its class: plain
    conditional batch norm. The paper derives it from SPADE (section 3.1). Edges are not read.

    base: any parameter-free norm. Raises UserError for one that has parameters.
    """

    def __init__(self, channels: int, labels: LabelSpec, base: NormValue = "sync_batch") -> None:
        super().__init__(channels, labels, base, "norm 'conditional_batch'")

    def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
        """x (N, channels, h, w) and label maps of any size -> as x."""
        if labels is None:
            raise ValueError("conditional batch norm needs label maps")
        with full_precision(x.device):
            shares = class_shares(labels, self.scale.dtype)
            scale, shift = shares @ self.scale, shares @ self.shift
        return (self.param_free_norm(x, labels) * scale[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)
