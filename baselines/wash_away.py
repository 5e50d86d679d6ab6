"""The paper's argument for SPADE as an experiment (section 3.1): does a norm wash the class away?

A label map of one class, a conv, then a norm: the conv's output is constant over space, so a norm that
subtracts the mean of each image and channel returns zeros, whatever the class was.

That is exact only
- for statistics of one image and channel: instance norm, group norm with groups of one channel, and
  batch norm in training while a batch holds one label map (or only maps of one class). Batch norm over
  maps of several classes, or with running statistics, keeps the class; so do layer norm and wider
  groups, which see the channels against each other, actnorm, and no norm at all;
- where zero padding has no reach: a padded conv darkens the border of a uniform label map, by an amount
  that depends on the class, and no norm takes that away. The experiment's conv is therefore not padded,
  unless asked for.
Of a label map of several classes a norm keeps where they differ, and a linear probe reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.init import initialise
from baselines.norms.build import NormValue, build_norm
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec

# Width and height of the activation, and of the squares of one class in a mixed label map.
SIZE, SQUARE = 16, 4
# Label maps that the probe learns from, and as many unseen ones that it is scored on.
MAPS = 12
# Directions in which the activations vary less than this, against the widest, are rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class WashAway:
    """What is left of the class behind a norm.

    uniform_gap: greatest absolute difference between the outputs for two uniform label maps.
    uniform_accuracy: share of pixels whose class a linear least-squares probe of the output names
        right, over one uniform label map of each class. It learns from the same maps: behind a norm
        that washes the class away it can do no better than chance even so.
    mixed_accuracy: the same over unseen label maps of several classes.
    chance: 1 / classes.
    """

    uniform_gap: float
    uniform_accuracy: float
    mixed_accuracy: float
    chance: float


@torch.no_grad()
def wash_away(
    norm: NormValue,
    classes: int = 4,
    channels: int = 16,
    kernel: int = 3,
    padded: bool = False,
    together: bool = False,
    training: bool = True,
    spread: float = 0.1,
    seed: int = 0,
) -> WashAway:
    """Send one-hot label maps through a conv and a norm, and look for the class in what comes out.

    norm: as in a config. kernel: size of the conv, odd; padded: with zeros, see above.
    together: whether all label maps make one batch, or each is a batch of its own.
    training: the norm's mode. It has first seen one training batch of mixed label maps, which sets
        running statistics and actnorm.
    spread: every parameter of the norm is moved from its start by normal noise of this standard
        deviation, in place of a training: at the start, all shifts by class are 0.

    Computed in float64: where the class is washed away, rounding leaves a `uniform_gap` of some 1e-13,
    which the probe is kept from reading. Raises UserError for an even kernel, or as build_norm.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise UserError(f"kernel must be odd, not {kernel}", where="wash-away experiment", mend="try 1, 3 or 5")
    rng = torch.Generator().manual_seed(seed)
    spec = LabelSpec(classes)
    weight = torch.randn((channels, classes, kernel, kernel), generator=rng, dtype=torch.float64)
    layer = build_norm(norm, channels, spec).double()
    initialise(nn.Sequential(layer), rng, "xavier")
    for parameter in layer.parameters():
        parameter.add_(spread * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))

    reach = kernel // 2
    margin = 0 if padded else reach
    uniform = _uniform(SIZE + 2 * margin, spec)
    mixed = _mixed(2 * MAPS, SIZE + 2 * margin, spec, rng)

    def behind(maps: LabelMap) -> Tensor:
        """(N, channels, SIZE, SIZE)."""
        return layer(F.conv2d(maps.one_hot(torch.float64), weight, padding=reach - margin), _inner(maps, margin))

    layer.train()
    behind(mixed)
    layer.train(training)
    outputs, mixed_outputs = (
        behind(maps) if together else torch.cat([behind(maps[i : i + 1]) for i in range(len(maps))])
        for maps in (uniform, mixed)
    )
    uniform_classes, mixed_classes = _inner(uniform, margin).indices, _inner(mixed, margin).indices
    return WashAway(
        uniform_gap=float((outputs.unsqueeze(0) - outputs.unsqueeze(1)).abs().max()),
        uniform_accuracy=_probe(outputs, uniform_classes, outputs, uniform_classes, classes),
        mixed_accuracy=_probe(
            mixed_outputs[:MAPS], mixed_classes[:MAPS], mixed_outputs[MAPS:], mixed_classes[MAPS:], classes
        ),
        chance=1 / classes,
    )


def _uniform(side: int, spec: LabelSpec) -> LabelMap:
    """One label map of each class."""
    return LabelMap(torch.arange(spec.classes).view(-1, 1, 1).expand(-1, side, side).contiguous(), spec)


def _mixed(count: int, side: int, spec: LabelSpec, rng: torch.Generator) -> LabelMap:
    """Label maps of squares, each of a random class."""
    squares = -(-side // SQUARE)
    coarse = torch.randint(0, spec.classes, (count, squares, squares), generator=rng)
    fine = coarse.repeat_interleave(SQUARE, 1).repeat_interleave(SQUARE, 2)
    return LabelMap(fine[:, :side, :side].contiguous(), spec)


def _inner(maps: LabelMap, margin: int) -> LabelMap:
    """The label maps without a margin: what lies under each pixel of the activation."""
    height, width = maps.size
    return LabelMap(maps.indices[:, margin : height - margin, margin : width - margin].contiguous(), maps.spec)


def _probe(learn: Tensor, learn_classes: Tensor, score: Tensor, score_classes: Tensor, classes: int) -> float:
    """Accuracy of the least-squares map from a pixel's channels, and a constant, to its one-hot class.

    learn, score: (N, C, h, w); learn_classes, score_classes: (N, h, w).
    """
    targets = F.one_hot(learn_classes.flatten(), classes).double()
    # gelsd copes with columns that are all 0, which is what may be left.
    solution = torch.linalg.lstsq(_rows(learn), targets, rcond=ROUNDING, driver="gelsd").solution
    return float(((_rows(score) @ solution).argmax(1) == score_classes.flatten()).double().mean())


def _rows(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N h w, C + 1): a row per pixel, with a 1 at its end."""
    return F.pad(x.movedim(1, 3).flatten(0, 2), (0, 1), value=1.0)
