"""Which segments of the memory lie most like a query segment: same class, by intersection over union in place.

Exact, and fast because most candidates are never looked at: pixels that two masks share in a cell of the
bank's grid are at most the fewer that either has there, which bounds their intersection over union.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from baselines.sims.bank import Bank

# Candidates whose masks are read at a time.
CHUNK = 64
# Answers that are remembered: two a segment (flipped or not) of a data set of the size of Cityscapes.
REMEMBERED = 100_000

Answer = tuple[NDArray[np.int64], NDArray[np.float64]]


class Retrieval:
    """Queries of one bank. Answers are remembered, for a training asks again in every epoch."""

    def __init__(self, bank: Bank, keep: int) -> None:
        self.bank, self.keep = bank, keep
        self._of_class: dict[int, tuple[NDArray[np.int64], NDArray[np.integer]]] = {}
        self._answers: dict[bytes, Answer] = {}

    def nearest(self, mask: NDArray[np.bool_], which: int) -> Answer:
        """Query mask (h, w) of class `which` -> numbers of the `keep` best segments of that class, and their IoU.

        Best first; of equals the one that is earlier in the bank. Fewer where the bank has fewer.
        """
        words = self.bank.layout.packed(mask[None])
        key = hashlib.blake2b(words.tobytes() + which.to_bytes(8, "little"), digest_size=16).digest()
        known = self._answers.get(key)
        if known is None:
            known = self._search(words[0], which)
            if len(self._answers) < REMEMBERED:
                self._answers[key] = known
        return known

    def _search(self, words: NDArray[np.uint64], which: int) -> Answer:
        members, counts = self._members(which)
        area = int(np.bitwise_count(words).sum(dtype=np.int64))
        filled = np.flatnonzero(words)
        if not len(members) or not len(filled):
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        # Words beyond the query's first and last share nothing with it.
        reach = slice(int(filled[0]), int(filled[-1]) + 1)
        shared = np.minimum(counts, self.bank.layout.counts(words[None])).sum(axis=1, dtype=np.int64)
        bounds = shared / (area + self.bank.areas[members] - shared)
        order = np.argsort(-bounds, kind="stable")
        best, scores = np.zeros(0, dtype=np.int64), np.zeros(0)
        for start in range(0, len(order), CHUNK):
            # An equal bound may still be an equal score of an earlier segment.
            if len(best) == self.keep and bounds[order[start]] < scores[-1]:
                break
            chunk = members[order[start : start + CHUNK]]
            overlap = np.bitwise_count(self.bank.masks[chunk, reach] & words[reach]).sum(axis=1, dtype=np.int64)
            best = np.concatenate([best, chunk])
            scores = np.concatenate([scores, overlap / (area + self.bank.areas[chunk] - overlap)])
            ranked = np.lexsort((best, -scores))[: self.keep]
            best, scores = best[ranked], scores[ranked]
        return best, scores

    def _members(self, which: int) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
        """Numbers of the bank's segments of a class, ascending, and their counts, kept in RAM."""
        if which not in self._of_class:
            members = np.flatnonzero(self.bank.classes == which)
            self._of_class[which] = members, np.array(self.bank.counts[members])
        return self._of_class[which]
