"""Where labels of points go so that they cover neither each other nor a point: plain geometry, any unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_FAR = (2.0, 3.5, 5.0, 7.0, 9.0, 12.0)  # gaps at which places are tried once those beside the point are taken


@dataclass(frozen=True)
class Box:
    """A rectangle, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, other: Box) -> bool:
        """Whether no part of it lies outside of the other."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    taken: Sequence[Box],
    soft: Sequence[Box] = (),
    gap: float = 1.0,
) -> list[Box | None]:
    """A box for the label of each point, near it and within bounds; None where there is no room left.

    sizes: (width, height) of each label. taken: boxes that no label may touch, such as the markers.
    soft: boxes that labels avoid where they can, such as a line. gap: from a point to a label beside it.
    Labels with the least choice go first. Equal input gives equal places.
    """
    choices = [
        [box for box in _around(point, size, gap) if box.within(bounds) and not any(map(box.overlaps, taken))]
        for point, size in zip(points, sizes, strict=True)
    ]
    found: list[Box | None] = [None] * len(points)
    waiting = set(range(len(points)))
    while waiting:
        free = {
            i: [box for box in choices[i] if not any(other and box.overlaps(other) for other in found)] for i in waiting
        }
        index = min(waiting, key=lambda i: (len(free[i]), i))
        waiting.remove(index)
        others = [points[i] for i in range(len(points)) if i != index]
        rated = [
            (_badness(box, n, points[index], others, soft, [free[i] for i in waiting], gap), n, box)
            for n, box in enumerate(free[index])
        ]
        found[index] = min(rated, key=lambda one: one[:2])[2] if rated else None
    return found


def is_beside(point: tuple[float, float], box: Box, gap: float) -> bool:
    """Whether a label is so near its point that no line between them is needed."""
    across, along = _distance(point, box)
    return max(across, along) <= 1.5 * gap


def _around(point: tuple[float, float], size: tuple[float, float], gap: float) -> list[Box]:
    """Places beside the point, the nearest first."""
    x, y = point
    width, height = size
    boxes = []
    for far in (1.0, *_FAR):
        for across, along in _DIRECTIONS:
            reach = far * gap * (0.7 if across and along else 1.0)
            left = x - width / 2 + across * (width / 2 + reach)
            bottom = y - height / 2 + along * (height / 2 + reach)
            boxes.append(Box(left, bottom, left + width, bottom + height))
    return boxes


def _badness(
    box: Box,
    order: int,
    point: tuple[float, float],
    others: Sequence[tuple[float, float]],
    soft: Sequence[Box],
    waiting: Sequence[Sequence[Box]],
    gap: float,
) -> float:
    """How little a place is wanted: away from its point, on a line, nearer to another point, in the way."""
    across, along = _distance(point, box)
    own = (across**2 + along**2) ** 0.5
    rivals = sum(1 for other in others if sum(side**2 for side in _distance(other, box)) ** 0.5 < own + gap)
    in_the_way = sum(sum(box.overlaps(choice) for choice in choices) / len(choices) for choices in waiting if choices)
    blocks = sum(1 for choices in waiting if choices and all(box.overlaps(choice) for choice in choices))
    return 2 * own / gap + 6 * sum(map(box.overlaps, soft)) + 3 * rivals + in_the_way + 50 * blocks + order / 100


def _distance(point: tuple[float, float], box: Box) -> tuple[float, float]:
    """From a point to a box, along x and y; 0 inside."""
    x, y = point
    return max(box.left - x, 0, x - box.right), max(box.bottom - y, 0, y - box.top)
