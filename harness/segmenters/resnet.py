"""What the paper's segmenters share: the bottleneck of a ResNet, and how a release file becomes a net's weights.

The nets have 42 to 83 million weights. They are built on the meta device, which holds none, and take
the tensors of their file as they are, so building costs milliseconds and draws no random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import UserError

Net = TypeVar("Net", bound=nn.Module)

EXPANSION = 4
# The batch norm's counter: eval mode does not use it, and files older than PyTorch 0.4.1 lack it.
COUNTER = "num_batches_tracked"


def conv_norm(into: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution without bias that keeps the size at stride 1, batch norm, ReLU."""
    padding = kernel // 2 * dilation
    conv = nn.Conv2d(into, out, kernel, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; `width` inside, 4 x `width` out, the stride in the 3x3.

    He et al., "Deep Residual Learning for Image Recognition", 2016; the stride sits where the later
    PyTorch releases have it.
    """

    def __init__(self, into: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        out = EXPANSION * width
        self.conv1 = nn.Conv2d(into, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or into != out:
            self.downsample = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


def stage(into: int, width: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Bottlenecks in a row, the first with the stride, all with the dilation."""
    first = Bottleneck(into, width, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(EXPANSION * width, width, 1, dilation) for _ in range(blocks - 1)))


def released(
    build: Callable[[], Net], state: Mapping[str, Any], where: str, mend: str, ignored: Collection[str] = ()
) -> Net:
    """The net with the weights of a release file, frozen and in eval mode.

    ignored: last parts of names that the file may have beside a batch norm's running mean, and the net
    lacks. Raises UserError that names the first wrong entry where the file lacks one, has one too
    many, or has one of another shape.
    """
    with torch.device("meta"):
        net = build()
    ours = net.state_dict()
    if wrong := _wrong(ours, state, ignored):
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserError(f"these weights do not fit: {wrong[0]}{more}", where=where, mend=f"replace the file: {mend}")
    counter = torch.zeros((), dtype=torch.int64)
    taken = {key: _at_home(state[key]) if key in state else counter.clone() for key in ours}
    net.load_state_dict(taken, assign=True)
    return net.eval().requires_grad_(False)


def _at_home(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _wrong(ours: Mapping[str, Tensor], theirs: Mapping[str, Any], ignored: Collection[str]) -> list[str]:
    """What does not fit, in the net's order, then the file's; empty where everything does."""
    found: list[str] = []
    for key, value in ours.items():
        if key not in theirs:
            if not key.endswith(COUNTER):
                found.append(f"{key} is missing")
        elif not isinstance(theirs[key], Tensor):
            found.append(f"{key} is no tensor")
        elif theirs[key].shape != value.shape:
            found.append(f"{key} is of shape {tuple(theirs[key].shape)}, not {tuple(value.shape)}")
    for key in theirs:
        layer, _, last = str(key).rpartition(".")
        if key not in ours and not (last in ignored and f"{layer}.running_mean" in ours):
            found.append(f"{key} is unknown")
    return found


def normaliser(values: tuple[float, float, float], device: torch.device | str) -> Tensor:
    """One value a channel as (1, 3, 1, 1)."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1)
