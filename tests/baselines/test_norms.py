"""The norms, what holds for each of them, and what the paper says of SPADE against plain ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from baselines.norms.build import build_norm
from baselines.norms.spade import SPADE
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS, names

LABELS = LabelSpec(classes=3)


def random_labels(count: int, height: int, width: int) -> LabelMap:
    rng = torch.Generator().manual_seed(0)
    return LabelMap(torch.randint(0, LABELS.classes, (count, height, width), generator=rng), LABELS)


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3 + 1


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", names(NORMS))
def test_a_norm_keeps_the_shape_and_lets_gradients_through(name: str, training: bool) -> None:
    norm = build_norm(name, 5, LABELS).train(training)
    x = features(2, 5, 8, 12).requires_grad_()
    out = norm(x, random_labels(2, 16, 24))
    assert out.shape == x.shape
    out.square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("name", ["batch", "sync_batch", "instance", "none"])
def test_plain_norms_are_free_of_parameters_and_need_no_label_map(name: str) -> None:
    norm = build_norm(name, 5, LABELS)
    assert not list(norm.parameters())
    assert norm(features(2, 5, 4, 4), None).shape == (2, 5, 4, 4)


@pytest.mark.parametrize("name", ["batch", "sync_batch", "instance"])
def test_affine_norms_scale_and_shift_each_channel(name: str) -> None:
    norm = build_norm({"name": name, "affine": True}, 5, LABELS)
    assert isinstance(norm.weight, nn.Parameter)
    assert isinstance(norm.bias, nn.Parameter)
    x = features(2, 5, 4, 4)
    plain = build_norm(name, 5, LABELS)(x)
    with torch.no_grad():
        norm.weight.fill_(2.0)
        norm.bias.fill_(3.0)
    torch.testing.assert_close(norm(x), plain * 2 + 3)


@pytest.mark.parametrize(("name", "over"), [("batch", (0, 2, 3)), ("sync_batch", (0, 2, 3)), ("instance", (2, 3))])
def test_statistics_are_taken_over_the_right_axes(name: str, over: tuple[int, ...]) -> None:
    out = build_norm(name, 5, LABELS)(features(3, 5, 8, 8))
    torch.testing.assert_close(out.mean(over), torch.zeros_like(out.mean(over)), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(over, correction=0), torch.ones_like(out.mean(over)), rtol=0, atol=1e-4)


@pytest.fixture
def one_process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process_group")
def test_sync_batch_falls_back_to_the_own_batch_on_the_cpu() -> None:
    sync, plain = (build_norm({"name": n, "affine": True}, 5, LABELS) for n in ("sync_batch", "batch"))
    with pytest.raises(ValueError, match="GPU"):  # what torch itself does there
        nn.SyncBatchNorm(5)(features(2, 5, 4, 4))
    for _ in range(2):
        assert torch.equal(sync(features(2, 5, 4, 4)), plain(features(2, 5, 4, 4)))
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in sync.state_dict().items())


def test_a_uniform_label_map_washes_away_behind_instance_norm_but_not_behind_spade() -> None:
    # One image of class 0, one of class 1. A 1x1 conv has no zero padding that could give the border away.
    uniform = LabelMap(torch.tensor([0, 1]).view(2, 1, 1).expand(2, 8, 8).contiguous(), LABELS)
    torch.manual_seed(0)
    x = nn.Conv2d(LABELS.channels, 6, 1)(uniform.one_hot())
    assert not torch.allclose(x[0], x[1])
    plain = build_norm("instance", 6, LABELS)(x, uniform)
    torch.testing.assert_close(plain[0], plain[1], rtol=0, atol=1e-3)
    spade = build_norm({"name": "spade", "kernel": 1, "base": "instance"}, 6, LABELS)(x, uniform)
    assert float((spade[0] - spade[1]).abs().max().detach()) > 0.05


def test_spade_is_the_base_times_one_plus_gamma_plus_beta() -> None:
    norm = SPADE(4, LABELS, hidden=6, base="instance")
    labels, x = random_labels(2, 16, 16), features(2, 4, 8, 8)
    with torch.no_grad():
        for conv in (norm.mlp_gamma, norm.mlp_beta):
            conv.weight.zero_()
        norm.mlp_gamma.bias.fill_(0.5)
        norm.mlp_beta.bias.fill_(-2.0)
        torch.testing.assert_close(norm(x, labels), build_norm("instance", 4, LABELS)(x) * 1.5 - 2.0)


def test_spade_sees_the_label_map_at_its_own_resolution() -> None:
    norm = SPADE(4, LABELS, hidden=6, base="instance")
    labels, x = random_labels(2, 16, 16), features(2, 4, 8, 8)
    torch.testing.assert_close(norm(x, labels), norm(x, labels.resized(8, 8)), rtol=0, atol=0)
    changed = labels.indices.clone()
    changed[:, 0, 0] = (changed[:, 0, 0] + 1) % LABELS.classes
    moved = (norm(x, LabelMap(changed, LABELS)) - norm(x, labels)).detach().abs().amax((0, 1)) > 0
    # Two 3x3 convs reach two pixels.
    assert bool(moved[:3, :3].any())
    assert not bool(moved[3:].any())
    assert not bool(moved[:, 3:].any())


def test_spade_without_a_label_map_is_refused() -> None:
    with pytest.raises(ValueError, match="label maps"):
        SPADE(4, LABELS)(features(1, 4, 4, 4), None)


@pytest.mark.parametrize(
    ("norm", "message"),
    [
        ("spadee", "did you mean spade"),
        ({"name": "spade", "kernal": 3}, "did you mean kernel"),
        ({"name": "spade", "kernel": 2}, "must be odd"),
        ({"name": "spade", "base": {"name": "batch", "affine": True}}, "has parameters"),
        ({"name": "spade", "base": "nothing_like_it"}, "unknown norm"),
        ({"kernel": 3}, "names no norm"),
    ],
)
def test_a_wrong_norm_is_one_clear_line(norm: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build_norm(norm, 4, LABELS)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
