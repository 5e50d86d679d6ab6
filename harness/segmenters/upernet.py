"""UPerNet101 on ADE20K: the segmenter with which the SPADE paper scored ADE20K.

Xiao et al., "Unified Perceptual Parsing for Scene Understanding", 2018. Layers, names and shapes are
those of the releases of github.com/CSAILVision/semantic-segmentation-pytorch, an encoder and a decoder
file each. The release of the paper's time and the later ones read a photo in two ways; each is an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.registry import SEGMENTERS, UNTRAINED
from harness.segmenters.resnet import Net, conv_norm, normaliser, released, stage
from harness.segmenters.untrained import RANDOM, untrained
from harness.weights import WeightFile, declare, find_weights, load_state, short_digest

ENCODER_FILE = "encoder_epoch_50.pth"
DECODER_FILE = "decoder_epoch_50.pth"
CLASSES = 150
FPN = 512
WIDTHS = (256, 512, 1024, 2048)
POOLS = (1, 2, 3, 6)
STRIDE = 4
# Buffers of the releases' synchronised batch norm; only training uses them, and not all files have them.
SYNC_BUFFERS = ("_tmp_running_mean", "_tmp_running_var", "_running_iter")


class Encoder(nn.Module):
    """ResNet-101 with three 3x3 convolutions as its stem: (N, 3, H, W) -> maps 256, 512, 1024, 2048 wide at
    1/4, 1/8, 1/16, 1/32 of the size. 42,623,936 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 128, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(128)
        self.layer1 = stage(128, 64, 3)
        self.layer2 = stage(256, 128, 4, stride=2)
        self.layer3 = stage(512, 256, 23, stride=2)
        self.layer4 = stage(1024, 512, 3, stride=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.max_pool2d(x, 3, 2, 1)
        maps: list[Tensor] = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """The encoder's maps -> logits (N, classes, H / 4, W / 4): a pyramid pooling of the coarsest map, then a
    feature pyramid down to the finest. 40,590,486 parameters with 150 classes."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        coarsest = WIDTHS[-1]
        self.ppm_conv = nn.ModuleList(conv_norm(coarsest, FPN, 1) for _ in POOLS)
        self.ppm_last_conv = conv_norm(coarsest + len(POOLS) * FPN, FPN, 3)
        self.fpn_in = nn.ModuleList(conv_norm(width, FPN, 1) for width in WIDTHS[:-1])
        self.fpn_out = nn.ModuleList(nn.Sequential(conv_norm(FPN, FPN, 3)) for _ in WIDTHS[:-1])
        self.conv_last = nn.Sequential(conv_norm(len(WIDTHS) * FPN, FPN, 3), nn.Conv2d(FPN, classes, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        coarsest = maps[-1]
        pooled = [F.adaptive_avg_pool2d(coarsest, pool) for pool in POOLS]
        # A pooled map is brought up before its 1x1 convolution, not after.
        pyramid = [conv(_resized(p, coarsest)) for conv, p in zip(self.ppm_conv, pooled, strict=True)]
        top = self.ppm_last_conv(torch.cat([coarsest, *pyramid], dim=1))
        levels = [top]
        for level in reversed(range(len(self.fpn_in))):
            side = self.fpn_in[level](maps[level])
            top = side + _resized(top, side)
            levels.insert(0, self.fpn_out[level](top))
        return self.conv_last(torch.cat([_resized(x, levels[0]) for x in levels], dim=1))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class UPerNet(nn.Module):
    """(N, 3, H, W), H and W multiples of 4 -> logits (N, 150, H / 4, W / 4)."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


@dataclass(frozen=True)
class Reading:
    """How a release reads a photo.

    folder: of the release's two files. bgr: channels blue, green, red. scale: 0 .. 255 is divided by
    it, then `mean` is taken off and the rest divided by `std`. short_sides: the photo is resized to each,
    unless its long side would pass `longest`; the softmax is averaged over them. multiple: sides are
    padded to it at the bottom and right, with zeros, the mean colour. antialias: whether shrinking
    averages, as Pillow does and OpenCV does not.

    Not settled: paper.md says "padded to" the multiple, and the golden output is of an image that needs
    none; a release that instead resizes the photo to the multiple would see it up to `multiple` - 1 pixels
    larger, and give slightly other scores. So too, antialias follows the libraries of each release's time.
    """

    folder: str
    bgr: bool
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    short_sides: tuple[int, ...]
    multiple: int
    antialias: bool
    longest: int = 1000


# Paper.md, table of segmenters.
BASELINE = Reading(
    folder="baseline-resnet101-upernet",
    bgr=True,
    scale=1.0,
    mean=(102.9801, 115.9465, 122.7717),
    std=(1.0, 1.0, 1.0),
    short_sides=(450,),
    multiple=8,
    antialias=False,
)
MULTISCALE = Reading(
    folder="ade20k-resnet101-upernet",
    bgr=False,
    scale=255.0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    short_sides=(300, 375, 450, 525, 600),
    multiple=32,
    antialias=True,
)


# Each release in the other's mode: paper.md's scores of one and of five scales are of the same net.
BASELINE_MULTISCALE = replace(BASELINE, short_sides=MULTISCALE.short_sides)
LATER_SINGLESCALE = replace(MULTISCALE, short_sides=BASELINE.short_sides)
READINGS = {
    "upernet101_ade20k": BASELINE,
    "upernet101_ade20k_baseline_multiscale": BASELINE_MULTISCALE,
    "upernet101_ade20k_multiscale": MULTISCALE,
    "upernet101_ade20k_later_singlescale": LATER_SINGLESCALE,
}


class UPerNetADE20K:
    """UPerNet101 on ADE20K's 150 classes (the label files' value - 1)."""

    classes = CLASSES

    def __init__(self, name: str, net: nn.Module, reading: Reading, weights: str, device: torch.device | str) -> None:
        self.name, self.weights, self.device = name, weights, device
        self.net, self.reading = net.to(device), reading
        self.mean, self.std = normaliser(reading.mean, device), normaliser(reading.std, device)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 in 0 .. 149."""
        # One by one: 150 maps at full size are large, and a score must not depend on the batch.
        return torch.stack([self.probabilities(image[None]).argmax(dim=1)[0] for image in images.to(self.device)])

    @torch.inference_mode()
    def probabilities(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) float32 in 0 .. 255, RGB -> (1, 150, H, W), the softmax averaged over the scales."""
        height, width = image.shape[-2:]
        total: Tensor | None = None
        for short in self.reading.short_sides:
            target = resized_size(height, width, short, self.reading.longest)
            logits = self.net(self.seen(image, target))
            found = spread(logits, target, (height, width)).softmax(dim=1)
            total = found if total is None else total.add_(found)
        assert total is not None
        return total.div_(len(self.reading.short_sides))

    def seen(self, image: Tensor, target: tuple[int, int]) -> Tensor:
        """(1, 3, H, W) float32 in 0 .. 255, RGB -> what the net sees: (1, 3, h, w) resized to `target`,
        normalised and padded."""
        how = self.reading
        x = F.interpolate(image, size=target, mode="bilinear", align_corners=False, antialias=how.antialias)
        x = ((x.flip(1) if how.bgr else x) / how.scale - self.mean) / self.std
        return F.pad(x, (0, -target[1] % how.multiple, 0, -target[0] % how.multiple))


def resized_size(height: int, width: int, short: int, longest: int) -> tuple[int, int]:
    """The size at which the short side is `short`, or the long one `longest` where that is less; cut to pixels."""
    up, down = (short, min(height, width)), (longest, max(height, width))
    times, over = up if up[0] * down[1] <= down[0] * up[1] else down
    return max(1, height * times // over), max(1, width * times // over)


def spread(coarse: Tensor, target: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Logits of a padded photo at 1/4 of its size -> (1, C, *size), bilinear, the padding cut off.

    One interpolation straight to the photo's own size; without padding it is F.interpolate's.
    """
    ends = []
    for side, kept, whole in zip(size, target, coarse.shape[-2:], strict=True):
        centres = (torch.arange(side, device=coarse.device) + 0.5) / side
        ends.append(centres * (2 * kept / (STRIDE * whole)) - 1)
    rows, columns = torch.meshgrid(*ends, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1)[None]
    return F.grid_sample(coarse, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _half(name: str, folder: str, net: type[nn.Module], file: str) -> WeightFile:
    half = net.__name__.lower()
    declared = WeightFile(
        name=f"{name}_{half}",
        file=f"{folder}/{file}",
        page="http://sceneparsing.csail.mit.edu/model/pytorch",
        address=f"http://sceneparsing.csail.mit.edu/model/pytorch/{folder}/{file}",
        gives="mIoU 42.00, accuracy 80.79 (five scales: 42.66, 81.01) on ADE20K's real validation photos",
        users=tuple(user for user, reading in READINGS.items() if reading.folder == folder),
        licence="not stated; the code's is BSD-3-Clause",
        keys=f"UPerNet101's {half}",
        check=lambda path: _load(net, path, declared),
    )
    return declare(declared)


def _load(net: Callable[[], Net], path: Path, file: WeightFile) -> Net:
    return released(net, load_state(path), str(path), file.get, SYNC_BUFFERS)


# By folder: encoder and decoder.
RELEASES = {
    folder: (_half(name, folder, Encoder, ENCODER_FILE), _half(name, folder, Decoder, DECODER_FILE))
    for name, folder in (("upernet101_ade20k", BASELINE.folder), ("upernet101_ade20k_later", MULTISCALE.folder))
}


def _open(name: str, reading: Reading, weights_root: Path | None, device: torch.device | str) -> UPerNetADE20K:
    first, second = RELEASES[reading.folder]
    encoder = first.find(weights_root)
    # Both halves out of one folder: those of two trainings do not fit together, and no shape would tell.
    decoder = find_weights(second.file, encoder.parents[1], None, second.get)
    net = UPerNet(_load(Encoder, encoder, first), _load(Decoder, decoder, second))
    weights = f"{short_digest(encoder)}+{short_digest(decoder)}"
    return UPerNetADE20K(name, net.eval(), reading, weights, device)


@SEGMENTERS.register_module(name="upernet101_ade20k")
def upernet101_ade20k(weights_root: Path | None, device: torch.device | str) -> UPerNetADE20K:
    """The release of the paper's time, one scale; raises UserError where a file is missing or does not fit.

    Known score on ADE20K's real validation photos: mIoU 42.00, accuracy 80.79.
    """
    return _open("upernet101_ade20k", BASELINE, weights_root, device)


@SEGMENTERS.register_module(name="upernet101_ade20k_multiscale")
def upernet101_ade20k_multiscale(weights_root: Path | None, device: torch.device | str) -> UPerNetADE20K:
    """The releases since August 2019, five scales; raises UserError where a file is missing or does not fit.

    Known score on ADE20K's real validation photos: mIoU 42.66, accuracy 81.01.
    """
    return _open("upernet101_ade20k_multiscale", MULTISCALE, weights_root, device)


@SEGMENTERS.register_module(name="upernet101_ade20k_baseline_multiscale")
def upernet101_ade20k_baseline_multiscale(weights_root: Path | None, device: torch.device | str) -> UPerNetADE20K:
    """The release of the paper's time, five scales; raises UserError as the others."""
    return _open("upernet101_ade20k_baseline_multiscale", BASELINE_MULTISCALE, weights_root, device)


@SEGMENTERS.register_module(name="upernet101_ade20k_later_singlescale")
def upernet101_ade20k_later_singlescale(weights_root: Path | None, device: torch.device | str) -> UPerNetADE20K:
    """The releases since August 2019, one scale; raises UserError as the others."""
    return _open("upernet101_ade20k_later_singlescale", LATER_SINGLESCALE, weights_root, device)


def _register_untrained(name: str, reading: Reading) -> None:
    @UNTRAINED.register_module(name=name)
    def untrained_upernet(device: torch.device | str) -> UPerNetADE20K:
        """The reading of a photo of this name, with random weights."""
        net = untrained(lambda: UPerNet(Encoder(), Decoder()))
        return UPerNetADE20K(name, net, reading, RANDOM, device)


for _name, _reading in READINGS.items():
    _register_untrained(_name, _reading)
