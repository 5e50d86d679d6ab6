"""What a method is: a generator with its discriminator, encoder, losses and optimiser, as plain data.

The definitions live in `baselines/`; the engine builds the networks they name through the registries.
Contracts (all networks are nn.Modules that build without touching a data set):

generator      entry(labels: LabelSpec, size: (h, w), **options); forward(labels: LabelMap, z: Tensor | None)
               -> (N, 3, h, w) on the scale of -1 to 1, what lies outside is cut off when images are made;
               attribute `z_dim`: 0 where it takes no z, else z is (N, z_dim).
discriminator  entry(labels: LabelSpec, **options); forward(labels: LabelMap, images (N, 3, h, w))
               -> list over scales of lists over layers of feature maps; the last of each is the logits.
encoder        entry(**options); forward(images (N, 3, h, w)) -> (mu, logvar), each (N, z_dim).
norm           entry(channels: int, labels: LabelSpec, **options); forward(x, labels: LabelMap | None) -> like x.
objective      entry(generator, discriminator, encoder, labels: LabelMap, photos (N, 3, h, w) in [-1, 1], noise
               (N, z_dim) or None, weights: the fields of Losses by name, perceptual_net or None, **options)
               -> Made: what the generator (and encoder) minimise. Networks may be wrapped, so they are used
               through forward alone. The discriminator's own losses are the engine's.

Generators, discriminators and encoders have a method `initialise(rng: torch.Generator) -> None`, which
sets all weights and buffers, so that a network is a pure function of its entry, options and the state
of `rng`. The engine calls it once after building. A norm whose parameters are neither those of
convs or linear layers nor a plain scale and shift has such a method too, which its network calls.

What a generator may have beside that:

memory         for one that draws on the training photos whenever it generates. memory_key() -> dict of plain
               values: what the memory depends on beside the data. build_memory(samples: Sequence of
               MemorySample, folder: Path, progress or None): write it into an empty folder.
               open_memory(folder: Path): attach it, memory-mapped. The engine builds it once for a training
               split and opens it wherever the generator is trained or used.
notes          tuple of lines for the record.
layout         entry in LAYOUTS under the generator's name: (shapes: Mapping[str, tuple[int, ...]], size: (h, w)) ->
               the options that a state dict with these names and shapes was made with, and under `labels` the
               one-hot channels, or None where it is of another layout. With it official checkpoints are
               recognised.
cost_forward   (labels, z) -> anything: costs what generating one image costs, and needs no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Part:
    """A registry entry by name, with the options that differ from its defaults (plain values only)."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Made:
    """What an objective returns: the losses by name, already weighted, and the fake images (N, 3, h, w)."""

    losses: dict[str, Tensor]
    fake: Tensor


@dataclass(frozen=True)
class MemorySample:
    """A training sample at the suite's size: indices (h, w) int64 as LabelMap has them, photo (3, h, w) uint8 RGB."""

    name: str
    indices: Tensor
    photo: Tensor


@dataclass(frozen=True)
class Losses:
    """Weights of the losses (paper.md, Training). A weight of 0 leaves the loss out.

    gan: `hinge` or `least_squares`; `none` for a method without a discriminator.
    gan_over_scales: `mean` (SPADE) or `sum` (pix2pixHD) over the discriminator's scales.
    discriminator: factor on the discriminator's loss (pix2pixHD: 0.5).
    feature_matching: L1 between the discriminator's features, divided by the number of scales.
    perceptual: weight of the perceptual loss; which net computes it is the suite's choice.
    kld: on the encoder's posterior, summed.
    """

    gan: Literal["hinge", "least_squares", "none"] = "hinge"
    gan_over_scales: Literal["mean", "sum"] = "mean"
    discriminator: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 10.0
    kld: float = 0.05


@dataclass(frozen=True)
class Optimiser:
    """Adam; TTUR where the two learning rates differ (paper.md, Training)."""

    lr_generator: float = 1e-4
    lr_discriminator: float = 4e-4
    beta1: float = 0.0
    beta2: float = 0.9


@dataclass(frozen=True)
class Method:
    """A row of a table.

    title: as the row is printed.
    objective: what the generator minimises.
    perceptual: for a suite's perceptual net, by name, the variant of it that this method is defined with;
        under "" the net for a suite that has none.
    fresh_fake: whether the discriminator's step makes the fake anew with the updated generator
        (SPADE), or uses the one of the generator's step (pix2pixHD).
    """

    name: str
    title: str
    generator: Part
    discriminator: Part | None = None
    encoder: Part | None = None
    losses: Losses = Losses()
    optimiser: Optimiser = Optimiser()
    objective: Part = Part("adversarial")
    perceptual: Mapping[str, str] = field(default_factory=dict)
    fresh_fake: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values, for configs and records."""
        return asdict(self)
