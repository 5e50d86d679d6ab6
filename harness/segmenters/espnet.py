"""ESPNet with the released CamVid weights: the segmenter of the camvid suite.

Mehta et al., "ESPNet: Efficient Spatial Pyramid of Dilated Convolutions", 2018. Layers, names and
shapes are those of the released state dicts (github.com/sacmehta/ESPNet), p = 2, q = 8.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import SEGMENTERS, UNTRAINED
from harness.segmenters.untrained import RANDOM, untrained
from harness.weights import WeightFile, declare, load_state, short_digest

EPS = 1e-3
DILATIONS = (2, 4, 8, 16)
STRIDE = 8

CAMVID_FILE = "espnet_p_2_q_8_camvid.pth"
CAMVID_RELEASE = declare(
    WeightFile(
        name="espnet_camvid",
        file=CAMVID_FILE,
        page="https://github.com/sacmehta/ESPNet at commit afe71c3",
        gives="mIoU 57.05, accuracy 85.77 on CamVid's 233 real test photos",
        users=("espnet_camvid",),
        size=1460677,
        sha256="7d354a257170322086dcd4c1e89a482454cf2c9d30b085e70883878dd59301af",
        licence="MIT",
        keys="ESPNet p = 2, q = 8 with 12 outputs",
    )
)
# Blue, green, red: the net was trained on photos read by OpenCV.
CAMVID_MEAN = (110.33139, 108.40919, 105.03353)
CAMVID_STD = (72.125206, 72.68849, 69.902596)
CAMVID_CLASSES = 11


class Conv(nn.Module):
    """A convolution without bias that keeps the size at stride 1."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation
        self.conv = nn.Conv2d(into, out, kernel, stride, padding, dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class NormAct(nn.Module):
    """Batch norm, then a PReLU per channel ("BR")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=EPS)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))


class ConvNormAct(nn.Module):
    """Convolution, batch norm, PReLU ("CBR")."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(into, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=EPS)
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Pyramid(nn.Module):
    """Reduce, convolve at five dilations, join the running sums: the body of both ESP units."""

    def __init__(self, into: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        narrow = out // 5
        first = out - 4 * narrow
        self.c1 = Conv(into, narrow, kernel, stride)
        self.d1 = Conv(narrow, first, 3)
        self.d2 = Conv(narrow, narrow, 3, dilation=2)
        self.d4 = Conv(narrow, narrow, 3, dilation=4)
        self.d8 = Conv(narrow, narrow, 3, dilation=8)
        self.d16 = Conv(narrow, narrow, 3, dilation=16)

    def joined(self, x: Tensor) -> Tensor:
        """(N, out, h, w) before normalisation."""
        reduced = self.c1(x)
        parts = [self.d1(reduced)]
        total = self.d2(reduced)
        parts.append(total)
        for branch in (self.d4, self.d8, self.d16):
            total = total + branch(reduced)
            parts.append(total)
        return torch.cat(parts, dim=1)


class Downsampler(Pyramid):
    """The strided ESP unit; its norm and activation have names of their own in the released files."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__(into, out, kernel=3, stride=2)
        self.bn = nn.BatchNorm2d(out, eps=EPS)
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.joined(x)))


class Block(Pyramid):
    """The ESP unit at stride 1; `add`: its input is added before the norm."""

    def __init__(self, into: int, out: int, add: bool = True) -> None:
        super().__init__(into, out, kernel=1, stride=1)
        self.bn = NormAct(out)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        joined = self.joined(x)
        return self.bn(joined + x if self.add else joined)


class Encoder(nn.Module):
    """Photo -> (16-wide, 19-wide map at half size, 131-wide at a quarter, class map at an eighth)."""

    def __init__(self, outputs: int, p: int, q: int) -> None:
        super().__init__()
        self.level1 = ConvNormAct(3, 16, 3, 2)
        self.b1 = NormAct(16 + 3)
        self.level2_0 = Downsampler(16 + 3, 64)
        self.level2 = nn.ModuleList(Block(64, 64) for _ in range(p))
        self.b2 = NormAct(128 + 3)
        self.level3_0 = Downsampler(128 + 3, 128)
        self.level3 = nn.ModuleList(Block(128, 128) for _ in range(q))
        self.b3 = NormAct(256)
        self.classifier = Conv(256, outputs, 1)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = F.avg_pool2d(photo, 3, stride=2, padding=1)
        quarter = F.avg_pool2d(half, 3, stride=2, padding=1)
        plain = self.level1(photo)
        level1 = self.b1(torch.cat([plain, half], dim=1))
        first = x = self.level2_0(level1)
        for block in self.level2:
            x = block(x)
        level2 = self.b2(torch.cat([x, first, quarter], dim=1))
        first = x = self.level3_0(level2)
        for block in self.level3:
            x = block(x)
        return plain, level1, level2, self.classifier(self.b3(torch.cat([first, x], dim=1)))


class ESPNet(nn.Module):
    """(N, 3, H, W), H and W multiples of 8 -> (N, outputs, H, W) logits.

    wide: whether the last convolution sees the 19-wide map (the CamVid release) or the 16-wide one
    before the pooled photo is joined to it (the Cityscapes release with 20 outputs).
    """

    def __init__(self, outputs: int = 12, p: int = 2, q: int = 8, wide: bool = True) -> None:
        super().__init__()
        self.wide = wide
        self.encoder = Encoder(outputs, p, q)
        self.level3_C = Conv(128 + 3, outputs, 1)
        self.br = nn.BatchNorm2d(outputs, eps=EPS)
        self.conv = ConvNormAct((19 if wide else 16) + outputs, outputs, 3)
        self.up_l3 = nn.Sequential(nn.ConvTranspose2d(outputs, outputs, 2, 2, bias=False))
        self.combine_l2_l3 = nn.Sequential(NormAct(2 * outputs), Block(2 * outputs, outputs, add=False))
        self.up_l2 = nn.Sequential(nn.ConvTranspose2d(outputs, outputs, 2, 2, bias=False), NormAct(outputs))
        self.classifier = nn.ConvTranspose2d(outputs, outputs, 2, 2, bias=False)

    def forward(self, photo: Tensor) -> Tensor:
        plain, level1, level2, level3 = self.encoder(photo)
        upper = self.up_l3(self.br(level3))
        middle = self.up_l2(self.combine_l2_l3(torch.cat([self.level3_C(level2), upper], dim=1)))
        return self.classifier(self.conv(torch.cat([middle, level1 if self.wide else plain], dim=1)))


def from_state_dict(state: dict[str, Tensor], where: str) -> ESPNet:
    """An ESPNet with these weights, in eval mode; its shape is read off the state dict.

    Raises UserError where keys or shapes are not those of an ESPNet.
    """
    try:
        outputs, joined = state["conv.conv.weight"].shape[:2]
        p = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.level2."))
        q = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.level3."))
    except (KeyError, ValueError, AttributeError) as error:
        raise UserError("not the state dict of an ESPNet", where=where) from error
    net = ESPNet(outputs, p, q, wide=joined - outputs == 19)
    # The released files are older than the batch norm's counter, which eval mode does not use.
    counters = {key: value for key, value in net.state_dict().items() if key.endswith("num_batches_tracked")}
    try:
        net.load_state_dict({**counters, **state})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"these weights do not fit an ESPNet: {reason[:200]}", where=where) from error
    return net.eval()


class ESPNetCamVid:
    """ESPNet on CamVid's 11 classes. A prediction of 11 is void, which is wrong on a labelled pixel."""

    name = "espnet_camvid"
    classes = CAMVID_CLASSES

    def __init__(self, net: ESPNet, weights: str, device: torch.device | str) -> None:
        self.net, self.weights = net.to(device).requires_grad_(False), weights
        # float32 throughout, in the order of the reference: (x - mean) / std / 255.
        self.mean = torch.tensor(CAMVID_MEAN, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(CAMVID_STD, device=device).view(1, 3, 1, 1)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, 12, H, W).

        A size that is no multiple of 8 is padded at the bottom and right by its edge pixels, and the
        logits are cut back.
        """
        height, width = images.shape[-2:]
        x = (images.flip(1) - self.mean) / self.std / 255
        down, right = -height % STRIDE, -width % STRIDE
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="replicate")
        return self.net(x)[..., :height, :width]

    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64, the largest of all 12 outputs."""
        return self.logits(images).argmax(dim=1)


@SEGMENTERS.register_module(name="espnet_camvid")
def espnet_camvid(weights_root: Path | None, device: torch.device | str) -> ESPNetCamVid:
    """The segmenter; raises UserError where its weight file is missing or another one."""
    path = CAMVID_RELEASE.find(weights_root)
    return ESPNetCamVid(from_state_dict(load_state(path), str(path)), short_digest(path), device)


@UNTRAINED.register_module(name="espnet_camvid")
def untrained_espnet(device: torch.device | str) -> ESPNetCamVid:
    """The segmenter with random weights."""
    return ESPNetCamVid(untrained(ESPNet), RANDOM, device)
