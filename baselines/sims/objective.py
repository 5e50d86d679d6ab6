"""What SIMS minimises: its three networks' losses, each on examples made from the batch's own photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from baselines.sims.generator import Trained
from harness.errors import UserError
from harness.labels import LabelMap
from harness.method import Made
from harness.registry import OBJECTIVES
from harness.training.losses import PerceptualNet, perceptual


@OBJECTIVES.register_module(name="sims")
def sims(
    generator: nn.Module,
    discriminator: nn.Module | None,
    encoder: nn.Module | None,
    labels: LabelMap,
    photos: Tensor,
    noise: Tensor | None,
    weights: Mapping[str, Any],
    perceptual_net: PerceptualNet | None,
    label: float = 10.0,
) -> Made:
    """Losses of generator `sims` on a batch (paper.md, SIMS). Discriminator, encoder and noise are not used.

    Arguments as the contract in harness/method.py has them. transform: L1 of the piece as it is laid
    against the segment, over the pixels of either (RGB and mask), divided by the segments' pixels.
    ordering: cross-entropy of the class in front. perceptual: times its weight. label: cross-entropy of
    the label head against the label map, times `label`. Raises UserError where the perceptual loss has a
    weight and no net.
    """
    if perceptual_net is None and weights["perceptual"]:
        raise UserError("there is no perceptual net", where="objective 'sims'", mend="set perceptual, e.g. vgg19_sims")
    out: Trained = generator(labels, None, photos)
    height, width = out.fake.shape[2:]
    made = {
        "transform": transform(out.moved, out.target),
        "ordering": ordering(out.order_logits, out.order_target, out.order_known),
        "label": label * F.cross_entropy(out.label_logits.float(), labels.resized(height, width).indices),
    }
    if perceptual_net is not None and weights["perceptual"]:
        made["perceptual"] = weights["perceptual"] * perceptual(out.fake, photos, perceptual_net)
    return Made(made, out.fake)


def transform(moved: Tensor, target: Tensor) -> Tensor:
    """L1 between pieces (K, 4, h, w), which are 0 outside of their masks, per pixel of the target's masks."""
    return (moved - target).abs().sum() / target[:, 3].sum()


def ordering(logits: Tensor, front: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of logits (K, classes) on classes (K,), over examples of weight 1; 0 where there is none."""
    each = F.cross_entropy(logits.float(), front, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
