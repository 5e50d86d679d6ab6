"""Small photo and label files in a data set's layout, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def save(path: Path, array: NDArray) -> Path:
    """Write an array as an image; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def label_array(rng: np.random.Generator, size: tuple[int, int], classes: int, void: int | None = None) -> NDArray:
    """(h, w) uint8 of 4x4 blocks of classes, a tenth of them void where a void value is given."""
    height, width = size
    blocks = rng.integers(classes, size=(-(-height // 4), -(-width // 4)))
    if void is not None:
        blocks[rng.random(blocks.shape) < 0.1] = void
    return blocks.repeat(4, axis=0).repeat(4, axis=1)[:height, :width].astype(np.uint8)


def photo_array(rng: np.random.Generator, size: tuple[int, int]) -> NDArray:
    """(h, w, 3) uint8 noise."""
    return rng.integers(256, size=(*size, 3), dtype=np.uint8)


def camvid_layout(
    root: Path, counts: dict[str, int], size: tuple[int, int] = (36, 48), seed: int = 0, photo_suffix: str = ".png"
) -> Path:
    """A CamVid-like data set of a few samples a split under `root`; returns root."""
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        for index in range(count):
            save(root / split / f"{split}_{index:03d}{photo_suffix}", photo_array(rng, size))
            save(root / f"{split}annot" / f"{split}_{index:03d}.png", label_array(rng, size, 11, void=11))
    return root


def folder_layout(
    root: Path,
    splits: dict[str, int],
    *,
    classes: int = 5,
    void: int | None = 255,
    size: tuple[int, int] = (24, 32),
    instances: bool = False,
    photos: bool = True,
    seed: int = 0,
) -> Path:
    """A user's data set under `root`; the split "" puts the files straight into the folders."""
    rng = np.random.default_rng(seed)
    lines = ["names: [" + ", ".join(f"class{i}" for i in range(classes)) + "]"]
    if void is not None:
        lines.append(f"void: {void}")
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, count in splits.items():
        for index in range(count):
            name = f"{split}{index:03d}.png"
            save(root / "labels" / split / name, label_array(rng, size, classes, void))
            if photos:
                save(root / "photos" / split / name, photo_array(rng, size))
            if instances:
                ids = rng.integers(1000, 60000, size=(size[0] // 4, size[1] // 4), dtype=np.uint16)
                save(root / "instances" / split / name, ids.repeat(4, axis=0).repeat(4, axis=1))
    return root
