"""From what a user writes after --segmenter to the net that scores.

A name of the registry, an mmsegmentation config with its checkpoint, an ONNX file, or a user's own code:
whichever it is, what comes back meets one contract, and its identity covers all that decides a prediction.
"""

from __future__ import annotations

from pathlib import Path

import torch

from harness.errors import UserError
from harness.registry import SEGMENTERS, UNTRAINED, lookup, names
from harness.segmenters.base import Segmenter
from harness.segmenters.untrained import RANDOM

FORMS = "a name, mmseg:CONFIG:CHECKPOINT, onnx:FILE, py:FILE.py:NAME or py:MODULE:NAME"


def open_segmenter(
    spec: str, weights_root: Path | None, device: torch.device | str, random_weights: bool = False
) -> Segmenter:
    """The segmenter that `spec` names.

    spec: a registry name; `mmseg:CONFIG:CHECKPOINT`, where CONFIG is a file or the name of a config that came
    with mmsegmentation; `onnx:FILE` (harness.segmenters.onnx_file); `py:FILE.py:NAME` or `py:MODULE:NAME`
    (harness.segmenters.user_code). random_weights: the net of the real size without its weight file, for a
    registry name that has one and for `mmseg:CONFIG`. Raises UserError.

    A config of mmsegmentation and what follows `py:` are code, which is run.
    """
    kind, colon, rest = spec.partition(":")
    if not colon:
        return _registered(spec, weights_root, device, random_weights)
    if kind == "mmseg":
        return _mmseg(spec, rest, device, random_weights)
    if kind not in ("onnx", "py"):
        raise UserError(f"there is no kind '{kind}:' of segmenters", where=spec, mend=f"give {FORMS}")
    if random_weights:
        raise UserError("this segmenter has no form with random weights", where=spec, mend=_with_random_weights())
    if kind == "onnx":
        from harness.segmenters.onnx_file import onnx_segmenter

        if not rest:
            raise UserError("no file is named", where=spec, mend="give onnx:FILE")
        return onnx_segmenter(Path(rest), device)
    from harness.segmenters.user_code import user_segmenter

    source, colon, name = rest.rpartition(":")
    if not (source and name):
        raise UserError("the name in the file is missing", where=spec, mend="give py:FILE.py:NAME or py:MODULE:NAME")
    return user_segmenter(source, name, weights_root, device)


def _registered(name: str, weights_root: Path | None, device: torch.device | str, random_weights: bool) -> Segmenter:
    entry = lookup(SEGMENTERS, name)
    if not random_weights:
        return entry(weights_root, device)
    if name not in names(UNTRAINED):
        raise UserError(f"segmenter '{name}' has no form with random weights", mend=_with_random_weights())
    return lookup(UNTRAINED, name)(device)


def _mmseg(spec: str, rest: str, device: torch.device | str, random_weights: bool) -> Segmenter:
    from harness.segmenters.mmseg import config_file, mmseg_segmenter

    parts = rest.split(":")
    form = "mmseg:CONFIG" if random_weights else "mmseg:CONFIG:CHECKPOINT"
    if len(parts) != form.count(":") or not all(parts):
        also = "; a path with ':' in it has to be renamed" if len(parts) > 2 else ""
        what = f"expected {form}" + (" with random weights" if random_weights else "")
        raise UserError(
            what, where=spec, mend=f"give the config{'' if random_weights else ' and its checkpoint'}{also}"
        )
    found = mmseg_segmenter(config_file(parts[0]), None if random_weights else Path(parts[1]), device)
    # The config holds mean, std and the way of inference, so it is half of the identity.
    found.weights = RANDOM if random_weights else f"{found.weights}+cfg{found.config}"
    return found


def _with_random_weights() -> str:
    known = ", ".join(sorted(set(names(SEGMENTERS)) & set(names(UNTRAINED))))
    return f"these have one: {known}, mmseg:CONFIG"
