"""What toyscapes is painted on: photo, label map and instance map, in step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.toyscapes_layout import Layout
from harness.data.toyscapes_style import Style
from harness.data.toyscapes_textures import Array, cover, mix

NAMES = ("sky", "mountain", "water", "sand", "grass", "road", "tree", "house", "boat")
SKY, MOUNTAIN, WATER, SAND, GRASS, ROAD, TREE, HOUSE, BOAT = range(len(NAMES))


@dataclass
class Canvas:
    """photo (3, H, W) float32, nominally 0 .. 1; label (H, W) uint8; instance (H, W) int32.

    x (1, W) and y (H, 1): pixel centres in image heights; pixel: a pixel's side in image heights.
    table: noise of textures. outline: noise of what the label map shows, which no style may change.
    """

    photo: Array
    label: NDArray[np.uint8]
    instance: NDArray[np.int32]
    x: Array
    y: Array
    pixel: float
    layout: Layout
    style: Style
    table: Array
    outline: Array

    @classmethod
    def blank(cls, size: tuple[int, int], layout: Layout, style: Style, table: Array, outline: Array) -> Canvas:
        height, width = size
        return cls(
            photo=np.zeros((3, height, width), dtype=np.float32),
            label=np.zeros(size, dtype=np.uint8),
            instance=np.zeros(size, dtype=np.int32),
            x=((np.arange(width, dtype=np.float32) + 0.5) / np.float32(height))[None],
            y=((np.arange(height, dtype=np.float32) + 0.5) / np.float32(height))[:, None],
            pixel=1 / height,
            layout=layout,
            style=style,
            table=table,
            outline=outline,
        )

    def paint(self, distance: Array, colour: Array, what: int, instance: int) -> None:
        """Paint where the signed distance (image heights) is positive; the label follows the pixel's centre."""
        self.photo += cover(distance, self.pixel) * (colour - self.photo)
        inside = distance > 0
        self.label[inside] = what
        self.instance[inside] = instance

    def hazed(self, colour: Array, near: Array | float) -> Array:
        """A colour as the air between lets it be seen, from a thing at `near`."""
        far = 1 - near
        return mix(colour, self.style.haze, 0.8 * self.style.mist * far * far * far)

    def window(self, left: float, right: float, top: float, bottom: float) -> Canvas | None:
        """The part of this canvas between these image heights, sharing its memory; None where it is empty."""
        height, width = self.label.shape
        c0, c1 = max(0, int(left / self.pixel) - 1), min(width, int(right / self.pixel) + 2)
        r0, r1 = max(0, int(top / self.pixel) - 1), min(height, int(bottom / self.pixel) + 2)
        if c0 >= c1 or r0 >= r1:
            return None
        rows, columns = slice(r0, r1), slice(c0, c1)
        return Canvas(
            self.photo[:, rows, columns],
            self.label[rows, columns],
            self.instance[rows, columns],
            self.x[:, columns],
            self.y[rows],
            self.pixel,
            self.layout,
            self.style,
            self.table,
            self.outline,
        )
