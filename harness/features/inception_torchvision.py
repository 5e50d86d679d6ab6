"""The nets behind the FIDs of pytorch-fid's first months: torchvision's Inception v3, fed in two ways.

Published numbers of that time come from other nets than today's `fid`. These two make them comparable
under names of their own, `fd_inception_torchvision` and `fd_inception_torchvision_renormalised`
(paper.md, Cityscapes FID).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import FEATURES
from harness.weights import WeightFile, declare, find_weights, load_state, weight_folders

# File name and sha256 prefix, the one to get first. The second is what torchvision pointed to at the time.
FILES = {
    "inception_v3_google-0cc3c7bd.pth": "0cc3c7bd",
    "inception_v3_google-1a9a5a14.pth": "1a9a5a14",
}
NAMES = ("inception_torchvision", "inception_torchvision_renormalised")


def _declared(name: str, file_name: str, which: str) -> WeightFile:
    return declare(
        WeightFile(
            name=name,
            file=file_name,
            page="https://github.com/pytorch/vision, models/inception.py",
            address=f"https://download.pytorch.org/models/{file_name}",
            gives=f"the Fréchet distances of pytorch-fid's first months; {which}",
            users=NAMES,
            sha256=FILES[file_name],
            licence="not stated; the code's is BSD-3-Clause",
            keys="torchvision's Inception v3",
        )
    )


_newer, _older = FILES
RELEASE = _declared("inception_torchvision", _newer, "today's file")
OLDER_RELEASE = _declared("inception_torchvision_older", _older, "that time's file, not needed beside today's")
GET = RELEASE.get
SIDE = 299

# What multiplies 0 .. 1, and what is then added, for each of R, G, B.
Affine = tuple[tuple[float, float, float], tuple[float, float, float]]
PLAIN: Affine = ((2.0, 2.0, 2.0), (-1.0, -1.0, -1.0))
# Torchvision's way from inputs normalised for ImageNet to -1 .. 1; these inputs never were normalised for ImageNet.
RENORMALISED: Affine = (
    (0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5),
    ((0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5),
)


def build(state: Mapping[str, Tensor]) -> nn.Module:
    """torchvision's Inception v3 up to its last pooling, frozen and in eval mode.

    state: the float32 state dict of the whole net, auxiliary classifier included; its tensors become the
    net's. Takes (N, 3, 299, 299) and returns (N, 2048). Raises RuntimeError where the state does not fit.
    """
    from torchvision.models import Inception3

    with torch.device("meta"):  # no time and no random numbers for weights that are replaced at once
        net: nn.Module = Inception3(init_weights=False)
    net.load_state_dict(state, assign=True)
    net.register_module("AuxLogits", None)
    net.fc = nn.Identity()  # the dropout before it does nothing in eval mode
    return net.eval().requires_grad_(False)


class TorchvisionInception:
    """pool3 features, 2048 wide.

    0 .. 255 is scaled to 0 .. 1, resized to 299 x 299 (bilinear, align_corners=False, no antialiasing),
    then goes through `affine`, all in float32. weights: sha256 prefix of the file. net: `build`'s.
    """

    dim = 2048

    def __init__(self, name: str, affine: Affine, weights: str, net: nn.Module, device: torch.device | str) -> None:
        self.name, self.key, self.weights = name, f"fd_{name}", weights
        self.net = net.to(device)
        self.scale, self.shift = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in affine)

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, 2048) float32."""
        x = F.interpolate(images.float() / 255, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        features: Tensor = self.net(x * self.scale + self.shift)
        return features


def _find(weights_root: Path | None) -> tuple[Path, str]:
    """The first folder with either file wins. Returns the path and its sha256 prefix."""
    for folder in weight_folders(weights_root):
        for file_name, prefix in FILES.items():
            if (folder / file_name).is_file():
                return find_weights(file_name, folder, prefix, GET), prefix
    file_name, prefix = next(iter(FILES.items()))
    return find_weights(file_name, weights_root, prefix, GET), prefix


def _load(name: str, affine: Affine, weights_root: Path | None, device: torch.device | str) -> TorchvisionInception:
    path, prefix = _find(weights_root)
    try:
        net = build(load_state(path))
    except RuntimeError as error:
        raise UserError("these weights do not fit torchvision's Inception v3", where=str(path), mend=GET) from error
    return TorchvisionInception(name, affine, prefix, net, device)


@FEATURES.register_module(name="inception_torchvision")
def inception_torchvision(weights_root: Path | None, device: torch.device | str) -> TorchvisionInception:
    """pytorch-fid's net from 2019-02-16 to 2019-05-27: inputs in -1 .. 1.

    Raises UserError where its weight file is missing or another one.
    """
    return _load("inception_torchvision", PLAIN, weights_root, device)


@FEATURES.register_module(name="inception_torchvision_renormalised")
def inception_torchvision_renormalised(weights_root: Path | None, device: torch.device | str) -> TorchvisionInception:
    """pytorch-fid's net until 2019-02-16: 0 .. 1 taken for an ImageNet-normalised input and renormalised.

    Raises UserError where its weight file is missing or another one.
    """
    return _load("inception_torchvision_renormalised", RENORMALISED, weights_root, device)
