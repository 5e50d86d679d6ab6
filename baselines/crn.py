"""The cascaded refinement network (Chen & Koltun 2017; paper.md, CRN): regression from coarse to fine, no adversary."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.init import initialise
from baselines.norms.build import NormValue, build_norm
from baselines.one_hot import compute_dtype
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import GENERATORS

NORM: dict[str, Any] = {"name": "layer", "affine": True, "eps": 1e-12}
SLOPE = 0.2
# The first module's smaller side is the smallest from 3 up that halving reaches, and must be 16 at most.
SMALLEST, LARGEST = 3, 16
# Up to this height a module has the full width divided by this number; higher ones by TOPMOST.
DIVISORS = ((64, 1), (256, 2), (512, 8))
TOPMOST = 32


def start_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the first module for images of `size`: halved while both sides are even and the smaller half is 3 up.

    256x512 gives 4x8, 192x256 gives 3x4. Raises UserError where halving ends at a smaller side above 16.
    """
    height, width = size
    while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= SMALLEST:
        height, width = height // 2, width // 2
    if min(height, width) > LARGEST:
        raise UserError(
            f"cannot make images of {size[1]}x{size[0]}: halving ends at {width}x{height}",
            where="generator 'crn'",
            mend=f"sides must halve until the smaller one is {LARGEST} or less, as those of 512x256 do",
        )
    return height, width


def width_at(height: int, width: int) -> int:
    """Channels of the module of this height: those of the official code where `width` is 1024."""
    divisor = next((divisor for most, divisor in DIVISORS if height <= most), TOPMOST)
    return max(1, width // divisor)


class RefinementModule(nn.Module):
    """Label map and, but for the first module, the features before it -> conv 3x3, norm, LeakyReLU, twice."""

    def __init__(self, wide_in: int, wide_out: int, labels: LabelSpec, norm: NormValue) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(wide_in + labels.channels, wide_out, 3, padding=1, bias=False)
        self.norm_0 = build_norm(norm, wide_out, labels)
        self.conv_1 = nn.Conv2d(wide_out, wide_out, 3, padding=1, bias=False)
        self.norm_1 = build_norm(norm, wide_out, labels)

    def forward(self, x: Tensor | None, one_hot: Tensor, labels: LabelMap) -> Tensor:
        """x (N, wide_in, h / 2, w / 2) or None, one_hot (N, label channels, h, w) -> (N, wide_out, h, w)."""
        read = one_hot
        if x is not None:
            x = F.interpolate(x, size=one_hot.shape[2:], mode="bilinear", align_corners=True)
            read = torch.cat([x.to(one_hot.dtype), one_hot], dim=1)
        out = F.leaky_relu(self.norm_0(self.conv_0(read), labels), SLOPE)
        return F.leaky_relu(self.norm_1(self.conv_1(out), labels), SLOPE)


@GENERATORS.register_module(name="crn")
class CRN(nn.Module):
    """Label maps -> images on the scale of -1 to 1, `images` of them for each label map.

    The head is linear, as in the original, so values can lie outside [-1, 1]: the official code maps
    them by (x + 1) / 2 * 255 and clips when it writes the image, and so does the quantisation here.

    size: (h, w); the first module has the smallest size of the same aspect (see start_size), each
        further one twice that, the last one `size`.
    width: channels of the modules up to height 64; half of it up to 256, an eighth up to 512, a 32nd above.
    images: how many images the head makes; their diversity comes from the objective `diversity`.
    norm: of both convs of every module; the original's is layer norm with a scale and shift per channel.

    Raises UserError for a size that cannot be.
    """

    z_dim = 0

    def __init__(
        self, labels: LabelSpec, size: tuple[int, int], width: int = 1024, images: int = 9, norm: NormValue = NORM
    ) -> None:
        super().__init__()
        if min(width, images) < 1:
            raise UserError(f"width and images must be 1 or more, not {width} and {images}", where="generator 'crn'")
        self.size, self.images = size, images
        height, before = start_size(size)[0], 0
        self.refine = nn.ModuleList()
        while height <= size[0]:
            wide = width_at(height, width)
            self.refine.append(RefinementModule(before, wide, labels, norm))
            height, before = 2 * height, wide
        self.head = nn.Conv2d(before, 3 * images, 1)

    def initialise(self, rng: torch.Generator) -> None:
        """Set the starting weights: xavier normal of gain 0.02, biases 0, as for SPADE.

        The gain is that of the shared rule; the norms behind the convs take it out again.
        """
        initialise(self, rng, "xavier")

    def forward(self, labels: LabelMap, z: Tensor | None = None, every: bool = False) -> Tensor:
        """Label maps of any size -> the first image (N, 3, h, w), or with `every` all: (N, images, 3, h, w).

        There is no z.
        """
        one_hots = self._pyramid(labels)
        x = None
        for module, one_hot in zip(self.refine, one_hots, strict=True):
            x = module(x, one_hot, labels)
        made = self.head(x).unflatten(1, (self.images, 3))
        return made if every else made[:, 0]

    def _pyramid(self, labels: LabelMap) -> list[Tensor]:
        """The one-hot label map area-resized to the size of each module, smallest first."""
        full = labels.resized(*self.size).one_hot(compute_dtype(self.head.weight))
        levels = [full]
        for _ in range(len(self.refine) - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels[::-1]
