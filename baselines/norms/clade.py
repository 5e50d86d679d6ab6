"""CLADE, class-adaptive norm: SPADE's convs replaced by a lookup of each pixel's class."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from baselines.norms.build import NormValue
from baselines.norms.by_class import ClassTables
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="clade")
class CLADE(ClassTables):
    """out = base(x) * scale[class] + shift[class] at each pixel (Tan et al. 2021, "Efficient Semantic Image Synthesis
    via Class-Adaptive Normalization").

    The label map is nearest-resized to x. There are no convs: a lookup costs no multiply-adds, and a
    pixel's neighbours have no say. Edges are not read, for they are no class: instances of one class
    that touch are not told apart.

    base: any parameter-free norm. Raises UserError for one that has parameters.
    """

    def __init__(self, channels: int, labels: LabelSpec, base: NormValue = "sync_batch") -> None:
        super().__init__(channels, labels, base, "norm 'clade'")

    def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
        """x (N, channels, h, w) and label maps of any size -> as x."""
        if labels is None:
            raise ValueError("CLADE needs label maps")
        classes = labels.resized(x.shape[2], x.shape[3]).indices
        # In the tables' own type, so that a class's gradient is summed over its pixels, and applied, in that type.
        scale, shift = (F.embedding(classes, t).permute(0, 3, 1, 2) for t in (self.scale, self.shift))
        return (self.param_free_norm(x, labels) * scale + shift).to(x.dtype)
