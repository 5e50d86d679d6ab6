"""Each point of a norm's contract is broken by a norm made to break it, and kept by every norm that ships."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.norm_check.contract import POINTS, check_contract
from harness.norm_check.contract_running import RUNNING
from harness.norm_check.layers import open_norm
from harness.norm_check.points import Point
from harness.registry import NORMS, names

SPEC = LabelSpec(classes=4)
CPU = torch.device("cpu")
NOISE = torch.Generator().manual_seed(0)


class Good(nn.Module):
    """A batch norm with a scale and a shift by class, which keeps the contract."""

    def __init__(self, channels: int, labels: LabelSpec) -> None:
        super().__init__()
        self.base = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(labels.classes, channels))
        self.shift = nn.Parameter(torch.zeros(labels.classes, channels))

    def forward(self, x: Tensor, labels: LabelMap) -> Any:
        classes = labels.resized(x.shape[2], x.shape[3]).indices
        scale, shift = (F.embedding(classes, t).permute(0, 3, 1, 2) for t in (self.scale, self.shift))
        return (self.normalised(x) * scale + shift).to(x.dtype)

    def normalised(self, x: Tensor) -> Tensor:
        return self.base(x)


class Smaller(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        return super().forward(x, labels)[..., 1:]


class Double(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        return super().forward(x, labels).double()


class Listed(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Any:
        return [super().forward(x, labels)]


class Unused(Good):
    def __init__(self, channels: int, labels: LabelSpec) -> None:
        super().__init__(channels, labels)
        self.unused = nn.Parameter(torch.ones(channels))


class Cut(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        return super().forward(x.detach(), labels)


class Many(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        if len(x) == 1:
            raise ValueError("one image is too few")
        return super().forward(x, labels)


class Even(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        if x.shape[2] % 2:
            raise ValueError("odd height")
        return super().forward(x, labels)


class Counting(Good):
    def __init__(self, channels: int, labels: LabelSpec) -> None:
        super().__init__(channels, labels)
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        self.get_buffer("seen")[1] += 1
        return super().forward(x, labels)


class Decaying(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.scale.mul_(0.99)
        return super().forward(x, labels)


class Noisy(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        noise = torch.randn((), generator=NOISE)
        return super().forward(x, labels) + (0.01 * noise.to(x) if x.device == CPU else 0)


class OfBatch(Good):
    def normalised(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, training=True)


class Eraser(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        labels.resized(x.shape[2], x.shape[3]).one_hot()[:, 0].zero_()
        return super().forward(x, labels)


class Hoarder(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        self.kept = labels.resized(x.shape[2], x.shape[3]).one_hot()
        return super().forward(x, labels)


class Bare(Good):
    def normalised(self, x: Tensor) -> Tensor:
        return (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True)


class Forgetful(Good):
    def __init__(self, channels: int, labels: LabelSpec) -> None:
        super().__init__(channels, labels)
        self.factor = float(torch.rand(()))

    def normalised(self, x: Tensor) -> Tensor:
        return self.base(x) * self.factor


class Looking(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        return super().forward(x, labels) * (0.0 if bool((x.detach() > 1e30).any()) else 1.0)


class Wide(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        out = super().forward(x, labels)
        return out.float() if out.dtype == torch.bfloat16 else out


class Coarse(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        out = super().forward(x, labels)
        return out + 0.5 if out.dtype == torch.bfloat16 else out


class Elsewhere(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        out = super().forward(x, labels)
        return torch.zeros(out.shape) if x.device.type == "meta" else out


class Two(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        return super().forward(x, labels) + (1.0 if torch.compiler.is_compiling() else 0.0)


class Leaving(Good):
    def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
        raise SystemExit(0)


class Unbuilt(Good):
    def __init__(self, channels: int, labels: LabelSpec) -> None:
        raise SystemExit(0)


def checked(monkeypatch: pytest.MonkeyPatch, norm: type[nn.Module], compiler: str | None = None) -> dict[str, Point]:
    monkeypatch.setitem(NORMS.module_dict, "under_test", norm)
    return {point.name: point for point in check_contract({"name": "under_test"}, SPEC, CPU, compiler=compiler)}


def failed(points: dict[str, Point]) -> set[str]:
    return {name for name, point in points.items() if point.outcome == "failed"}


@pytest.mark.parametrize("name", names(NORMS))
@pytest.mark.parametrize("spec", [SPEC, LabelSpec(3, edges=True)])
def test_every_norm_that_ships_keeps_the_contract(name: str, spec: LabelSpec) -> None:
    points = check_contract(open_norm(name), spec, CPU, seed=3, compiler=None)
    assert [p for p in points if p.outcome == "failed"] == []
    skipped = {p.name for p in points if p.outcome == "skipped"}
    assert skipped == {"compile"} | (set() if torch.cuda.is_available() else {"cuda"})


@pytest.mark.parametrize(
    ("norm", "broken"),
    [
        (Good, set()),
        (Unused, {"gradient"}),
        (Cut, {"gradient"}),
        (Many, {"batch of 1", "alone"}),
        (Even, {"size"}),
        (Counting, {"eval"}),
        (Decaying, {"train"}),
        (Noisy, {"same", "alone", "state dict"}),
        (OfBatch, {"alone"}),
        (Eraser, {"input"}),
        (Hoarder, {"labels"}),
        (Bare, {"finite"}),
        (Forgetful, {"state dict"}),
        (Looking, {"meta"}),
        (Elsewhere, {"meta"}),
        (Wide, {"bf16"}),
        (Coarse, {"bf16"}),
        (Double, {"dtype", "bf16"}),
    ],
)
def test_a_norm_made_to_break_a_point_breaks_that_point(
    monkeypatch: pytest.MonkeyPatch, norm: type[nn.Module], broken: set[str]
) -> None:
    assert failed(checked(monkeypatch, norm)) == broken


@pytest.mark.parametrize("norm", [Smaller, Listed])
def test_an_output_that_is_not_like_x_breaks_the_first_point(
    monkeypatch: pytest.MonkeyPatch, norm: type[nn.Module]
) -> None:
    points = checked(monkeypatch, norm)
    assert points["shape"].outcome == "failed"
    assert ("is a list" if norm is Listed else "shape (2, 32, 12, 19), not (2, 32, 12, 20)") in points["shape"].said


def test_compiled_to_something_else_a_norm_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed(checked(monkeypatch, Two, compiler="aot_eager")) == {"compile"}


def test_what_broke_a_point_is_shown_with_its_first_bad_value(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = checked(monkeypatch, Counting)["eval"].tensor
    assert counting is not None
    assert (counting.name, counting.shape, counting.dtype, counting.first_bad) == ("seen", (3,), "float32", (1,))
    assert (counting.found, counting.wanted) == ("2", "1")
    bare = checked(monkeypatch, Bare)["finite"].tensor
    assert bare is not None
    assert (bare.found, bare.first_bad, bare.low) == ("nan", (0, 0, 0, 0), None)
    unused = checked(monkeypatch, Unused)["gradient"]
    assert unused.said == "unused gets no gradient"


def test_what_a_layer_raises_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(monkeypatch, Even)["size"].said == "ValueError: odd height"


@pytest.mark.parametrize("norm", [Leaving, Unbuilt])
def test_a_layer_that_ends_the_process_breaks_every_point(
    monkeypatch: pytest.MonkeyPatch, norm: type[nn.Module]
) -> None:
    points = [p for p in checked(monkeypatch, norm).values() if p.outcome != "skipped"]
    assert {(p.outcome, p.said) for p in points} == {("failed", "SystemExit: 0")}


def test_points_have_names_of_their_own() -> None:
    every = [name for name, _, _ in (*POINTS, *RUNNING)]
    assert len(every) == len(set(every))
