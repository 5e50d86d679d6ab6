"""Putting an image together from segments: warping them, ordering them, and pasting them back to front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from baselines.sims.segments import Contacts

# Half the width of the band that is left out along an elided boundary, as a share of the height: 5 pixels
# at the paper's 256 (the paper's width is not known to us).
BAND = 5 / 256


def cut_out(photos: Tensor, masks: Tensor) -> Tensor:
    """Photos (S, 3, h, w) in [-1, 1] and masks (S, 1, h, w) of 0 and 1 -> (S, 4, h, w): RGB, 0 outside, and mask."""
    return torch.cat([photos * masks, masks], dim=1)


def warped(pieces: Tensor, affine: Tensor) -> Tensor:
    """Pieces (S, 4, h, w) through affine maps (S, 2, 3) of coordinates in [-1, 1], target to source; float32."""
    with torch.autocast(pieces.device.type, enabled=False):
        pieces = pieces.float()
        grid = F.affine_grid(affine.float(), list(pieces.shape), align_corners=False)
        return F.grid_sample(pieces, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def back_to_front(
    count: int, pairs: NDArray[np.int64], first_in_front: Sequence[bool], areas: Sequence[int]
) -> list[int]:
    """The order in which `count` segments are pasted, from what is known of pairs of them.

    pairs: (P, 2) of segments, first_in_front: whether the first of a pair lies in front of the second.
    Next comes the one that lies in front of the fewest that are still to be pasted; of equals the
    largest, then the first. So every pair's order is kept where all of them can be.
    """
    over = np.zeros((count, count), dtype=np.int64)
    for (one, other), first in zip(pairs, first_in_front, strict=True):
        over[(one, other) if first else (other, one)] = 1
    waiting = list(range(count))
    order = []
    while waiting:
        chosen = min(waiting, key=lambda i: (int(over[i, waiting].sum()), -areas[i], i))
        waiting.remove(chosen)
        order.append(chosen)
    return order


def pasted(pieces: Tensor, order: Sequence[int]) -> Tensor:
    """Warped pieces (S, 4, h, w) -> the canvas (4, h, w): RGB in [-1, 1], 0 where it is empty, and its mask of 0 and 1.

    A piece covers the pixels in which it has half or more of a pixel; colours are freed of the black
    that warping mixes in at the rim.
    """
    canvas = pieces.new_zeros(pieces.shape[1:])
    for i in order:
        rgb, mask = pieces[i, :3], pieces[i, 3:]
        covered = mask >= 0.5
        layer = torch.cat([rgb / mask.clamp(min=0.5), torch.ones_like(mask)])
        canvas = torch.where(covered, layer, canvas)
    return canvas


def elided(contacts: Contacts, chosen: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w): the pixels that are left out along the boundaries `chosen` (one flag a pair of touching segments)."""
    along = np.zeros(size[0] * size[1], dtype=np.float32)
    along[contacts.sides[:, chosen[contacts.pair]]] = 1
    # A pixel beside a boundary is the first of its band.
    reach = max(0, round(BAND * size[0]) - 1)
    band = F.max_pool2d(torch.from_numpy(along).view(1, 1, *size), 2 * reach + 1, stride=1, padding=reach)
    return band[0, 0].numpy() > 0
