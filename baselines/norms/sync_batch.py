"""Batch norm with statistics over all processes: the paper's default (section 3, Table 4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS


@NORMS.register_module(name="sync_batch")
class SyncBatch(nn.SyncBatchNorm):
    """Statistics over the batches of all processes in training on GPUs; running statistics in eval.

    On the CPU, and in a single process, the statistics are those of this process's own batch, for
    torch's synchronised kernels run on GPUs only. eps 1e-5, momentum 0.1.

    Normalises by sqrt(var + eps) everywhere. The official multi-GPU runs divide by
    sqrt(max(var, 1e-5)) instead, and so differ where a channel's variance is close to 1e-5 or below;
    the official evaluation and single-GPU runs use var + eps as here.

    affine: whether a learned scale and shift per channel follow; without them it is parameter-free.
    """

    def __init__(self, channels: int, labels: LabelSpec, affine: bool = False) -> None:
        super().__init__(channels, affine=affine)

    def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
        if input.device.type != "cpu" or not self.training:
            return super().forward(input)
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
        )
