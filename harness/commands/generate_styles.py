"""`generate --samples` and `--style`: several images of one label map, told apart by the ends of their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.evaluation.sources import GeneratorSource

# What is made of each label map, by the end of the file name: the number of a sample, or a style photo.
Variants = Mapping[str, int | Path]


def variants(samples: int | None, style: Path | None) -> Variants:
    """What --samples and --style ask for; without them one image with the label map's own name.

    Raises UserError where both are given, and for a folder without photos.
    """
    if samples is not None and style is not None:
        raise UserError("give --samples or --style, one of them", where="generate")
    if samples is not None:
        digits = max(2, len(str(samples - 1)))
        return {f"_{i:0{digits}}": i for i in range(samples)}
    if style is None:
        return {"": 0}
    if not style.is_dir():
        return {"": style}
    from harness.data.pairs import PHOTO_SUFFIXES, list_files

    photos = list_files(style, PHOTO_SUFFIXES, "style photo")
    if not photos:
        raise UserError(
            "no photo in this folder", where=str(style), mend=f"it must hold {', '.join(sorted(PHOTO_SUFFIXES))} files"
        )
    return {f"__{name}": photo for name, photo in photos.items()}


def planned(names: list[str], asked: Variants, to: Path) -> list[str]:
    """The files that will be written, label map by label map. Raises UserError where two would be one."""
    files = [str(to / f"{name}{end}.png") for name in names for end in asked]
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise UserError("two images would be written to this file", where=twice, mend="rename the style photos")
    return files


def sources(source: GeneratorSource, asked: Variants, checkpoint: Any) -> dict[str, GeneratorSource]:
    """An image source for each variant. All style photos are read before the first image is made.

    Raises UserError for a generator without z, a checkpoint without encoder and an unreadable photo.
    """
    if list(asked.items()) == [("", 0)]:
        return {"": source}
    from harness.data.base import read_image
    from harness.evaluation.styles import check_takes_z, load_encoder, style_code

    config = checkpoint.config
    check_takes_z(source.z_dim, config["method"]["name"])
    height, width = config["suite"]["size"]
    encoder = load_encoder(checkpoint, source.device) if any(isinstance(v, Path) for v in asked.values()) else None
    made = {}
    for end, variant in asked.items():
        if isinstance(variant, int):
            made[end] = replace(source, sample=variant)
        else:
            assert encoder is not None
            photo = read_image(variant, "style photo")
            made[end] = replace(source, style=style_code(encoder, photo, (height, width), source.device))
    return made
