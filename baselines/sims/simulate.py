"""Examples to train on, made from a batch's own photos (paper.md, SIMS): no photo shows how its own pieces go wrong.

Everything here is on the CPU, and all draws are from torch's global generator of the CPU, in the order of
the batch, so that they do not depend on the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.sims.canvas import elided
from baselines.sims.retrieval import Retrieval
from baselines.sims.segments import Contacts, Segments, find_contacts, find_segments

ELISION = 0.5
# A segment of the memory that is more like the query than this is most likely the query's own.
SELF = 0.9
# Greatest change of any entry of a simulated affine map.
SPREAD = 0.15


@dataclass
class Simulation:
    """Of a batch of N label maps; K = N * shown examples, those of an image one after the other.

    canvas: (N, 1, h, w), 1 where the canvas shows the photo. masks, classes, affine: (K, 1, h, w), (K,)
    and (K, 2, 3): a segment, its class and the map that moves it out of place. pairs: (K, 2, h, w) masks of
    two neighbours; front: (K,) class of the one in front; known: (K,) 0 where an image has no two
    neighbours, and 1 elsewhere. Masks are of uint8.
    """

    canvas: Tensor
    masks: Tensor
    classes: Tensor
    affine: Tensor
    pairs: Tensor
    front: Tensor
    known: Tensor

    def to(self, device: torch.device) -> Simulation:
        return Simulation(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


def simulate(indices: NDArray[np.int64], retrieval: Retrieval, min_share: float, shown: int) -> Simulation:
    """Training examples from label maps (N, h, w) of class indices.

    shown: how many segments, and how many pairs of neighbours, of each image the nets are shown.
    """
    parts = [_one(each, retrieval, min_share, shown) for each in indices]
    return Simulation(*(torch.cat([getattr(part, name) for part in parts]) for name in Simulation.__dataclass_fields__))


def _one(indices: NDArray[np.int64], retrieval: Retrieval, min_share: float, shown: int) -> Simulation:
    found = find_segments(indices, min_share)
    contacts = find_contacts(found.numbers)
    canvas = stencilled(found, retrieval) & ~elided(contacts, _draw(len(contacts.pairs)) < ELISION, indices.shape)
    # Where nothing is large enough the largest stand in, so that every image shows something.
    large = found.kept if len(found.kept) else np.argsort(-found.areas, kind="stable")[:shown]
    chosen = large[_choice(len(large), shown)]
    pairs, known = _pairs(found, contacts, shown)
    smaller = np.where(found.areas[pairs[:, 0]] <= found.areas[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    identity = torch.eye(2, 3)
    return Simulation(
        canvas=_mask(canvas)[None, None],
        masks=_mask(found.masks(chosen))[:, None],
        classes=torch.from_numpy(found.classes[chosen]),
        affine=identity + SPREAD * (2 * torch.rand(shown, 2, 3) - 1),
        pairs=_mask(found.masks(pairs.ravel())).view(shown, 2, *indices.shape),
        front=torch.from_numpy(found.classes[smaller]),
        known=torch.full((shown,), float(known)),
    )


def stencilled(found: Segments, retrieval: Retrieval) -> NDArray[np.bool_]:
    """(h, w): of each segment what the mask of a segment of the memory leaves of it.

    That is the best candidate that is not the segment itself; where all are, the last of them. Segments
    without a candidate are left empty, as they are when images are made.
    """
    canvas = np.zeros(found.numbers.shape, dtype=bool)
    for number in found.kept:
        mask = found.numbers == number
        candidates, scores = retrieval.nearest(mask, int(found.classes[number]))
        if len(candidates):
            others = np.flatnonzero(scores <= SELF)
            canvas |= mask & retrieval.bank.mask(candidates[others[0] if len(others) else -1])
    return canvas


def _pairs(found: Segments, contacts: Contacts, shown: int) -> tuple[NDArray[np.int64], bool]:
    """(shown, 2) neighbours in either order, and whether the image has any: else a segment stands beside itself.

    Those of large segments; where there are none, the ones whose smaller partner is largest.
    """
    pairs = contacts.pairs[np.isin(contacts.pairs, found.kept).all(axis=1)]
    if not len(pairs):
        smaller = found.areas[contacts.pairs].min(axis=1, initial=found.numbers.size)
        pairs = contacts.pairs[np.argsort(-smaller, kind="stable")[:shown]]
    known = len(pairs) > 0
    if not known:
        pairs = np.zeros((1, 2), dtype=np.int64)
    chosen = pairs[_choice(len(pairs), shown)]
    turned = _draw(shown) < 0.5
    return np.where(turned[:, None], chosen[:, ::-1], chosen), known


def _choice(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` of `count` things at random; each once before any twice."""
    return torch.randperm(count).numpy()[np.arange(wanted) % count]


def _draw(count: int) -> NDArray[np.float32]:
    return torch.rand(count).numpy()


def _mask(mask: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(mask.astype(np.uint8))
