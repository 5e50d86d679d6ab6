"""What a suite is, as plain data.

A suite entry is a function without required arguments that returns a Suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.evaluation.protocol import Protocol


@dataclass(frozen=True)
class Schedule:
    """How long a cell trains.

    iterations: generator steps (paper.md counts epochs; a suite states the steps that they come to).
    flat: share of the iterations at the full learning rate; the rest falls linearly to 0.
    """

    iterations: int
    batch: int
    flat: float = 0.5


@dataclass(frozen=True)
class Augment:
    """Training-time geometry: resize to `resize` (h, w), random crop to the suite's size, flip half the time.

    resize None: straight to the suite's size.
    """

    resize: tuple[int, int] | None = None
    flip: bool = True


@dataclass(frozen=True)
class Suite:
    """A column group of a table.

    size: (h, w) of generated images. edges: whether the label map carries instance edges.
    unknown: whether void pixels get a one-hot channel of their own (else the data must have no void): the
    last of the classes, or with "first" the first, before the classes.
    scaled: factors on widths of method definitions, by dotted name (`generator.ngf`), for methods that have
    the option: rows that differ in width stay different.
    overrides: changes to method definitions, by dotted name, for methods that have the option. What comes
    of both stands in the record's config.
    perceptual: the perceptual net of this suite's trainings, or None: the loss is left out.
    variants: by the name of a shipped protocol that asks the suite (`spade-paper`, `multi-scale`), what that
    one changes in `protocol`; a suite without an entry does not have that protocol.
    """

    name: str
    title: str
    data: str
    size: tuple[int, int]
    schedule: Schedule
    protocol: Protocol
    data_options: Mapping[str, Any] = field(default_factory=dict)
    train_split: str = "train"
    score_split: str = "val"
    edges: bool = False
    unknown: bool | Literal["first"] = True
    augment: Augment = Augment()
    scaled: Mapping[str, float] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    perceptual: str | None = None
    threads: int = 2
    precision: Literal["32", "bf16"] = "32"
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values."""
        return asdict(self)
