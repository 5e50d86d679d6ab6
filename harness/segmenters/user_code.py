"""A user's own callable as a segmenter: a function, a module or a class out of a file or an installed package.

The user names the code, so it is run. What it answers is checked, since a wrong shape or a float taken for
a class would only show as a bad score.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import UserError, did_you_mean
from harness.user_code import run_file, told
from harness.weights import short_digest


class UserSegmenter:
    """A user's callable that meets the contract of harness.segmenters.base; its answers are checked."""

    def __init__(
        self, fn: Callable[[Tensor], Any], name: str, weights: str, classes: int, device: torch.device | str
    ) -> None:
        self.name, self.weights, self.classes = name, weights, classes
        self._fn, self.device = fn, device

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 predictions at the same size.

        Raises UserError where the callable answers with anything but indices (N, H, W) or logits (N, K, H, W).
        """
        found = self._fn(images.to(self.device))
        if not isinstance(found, Tensor):
            raise UserError(f"it answers with a {type(found).__name__}, not a tensor", where=self.name)
        n, _, h, w = images.shape
        if found.dim() == 4 and found.is_floating_point() and found.shape[1] >= self.classes:
            found = found.argmax(dim=1)
        if tuple(found.shape) != (n, h, w) or found.is_floating_point() or found.is_complex():
            raise UserError(
                f"it answers with {tuple(found.shape)} of {found.dtype}",
                where=self.name,
                mend=f"answer with indices {(n, h, w)}, or logits {(n, self.classes, h, w)}",
            )
        return found.long()


def user_segmenter(
    source: str, name: str, weights_root: Path | None, device: torch.device | str = "cpu"
) -> UserSegmenter:
    """The object `name` of a .py file or an importable module, as a segmenter.

    It is a callable fn(images (N, 3, H, W) float32 in 0 .. 255, RGB) -> indices (N, H, W) or logits
    (N, K, H, W), with an attribute `classes`; an object with `predict` and `classes`; or a class or function
    without `classes` that makes one of these from (weights_root, device). A torch module is put in eval mode and
    on the device. `weights`, text of the user's choice, says in a protocol's signature what the predictions
    depend on; without it, it is the digest of the source file. `name` may say another name. Raises UserError.
    """
    module, path = _load(source)
    where = f"py:{source}:{name}"
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            known = [key for key in vars(module) if not key.startswith("_")]
            raise UserError(f"there is no '{name}' in it", where=source, mend=did_you_mean(name, known))
        target = getattr(target, part)
    if inspect.isclass(target) or not hasattr(target, "classes"):
        target = _made(target, where, weights_root, device)
    if isinstance(target, nn.Module):
        target = target.eval().to(device)
    fn = getattr(target, "predict", target)
    if not callable(fn):
        raise UserError(f"it is a {type(target).__name__}, which cannot be called", where=where)
    classes = getattr(target, "classes", None)
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise UserError(
            f"its `classes` is {classes!r}, not a number of classes" if classes is not None else "it has no `classes`",
            where=where,
            mend=f"set {name}.classes to the number of classes that it tells apart",
        )
    given, weights = getattr(target, "name", None), getattr(target, "weights", None)
    return UserSegmenter(
        fn,
        _word(given) if isinstance(given, str) and given else f"py:{name}",
        _word(weights) if isinstance(weights, str) and weights else short_digest(path),
        classes,
        device,
    )


def _made(factory: Any, where: str, weights_root: Path | None, device: torch.device | str) -> Any:
    """What a factory makes of (weights_root, device)."""
    mend = "give it an attribute `classes`, or the parameters (weights_root, device) to make a segmenter from"
    if not callable(factory):
        raise UserError(f"it is a {type(factory).__name__}, no segmenter", where=where, mend=mend)
    try:
        inspect.signature(factory).bind(weights_root, device)
    except (TypeError, ValueError) as error:  # takes other parameters; does not say which it takes
        raise UserError(
            "it has no `classes` and does not take (weights_root, device)", where=where, mend=mend
        ) from error
    return factory(weights_root, device)


def _load(source: str) -> tuple[ModuleType, Path]:
    """The module of a .py file or a dotted name, and its source file."""
    path = Path(source)
    with told(f"py:{source}", path):
        module = _of_file(path) if source.endswith(".py") else importlib.import_module(source)
    if source.endswith(".py"):
        return module, path
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        raise UserError("this module has no source file, which is its identity", where=f"py:{source}")
    return module, Path(file)


def _of_file(path: Path) -> ModuleType:
    """The module of a file, loaded anew when its content has changed since."""
    if not path.is_file():
        raise UserError("no such file", where=str(path), mend="give py:FILE.py:NAME or py:MODULE:NAME")
    digest = hashlib.sha256(path.read_bytes() + str(path.resolve()).encode()).hexdigest()[:16]
    name = f"spadebench_user_{path.stem}_{digest}"
    return sys.modules.get(name) or run_file(path, name)


def _word(text: str) -> str:
    """Without spaces, which separate the parts of a signature."""
    return "_".join(text.split())
