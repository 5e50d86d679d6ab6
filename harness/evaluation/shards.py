"""Scoring shared out over the processes of a torchrun, with the scores of one process.

Processes take contiguous runs of whole batches, so every batch is one that a single process makes too:
confusions are equal, and features too while they are kept; moments are merged, equal to 1e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import torch.distributed as dist

from harness.metrics.confusion import Confusion, merge
from harness.metrics.frechet import FeatureStats

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes that score together; this one is number `rank` of `world`."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes what all have found."""
        return self.rank == 0

    def part(self, count: int, batch: int) -> range:
        """The numbers of this process's batches, of `count` samples in all."""
        batches = -(-count // batch)
        return range(self.rank * batches // self.world, (self.rank + 1) * batches // self.world)

    def gathered(self, own: T) -> list[T]:
        """What every process has, in the order of ranks."""
        if self.world == 1:
            return [own]
        found: list[T | None] = [None] * self.world
        dist.all_gather_object(found, own)
        return [one for one in found if one is not None]

    def features(self, own: FeatureStats) -> FeatureStats:
        """The statistics of all processes' features."""
        return reduce(FeatureStats.merge, self.gathered(own))

    def confusion(self, own: Confusion, order: Sequence[str]) -> Confusion:
        """The confusions of all processes; `order`: the names of all samples."""
        whole = own if self.world == 1 else merge(self.gathered(own))
        assert whole.names == tuple(order)
        return whole


ALONE = Team()
