"""The networks of SIMS: published parameter counts, sizes, and what they are fed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from baselines.norms.build import NormValue
from baselines.sims.generator import SIMSGenerator
from baselines.sims.nets import OrderingNet, SynthesisNet, TransformNet
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec

NORM = {"name": "layer", "affine": True, "eps": 1e-12}


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def zeros(spec: LabelSpec, size: tuple[int, int], count: int) -> LabelMap:
    indices = torch.zeros(count, *size, dtype=torch.int64)
    return LabelMap(indices, spec, torch.zeros(count, *size, dtype=torch.bool) if spec.edges else None)


def test_parameter_counts_are_the_published_ones() -> None:
    spec = LabelSpec(20)
    with torch.device("meta"):
        net = SIMSGenerator(spec, (256, 512))
    assert parameters(net.transform) == 14_734_086  # 14.73M
    assert parameters(net.ordering) == 15_266_452  # 15.27M
    assert parameters(net.synthesis) == 55_671_319  # 55.67M
    assert [name for name in net.state_dict() if "num_batches" in name or "running" in name] == []


@pytest.mark.parametrize(
    ("size", "levels"),
    [((64, 64), 5), ((192, 256), 7), ((256, 512), 7), ((100, 36), 4), ((128, 128), 6), ((512, 512), 8)],
)
def test_the_synthesis_net_has_as_many_levels_as_the_size_asks_for(size: tuple[int, int], levels: int) -> None:
    assert len(SynthesisNet(LabelSpec(3), size, 1, NORM).decoder) == levels


@pytest.mark.parametrize("size", [(64, 64), (192, 256), (50, 39)])
@pytest.mark.parametrize("edges", [False, True])
def test_outputs_have_the_size_of_the_input(size: tuple[int, int], edges: bool) -> None:
    spec = LabelSpec(3, edges)
    labels = zeros(spec, size, 2)
    with torch.no_grad():
        rgb, logits = SynthesisNet(spec, size, 1, NORM)(torch.randn(2, spec.channels + 4, *size), labels)
        affine = TransformNet(spec, 1, NORM)(torch.randn(2, 7, *size), labels)
        front = OrderingNet(spec, 1, NORM)(torch.randn(2, 6, *size), labels)
    assert (rgb.shape, logits.shape) == ((2, 3, *size), (2, 3, *size))
    assert (affine.shape, front.shape) == ((2, 2, 3), (2, 3))


def test_the_transform_net_starts_within_a_pixel_of_the_identity() -> None:
    spec = LabelSpec(20)
    net = TransformNet(spec, 16, NORM)
    net.initialise(torch.Generator().manual_seed(0))
    assert torch.equal(net.head.bias, torch.tensor([1.0, 0, 0, 0, 1, 0]))
    affine = net(torch.randn(2, 24, 64, 64), zeros(spec, (64, 64), 2))
    assert float((affine.detach() - torch.eye(2, 3)).abs().max()) < 1 / 64
    affine.sum().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in net.parameters() if p.grad is not None and p.dim() > 1)


@pytest.mark.parametrize("norm", ["none", "instance", {"name": "spade", "hidden": 4, "base": "batch"}])
def test_other_norms_can_take_the_place_of_layer_norm(norm: NormValue) -> None:
    spec, size = LabelSpec(3), (64, 64)
    net = SIMSGenerator(spec, size, ngf=1, norm=norm)
    assert net.cost_forward(zeros(spec, size, 2)).shape == (2, 3, *size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (16, 64)}, "64x16.*32 or more"),
        ({"candidates": 0}, "candidates and shown must be 1 or more"),
        ({"shown": 0}, "candidates and shown must be 1 or more"),
        ({"min_share": 1.5}, "min_share must be from 0"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        SIMSGenerator(LabelSpec(3), **{"size": (64, 64), "ngf": 1, **options})
    assert "\n" not in str(caught.value)
