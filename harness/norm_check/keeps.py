"""What a norm keeps of the class: the wash-away probe (paper, section 3.1).

A label map goes through a conv without padding and then the norm; a linear probe reads the class of each pixel
back. A uniform label map gives the conv's output one value per channel, so a norm that takes the mean of each
image and channel away leaves nothing to read, whatever the class was; only what the norm itself reads from the
label map can bring it back. Of a map of several classes every norm keeps where they differ.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.norm_check.layers import built, random_maps, spread, uniform_maps

CLASSES, CHANNELS, KERNEL = 8, 32, 3
# Side of the activation, and of the squares of one class in a mixed label map.
SIDE, SQUARE = 16, 4
# Label maps that the probe learns from, and as many unseen ones that it is scored on.
MAPS = 12
# Training batches before: running statistics come near those of the mixed maps.
SETTLING = 30
# What varies less than this, against the root mean square behind the mixed maps, is rounding of float32.
FLOOR = 1e-3


@dataclass(frozen=True)
class Kept:
    """What a linear probe reads behind a norm, as the share of pixels whose class it names right.

    mode: `training`, each label map a batch of its own, so that the statistics of a batch norm are those of one
    map; `eval`, with the running statistics of mixed maps.
    uniform: over one uniform label map of each class, away from the border, where a padded conv inside the norm
    sees zeros; learned from the same maps: what is washed away cannot be learned even so. gap: greatest
    difference between the outputs for two of them. mixed: over unseen label maps of several classes.
    chance: 1 / classes.
    """

    mode: Literal["training", "eval"]
    uniform: float
    mixed: float
    gap: float
    chance: float = 1 / CLASSES

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@torch.no_grad()
def what_is_kept(norm: Mapping[str, Any], seed: int = 0) -> tuple[Kept, Kept]:
    """The probe behind a norm (as a config has it), in training and in eval. On the CPU; a function of the seed.

    The norm's parameters are moved from their start by normal noise of 0.1, in place of a training: many norms
    start from shifts of 0, which carry no class.
    """
    spec, margin = LabelSpec(CLASSES), KERNEL // 2
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn((CHANNELS, CLASSES, KERNEL, KERNEL), generator=rng) / KERNEL
    layer = built(norm, CHANNELS, spec, seed).train()
    outer = SIDE + 2 * margin

    def behind(layer: nn.Module, maps: LabelMap) -> Tensor:
        """(N, CHANNELS, SIDE, SIDE)."""
        return layer(F.conv2d(maps.one_hot(), weight), _inner(maps, margin)).float()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        behind(layer, random_maps(MAPS, outer, outer, spec, seed + 1, SQUARE))
        spread(layer, seed)
        for step in range(SETTLING):
            behind(layer, random_maps(MAPS, outer, outer, spec, seed + 1 + step, SQUARE))
        uniform = uniform_maps(outer, outer, spec)
        mixed = random_maps(2 * MAPS, outer, outer, spec, seed + 1000, SQUARE)
        both = [_read(copy.deepcopy(layer).train(training), behind, uniform, mixed) for training in (True, False)]
    return Kept("training", *both[0]), Kept("eval", *both[1])


def _read(layer: nn.Module, behind: Any, uniform: LabelMap, mixed: LabelMap) -> tuple[float, float, float]:
    """uniform, mixed and gap of Kept."""
    flat, varied = (torch.cat([behind(layer, maps[i : i + 1]) for i in range(len(maps))]) for maps in (uniform, mixed))
    margin = KERNEL // 2
    varied_classes = _inner(mixed, margin).indices
    floor = FLOOR * float(varied.double().square().mean().sqrt())
    flat = flat[:, :, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    flat_classes = _inner(uniform, margin + SIDE // 4).indices
    return (
        _probe(flat, flat_classes, flat, flat_classes, floor),
        _probe(varied[:MAPS], varied_classes[:MAPS], varied[MAPS:], varied_classes[MAPS:], floor),
        float((flat.unsqueeze(0) - flat.unsqueeze(1)).abs().max()),
    )


def _inner(maps: LabelMap, margin: int) -> LabelMap:
    """The label maps without a margin: what lies under each pixel of the activation."""
    height, width = maps.size
    return LabelMap(maps.indices[:, margin : height - margin, margin : width - margin].contiguous(), maps.spec)


def _probe(learn: Tensor, learn_classes: Tensor, score: Tensor, score_classes: Tensor, floor: float) -> float:
    """Accuracy of the least-squares map from a pixel's channels to its one-hot class.

    learn, score: (N, C, h, w); their classes (N, h, w). Directions in which `learn` has a standard deviation
    under `floor` are not read. Where none is left, one class is named for all.
    """
    rows, targets = _rows(learn), F.one_hot(learn_classes.flatten(), CLASSES).double()
    mean, share = rows.mean(0), targets.mean(0)
    variances, directions = torch.linalg.eigh((rows - mean).t() @ (rows - mean) / len(rows))
    read = variances.clamp(min=0).sqrt() > floor
    basis = directions[:, read] / variances[read].sqrt()
    # The directions are uncorrelated and of variance 1, so the least squares solution is a product.
    solution = ((rows - mean) @ basis).t() @ (targets - share) / len(rows)
    named = ((_rows(score) - mean) @ basis @ solution + share).argmax(1)
    return float((named == score_classes.flatten()).double().mean())


def _rows(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N h w, C) float64: a row per pixel."""
    return x.double().movedim(1, 3).flatten(0, 2)
