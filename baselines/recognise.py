"""What the names and shapes of a state dict tell of the options that its generator was built with.

Official checkpoints are bare state dicts. A layout is registered under its generator's name, apart from
the generator, whose code decides weights and so the ids of cells. Whether every name and shape fits is
checked afterwards, against the network built so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from baselines.decoder import DOUBLINGS
from harness.errors import UserError
from harness.registry import LAYOUTS

Shapes = Mapping[str, tuple[int, ...]]
_OUTSIDE = re.compile(r"model\.(\d+)(\.0)?\.weight(_orig)?")
_INSIDE = re.compile(r"model\.(\d+)\.conv_block\.1(\.0)?\.weight(_orig)?")


def conv(shapes: Shapes, layer: str) -> tuple[int, ...] | None:
    """Shape of a 2d conv's weight, with or without spectral norm; None where there is none."""
    shape = shapes.get(f"{layer}.weight_orig", shapes.get(f"{layer}.weight"))
    return shape if shape is not None and len(shape) == 4 else None


def norm_of(shapes: Shapes, layer: str) -> dict[str, Any]:
    """A norm and its options. Batch norm looks like sync batch norm, and generates the same images: the latter."""
    shared = conv(shapes, f"{layer}.mlp_shared.0")
    if shared is not None:
        base = norm_of(shapes, f"{layer}.param_free_norm")["name"]
        return {"name": "spade", "kernel": shared[2], "hidden": shared[0], "base": base}
    name = "sync_batch" if f"{layer}.running_mean" in shapes else "instance"
    return {"name": name, "affine": f"{layer}.weight" in shapes}


def decoder_options(shapes: Shapes, size: tuple[int, int], concat: bool) -> dict[str, Any] | None:
    """Options of a generator on SPADE's decoder, or None.

    concat: whether its convs also read the label map. `normal` and `more` upsampling differ in no
    shape but that of the linear layer on z. Raises UserError where that is made for another size.
    """
    head, first = conv(shapes, "head_0.conv_0"), shapes.get("fc.weight", ())
    wide = 0 if head is None else head[0]
    if head is None or not wide or wide % 16 or "conv_img.weight" not in shapes:
        return None
    if len(first) not in (2, 4) or first[0] % wide:
        return None
    if (head[1] > wide) != concat:
        return None
    use_z = len(first) == 2
    found: dict[str, Any] = {
        "ngf": wide // 16,
        "use_z": use_z,
        "z_dim": first[1] if use_z else 256,  # without z it is of no account
        "norm": norm_of(shapes, "head_0.norm_0"),
        "spectral": "head_0.conv_0.weight_orig" in shapes,
    }
    shared = conv(shapes, "head_0.norm_0.mlp_shared.0")
    if concat:
        found["labels"] = head[1] - wide
    elif not use_z:
        found["labels"] = first[1]
    elif shared is not None:
        found["labels"] = shared[1]
    most = conv(shapes, "up_4.conv_0") is not None
    if most:
        found["upsampling"] = "most"
    if use_z:
        found["upsampling"] = _upsampling(first[0] // wide, size, ("most",) if most else ("normal", "more"))
    return found


def _upsampling(pixels: int, size: tuple[int, int], choices: tuple[str, ...]) -> str:
    """The way of upsampling with which a start of so many pixels becomes an image of `size`."""
    for choice in choices:
        scale = 2 ** DOUBLINGS[choice]
        if size[0] % scale == size[1] % scale == 0 and (size[0] // scale) * (size[1] // scale) == pixels:
            return choice
    raise UserError(
        f"this network starts from {pixels} pixels, which no upsampling makes {size[1]}x{size[0]}",
        mend="name the suite that it was trained for",
    )


def body_options(shapes: Shapes, nested: bool, concat: bool = False) -> dict[str, Any] | None:
    """Options of a generator with pix2pixHD's body, or None. nested, concat: as GlobalBody has them."""
    first = conv(shapes, "model.1.0" if nested else "model.1")
    inside = {match[1]: shape for key, shape in shapes.items() if (match := _INSIDE.fullmatch(key))}
    outside = {match[1] for key, shape in shapes.items() if (match := _OUTSIDE.fullmatch(key)) and len(shape) == 4}
    # Outside the blocks there is a conv at either end, and one for each halving and each doubling.
    downsamplings = len(outside) // 2 - 1
    if first is None or not inside or len(outside) % 2 or downsamplings < 0:
        return None
    if any(len(shape) != 4 or (shape[1] > shape[0]) != concat for shape in inside.values()):
        return None
    found = {
        "ngf": first[0],
        "labels": first[1],
        "downsamplings": downsamplings,
        "blocks": len(inside),
        "norm": norm_of(shapes, "model.1.1" if nested else "model.2"),
    }
    return {**found, "spectral": "model.1.0.weight_orig" in shapes} if nested else found


@LAYOUTS.register_module(name="spade")
def _spade(shapes: Shapes, size: tuple[int, int]) -> dict[str, Any] | None:
    return decoder_options(shapes, size, concat=False)


@LAYOUTS.register_module(name="spade_concat")
def _spade_concat(shapes: Shapes, size: tuple[int, int]) -> dict[str, Any] | None:
    return decoder_options(shapes, size, concat=True)


@LAYOUTS.register_module(name="pix2pixhd")
def _pix2pixhd(shapes: Shapes, size: tuple[int, int]) -> dict[str, Any] | None:
    return body_options(shapes, nested=False)


@LAYOUTS.register_module(name="pix2pixhdpp")
def _pix2pixhdpp(shapes: Shapes, size: tuple[int, int]) -> dict[str, Any] | None:
    return body_options(shapes, nested=True)


@LAYOUTS.register_module(name="pix2pixhdpp_concat")
def _pix2pixhdpp_concat(shapes: Shapes, size: tuple[int, int]) -> dict[str, Any] | None:
    return body_options(shapes, nested=True, concat=True)
