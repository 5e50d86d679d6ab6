"""toyscapes, the built-in data set: rendered landscapes that need no files.

A sample is a pure function of (seed, split, index, size): the same bytes on every run. The label map
says where things are; time of day, season and weather are drawn beside it, so that many photos are
right for one label map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.data.base import Classes, Sample
from harness.data.toyscapes_canvas import NAMES
from harness.data.toyscapes_render import SPLITS, VERSION, check_size, render
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

COUNTS = {"train": 1000, "val": 200}
PALETTE = (
    (135, 206, 235),
    (128, 112, 104),
    (48, 92, 196),
    (238, 214, 150),
    (120, 184, 72),
    (90, 90, 96),
    (24, 96, 40),
    (200, 64, 44),
    (250, 250, 250),
)
CLASSES = Classes(NAMES, None, PALETTE)
# A sample in memory is 12 bytes a pixel; samples over this many bytes are rendered anew each time.
CACHE_BYTES = 256 << 20


@DATASETS.register_module(name="toyscapes")
class Toyscapes:
    """Rendered landscapes in 9 classes, with instances. root is not used; size: (h, w), multiples of 32."""

    classes = CLASSES

    def __init__(
        self,
        root: Path | None,
        split: str,
        *,
        size: Sequence[int] = (64, 64),
        count: int | None = None,
        seed: int = 0,
        with_photos: bool = True,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"toyscapes has no split '{split}'", mend=did_you_mean(split, SPLITS))
        if len(size) != 2:
            raise UserError(f"toyscapes takes a size of height and width, not {list(size)}")
        self.size = (int(size[0]), int(size[1]))
        check_size(self.size)
        if seed < 0:
            raise UserError(f"toyscapes cannot be rendered from seed {seed}", mend="choose 0 or more")
        if count is not None and count < 1:
            raise UserError(f"toyscapes cannot have {count} samples", mend="choose a count of 1 or more")
        self.split, self.seed, self.with_photos = split, seed, with_photos
        self.names = tuple(f"{split}_{i:05d}" for i in range(COUNTS[split] if count is None else count))
        self._kept: dict[int, Sample] = {}
        self._room = CACHE_BYTES // (12 * self.size[0] * self.size[1])

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Sample:
        """The sample, rendered on first use. Its arrays are shared: do not write to them."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        known = self._kept.get(index)
        if known is None:
            known = render(self.seed, self.split, index, self.size)
            if not self.with_photos:
                known = Sample(known.name, known.label, None, known.instance)
            if len(self._kept) < self._room:
                self._kept[index] = known
        return known

    def fingerprint(self) -> str:
        """sha256 over what the samples are a function of, and over the first ones' bytes."""
        total = hashlib.sha256(f"toyscapes {VERSION} {self.seed} {self.split} {self.size} {len(self)}".encode())
        for index in range(min(4, len(self))):
            total.update(self._digest(index).encode())
        return total.hexdigest()

    def digests(self) -> list[str]:
        """sha256 of what each sample is a function of, which costs no rendering; a test compares the bytes."""
        stems = (f"toyscapes {VERSION} {self.seed} {self.size} {name}" for name in self.names)
        return [hashlib.sha256(stem.encode()).hexdigest() for stem in stems]

    def _digest(self, index: int) -> str:
        sample = self.load(index)
        photo = b"" if sample.photo is None else sample.photo.tobytes()
        return hashlib.sha256(sample.label.tobytes() + photo).hexdigest()
