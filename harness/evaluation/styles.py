"""A style: the z that a checkpoint's encoder gives a photo, to generate from in place of noise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.data.encode import resized_photo
from harness.errors import UserError
from harness.registry import ENCODERS
from harness.training.checkpoints import Checkpoint, load_into
from harness.training.networks import build_part


def load_encoder(checkpoint: Checkpoint, device: torch.device) -> nn.Module:
    """The encoder of a checkpoint, on a device, in eval mode. Raises UserError for one without."""
    part = checkpoint.config["method"].get("encoder")
    if part is None or "encoder" not in checkpoint.networks:
        raise UserError(
            f"this checkpoint of method '{checkpoint.config['method']['name']}' has no encoder",
            where="checkpoint",
            mend="a style needs a method with an image encoder, such as spade_vae",
        )
    encoder = build_part(ENCODERS, part)
    load_into(encoder, checkpoint.networks["encoder"], where="checkpoint (encoder)")
    return encoder.to(device).eval()


@torch.inference_mode()
def style_code(encoder: nn.Module, photo: NDArray[np.uint8], size: tuple[int, int], device: torch.device) -> Tensor:
    """(z_dim,): the mean of the encoder's posterior for a photo (H, W, 3) uint8 RGB, seen at `size` (h, w).

    The photo is resized and scaled as in training (paper.md, "Input encoding").
    """
    pixels = np.ascontiguousarray(resized_photo(photo, size).transpose(2, 0, 1))
    mu: Tensor = encoder(torch.from_numpy(pixels).to(device).float().div_(127.5).sub_(1.0)[None])[0]
    return mu[0]


def check_takes_z(z_dim: int, method: str) -> None:
    """Raise UserError for a generator without z."""
    if not z_dim:
        raise UserError(
            f"the generator of '{method}' takes no z: it makes one image of a label map",
            where="checkpoint",
            mend="use a method whose generator takes z, such as spade_vae",
        )
