"""The net behind FID: pytorch-fid's InceptionV3, with its own verified weights and no others.

`fid` is a name for one net with one set of weights. Without them there is no FID, only the distances
of other nets under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import FEATURES
from harness.weights import WeightFile, declare, find_weights, load_state

FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"
SHA256_PREFIX = "6726825d"
RELEASE = declare(
    WeightFile(
        name="inception",
        file=FILE_NAME,
        page="https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights",
        address=f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE_NAME}",
        gives="FID",
        users=("inception", "inception_clean"),
        sha256=SHA256_PREFIX,
        licence="not stated; the code's is Apache-2.0",
        keys="pytorch-fid's InceptionV3",
    )
)
GET = RELEASE.get


def build(state: Mapping[str, Tensor]) -> nn.Module:
    """pytorch-fid's InceptionV3 with the output of its last pooling, frozen and in eval mode.

    state: the state dict of the whole net, as in pytorch-fid's weight file. Takes (N, 3, H, W) in
    0 .. 1 and returns a list of one (N, 2048, 1, 1). Raises RuntimeError where the state does not fit.
    """
    from pytorch_fid import inception

    # Its constructor downloads a state dict; for the time of construction it gets ours instead.
    download = inception.load_state_dict_from_url
    inception.load_state_dict_from_url = lambda url, progress=True: state
    try:
        # The random weights that are made first, and replaced, must not move anybody's random state.
        with torch.random.fork_rng(devices=[]):
            net: nn.Module = inception.InceptionV3([inception.InceptionV3.DEFAULT_BLOCK_INDEX])
    finally:
        inception.load_state_dict_from_url = download
    return net.eval().requires_grad_(False)


class Inception:
    """pool3 features, 2048 wide.

    As pytorch-fid: 0 .. 255 is scaled to 0 .. 1, resized to 299 x 299 (bilinear, align_corners=False,
    no antialiasing), then to -1 .. 1, all in float32.
    """

    name = "inception"
    key = "fid"
    dim = 2048
    weights = SHA256_PREFIX

    def __init__(self, net: nn.Module, device: torch.device | str) -> None:
        self.net = net.to(device)

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, 2048) float32."""
        pooled: Tensor = self.net(images.float() / 255)[0]
        return pooled.flatten(1)


def load(weights_root: Path | None) -> nn.Module:
    """`build` of the weight file. Raises UserError where it is missing or another one."""
    path = find_weights(FILE_NAME, weights_root, SHA256_PREFIX, GET)
    try:
        return build(load_state(path))
    except RuntimeError as error:
        raise UserError("these weights do not fit pytorch-fid's net", where=str(path), mend=GET) from error


@FEATURES.register_module(name="inception")
def inception(weights_root: Path | None, device: torch.device | str) -> Inception:
    """FID's feature net. Raises UserError where its weight file is missing or another one."""
    return Inception(load(weights_root), device)
