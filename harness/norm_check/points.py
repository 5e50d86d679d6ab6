"""How a point of the contract comes out: kept, broken with the tensor that broke it, or not tried, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from harness.errors import error_line

Outcome = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class TensorFacts:
    """A tensor in a few words.

    low, high: of its finite values; None where it has none, or no values at all (the meta device).
    first_bad: index of the first value that is wrong; found, wanted: what stands there and should.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    low: float | None = None
    high: float | None = None
    first_bad: tuple[int, ...] | None = None
    found: str | None = None
    wanted: str | None = None

    def line(self) -> str:
        """For people."""
        words = f"{self.name} {self.shape} {self.dtype} on {self.device}"
        if self.low is not None:
            words += f", {self.low:.4g} to {self.high:.4g}"
        if self.first_bad is not None:
            wanted = "" if self.wanted is None else f", not {self.wanted}"
            words += f", at {self.first_bad} {self.found}{wanted}"
        return words


@dataclass(frozen=True)
class Point:
    """A point of the contract. asks: what it asks; said: why it failed or was skipped."""

    name: str
    asks: str
    outcome: Outcome
    said: str = ""
    tensor: TensorFacts | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values."""
        return asdict(self)


class BrokenPointError(Exception):
    """A point is broken, by the tensor given."""

    def __init__(self, what: str, tensor: TensorFacts | None = None) -> None:
        self.what, self.tensor = what, tensor
        super().__init__(what)


class SkippedPointError(Exception):
    """A point cannot be tried here."""


def tried(name: str, asks: str, check: Callable[[], None]) -> Point:
    """Try one point; whatever the layer raises breaks it."""
    try:
        check()
    except SkippedPointError as skipped:
        return Point(name, asks, "skipped", str(skipped))
    except BrokenPointError as broken:
        return Point(name, asks, "failed", broken.what, broken.tensor)
    except (Exception, SystemExit) as error:  # the layer is a user's code, and may even call sys.exit
        return Point(name, asks, "failed", error_line(error))
    return Point(name, asks, "ok")


def facts(name: str, tensor: Tensor, bad: Tensor | None = None, wanted: Tensor | None = None) -> TensorFacts:
    """The facts of a tensor. bad: where it is wrong, bool of its shape. wanted: the right values, of its shape."""
    tensor = tensor.detach()
    about = (name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), str(tensor.device))
    if tensor.device.type == "meta":
        return TensorFacts(*about)
    finite = tensor[tensor.isfinite()].double()
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (None, None)
    if bad is None or not bool(bad.any()):
        return TensorFacts(*about, low, high)
    at = tuple(int(i) for i in bad.nonzero()[0])
    right = None if wanted is None else f"{float(wanted.detach()[at]):.6g}"
    return TensorFacts(*about, low, high, at, f"{float(tensor[at]):.6g}", right)


def must_be_tensor(name: str, found: Any) -> Tensor:
    if not isinstance(found, Tensor):
        raise BrokenPointError(f"{name} is a {type(found).__name__}, not a tensor")
    return found


def must_have_shape(name: str, found: Tensor, shape: torch.Size) -> None:
    if found.shape != shape:
        raise BrokenPointError(f"{name} has the shape {tuple(found.shape)}, not {tuple(shape)}", facts(name, found))


def must_have_dtype(name: str, found: Tensor, dtype: torch.dtype) -> None:
    if found.dtype != dtype:
        raise BrokenPointError(f"{name} is {_short(found.dtype)}, not {_short(dtype)}", facts(name, found))


def must_be_finite(name: str, found: Tensor) -> None:
    if not bool(found.isfinite().all()):
        raise BrokenPointError(f"{name} is not finite", facts(name, found, ~found.isfinite()))


def must_equal(name: str, found: Tensor, wanted: Tensor, what: str, tolerance: float = 0.0) -> None:
    """tolerance: absolute, and relative for wanted values over 1. what: said where they differ."""
    must_have_shape(name, found, wanted.shape)
    away = (found.detach().double() - wanted.detach().double()).abs()
    bad = ~(away <= tolerance * wanted.detach().double().abs().clamp(min=1.0))
    if bool(bad.any()):
        raise BrokenPointError(f"{what} (by up to {float(away.max()):.3g})", facts(name, found, bad, wanted))


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
