"""The generator of SIMS: retrieve a segment for each segment, warp, order, paste, and make the canvas whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.init import initialise
from baselines.norms.build import NormValue
from baselines.sims.bank import FORMAT, Bank, build_bank
from baselines.sims.canvas import back_to_front, cut_out, pasted, warped
from baselines.sims.nets import LEAST, OrderingNet, SynthesisNet, TransformNet
from baselines.sims.retrieval import Retrieval
from baselines.sims.segments import MIN_SHARE, find_contacts, find_segments
from baselines.sims.simulate import simulate
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.method import MemorySample
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "layer", "affine": True, "eps": 1e-12}
# Segments, or pairs, of one label map that go through a network at a time.
AT_ONCE = 8
# What an image is taken to have where its cost is counted: segments, and pairs of neighbours.
TYPICAL = (12, 18)


class Trained(NamedTuple):
    """What the losses need of a training pass; K examples a network, masks and weights of 0 and 1.

    fake: (N, 3, h, w). label_logits: (N, classes, h, w). moved, target: (K, 4, h, w) pieces (RGB, 0
    outside, and mask) as the transform net lays them and as they should lie. order_logits: (K,
    classes); order_target: (K,) class of the one in front; order_known: (K,) weight.
    """

    fake: Tensor
    label_logits: Tensor
    moved: Tensor
    target: Tensor
    order_logits: Tensor
    order_target: Tensor
    order_known: Tensor


@GENERATORS.register_module(name="sims")
class SIMSGenerator(nn.Module):
    """Label maps -> images, from the photos of its memory (Qi et al. 2018; paper.md, SIMS).

    labels, size: what the label maps hold; (h, w) of the images, 32 or more each.
    ngf: width of the first convs of all three networks; 64 is the paper's.
    candidates: segments of the memory that are kept for each segment. Images are made with the best; in
        training the best that is not the segment itself.
    min_share: segments that are no larger than this share of the image are left empty, and out of the memory.
    shown: segments, and pairs of neighbours, of each photo that the transform and the ordering net are
        shown in a training step.
    norm: of every conv but the heads.

    Boundaries are elided in training alone. Images are in [-1, 1] in eval; in training the RGB head is not
    cut off. A segment whose class the memory does not have is left empty on the canvas. Each image depends
    on its own label map alone.
    Raises UserError for a size that cannot be, and where no memory was opened.
    """

    z_dim = 0
    notes = (
        "SIMS: the ordering net learns its order from labels by a rule, for there is no depth: of two touching "
        "segments the smaller lies in front",
        f"SIMS: multiply-adds are those of an image of {TYPICAL[0]} segments and {TYPICAL[1]} pairs of neighbours",
    )

    def __init__(
        self,
        labels: LabelSpec,
        size: tuple[int, int],
        ngf: int = 64,
        candidates: int = 10,
        min_share: float = MIN_SHARE,
        shown: int = 4,
        norm: NormValue = NORM,
    ) -> None:
        super().__init__()
        where = "generator 'sims'"
        if min(size) < LEAST:
            raise UserError(f"cannot make images of {size[1]}x{size[0]}", where, f"sides must be {LEAST} or more")
        if min(candidates, shown) < 1:
            raise UserError(f"candidates and shown must be 1 or more, not {candidates} and {shown}", where)
        if not 0 <= min_share < 1:
            raise UserError(f"min_share must be from 0 to below 1, not {min_share}", where)
        self.labels, self.size = labels, (size[0], size[1])
        self.candidates, self.min_share, self.shown = candidates, min_share, shown
        self.transform = TransformNet(labels, ngf, norm)
        self.ordering = OrderingNet(labels, ngf, norm)
        self.synthesis = SynthesisNet(labels, size, ngf, norm)
        self._retrieval: Retrieval | None = None

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0; affine maps start at the identity."""
        initialise(self, rng, "xavier")

    def memory_key(self) -> dict[str, Any]:
        """What the memory depends on beside the data."""
        return {"format": FORMAT, "size": list(self.size), "classes": self.labels.classes, "min_share": self.min_share}

    def build_memory(
        self, samples: Sequence[MemorySample], folder: Path, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the memory of a training split into an empty folder, in one pass."""
        build_bank(samples, folder, self.size, self.labels.classes, self.min_share, progress)

    def open_memory(self, folder: Path) -> None:
        """Attach a memory; its photos and masks stay on disk. Raises UserError for a broken or foreign folder."""
        self._retrieval = Retrieval(Bank(folder, self.size, self.labels.classes, self.min_share), self.candidates)

    @property
    def retrieval(self) -> Retrieval:
        """Queries of the memory. Raises UserError where none was opened."""
        if self._retrieval is None:
            raise UserError("no memory is open", where="generator 'sims'", mend="build_memory, then open_memory")
        return self._retrieval

    def forward(self, labels: LabelMap, z: Tensor | None = None, photos: Tensor | None = None) -> Tensor | Trained:
        """Label maps of any size -> (N, 3, h, w). With photos (N, 3, h, w) in [-1, 1]: a training pass. No z."""
        labels = labels.resized(*self.size)
        if photos is not None:
            return self._trained(labels, photos)
        retrieval = self.retrieval
        with torch.no_grad():
            canvases = torch.stack([self._canvas(labels[i : i + 1], retrieval) for i in range(len(labels))])
        rgb = self.synthesis(torch.cat([labels.one_hot(), canvases], dim=1), labels)[0]
        return rgb if self.training else rgb.clamp(-1, 1)

    def cost_forward(self, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        """Runs the networks as often as for images with a typical number of segments; needs no memory."""
        labels = labels.resized(*self.size)
        x = self.synthesis(torch.cat([labels.one_hot(), self._zeros(labels, 4)], dim=1), labels)[0]
        for _ in range(TYPICAL[0]):
            self.transform(self._zeros(labels, 4 + self.labels.classes), labels)
        for _ in range(TYPICAL[1]):
            self.ordering(self._zeros(labels, 6), labels)
        return x

    def _zeros(self, labels: LabelMap, channels: int) -> Tensor:
        return torch.zeros(len(labels), channels, *self.size, device=labels.device)

    def _canvas(self, labels: LabelMap, retrieval: Retrieval) -> Tensor:
        """One label map at this size -> its canvas and mask (4, h, w)."""
        found = find_segments(_numpy(labels)[0], self.min_share)
        masks = found.masks(found.kept)
        chosen = [
            retrieval.nearest(mask, int(which))[0][:1]
            for mask, which in zip(masks, found.classes[found.kept], strict=True)
        ]
        placed = np.flatnonzero([len(best) for best in chosen])
        if not len(placed):
            return self._zeros(labels, 4)[0]
        numbers = found.kept[placed]
        pieces = _pieces(retrieval.bank, [int(chosen[i][0]) for i in placed], labels.device)
        queries = torch.from_numpy(masks[placed][:, None]).to(labels.device)
        classes = torch.from_numpy(found.classes[numbers]).to(labels.device)
        affine = torch.cat(
            [
                self.transform(self._of_transform(piece, query, which), _repeated(labels, len(piece)))
                for piece, query, which in zip(*(x.split(AT_ONCE) for x in (pieces, queries, classes)), strict=True)
            ]
        )
        pieces = warped(pieces, affine)
        pairs = find_contacts(found.numbers).pairs
        pairs = np.searchsorted(numbers, pairs[np.isin(pairs, numbers).all(axis=1)])
        front = self._first_in_front(pieces, classes, torch.from_numpy(pairs).to(labels.device), labels)
        return pasted(pieces, back_to_front(len(numbers), pairs, front, found.areas[numbers].tolist()))

    def _of_transform(self, pieces: Tensor, queries: Tensor, classes: Tensor) -> Tensor:
        """The transform net's input: pieces (S, 4, h, w), and masks (S, 1, h, w) in the channels of their classes."""
        places = torch.zeros(len(pieces), self.labels.classes, *self.size, device=pieces.device)
        places[torch.arange(len(pieces), device=pieces.device), classes] = queries[:, 0].float()
        return torch.cat([pieces, places], dim=1)

    def _first_in_front(self, pieces: Tensor, classes: Tensor, pairs: Tensor, labels: LabelMap) -> list[bool]:
        """For pairs (P, 2) of warped pieces whether the first lies in front of the second."""
        front: list[bool] = []
        for part in pairs.split(AT_ONCE) if len(pairs) else ():
            both = pieces[part, :3].flatten(1, 2)
            logits = self.ordering(both, _repeated(labels, len(part))).float()
            first, second = logits.gather(1, classes[part]).unbind(1)
            front += (first > second).tolist()
        return front

    def _trained(self, labels: LabelMap, photos: Tensor) -> Trained:
        example = simulate(_numpy(labels), self.retrieval, self.min_share, self.shown).to(labels.device)
        each = torch.arange(len(photos), device=photos.device).repeat_interleave(self.shown)
        shown, of_each = photos[each], labels[each]
        canvas = cut_out(photos, example.canvas.to(photos.dtype))
        fake, label_logits = self.synthesis(torch.cat([labels.one_hot(), canvas], dim=1), labels)
        masks, pairs = example.masks.to(photos.dtype), example.pairs.to(photos.dtype)
        target = cut_out(shown, masks)
        pieces = warped(target, example.affine)
        affine = self.transform(self._of_transform(pieces, masks, example.classes), of_each)
        both = torch.cat([shown * pairs[:, :1], shown * pairs[:, 1:]], dim=1)
        return Trained(
            fake=fake,
            label_logits=label_logits,
            moved=warped(pieces, affine),
            target=target,
            order_logits=self.ordering(both, of_each),
            order_target=example.front,
            order_known=example.known,
        )


def _numpy(labels: LabelMap) -> NDArray[np.int64]:
    return labels.indices.cpu().numpy()


def _repeated(labels: LabelMap, times: int) -> LabelMap:
    """One label map as a batch of equal ones, for norms that read it."""
    return labels[torch.zeros(times, dtype=torch.int64, device=labels.device)]


def _pieces(bank: Bank, segments: Sequence[int], device: torch.device) -> Tensor:
    """(S, 4, h, w): segments of the memory as pieces."""
    photos = np.stack([bank.photo(i) for i in segments]).transpose(0, 3, 1, 2)
    masks = np.stack([bank.mask(i) for i in segments])[:, None]
    in_range = torch.from_numpy(photos).to(device).float() / 127.5 - 1
    return cut_out(in_range, torch.from_numpy(masks).to(device).float())
