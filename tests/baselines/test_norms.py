"""What holds for every norm in the registry, and how a wrong one is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.init import initialise
from baselines.norms.build import build_norm
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.registry import NORMS, names

LABELS = LabelSpec(classes=3)
CHANNELS = 6
CONDITIONAL = ["spade", "clade", "conditional_batch", "adain"]
every_norm = pytest.mark.parametrize("name", names(NORMS))


def random_labels(count: int, height: int, width: int) -> LabelMap:
    rng = torch.Generator().manual_seed(0)
    return LabelMap(torch.randint(0, LABELS.classes, (count, height, width), generator=rng), LABELS)


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3 + 1


def started(name: str, seed: int = 0) -> nn.Module:
    """A norm set as a network sets it."""
    norm = build_norm(name, CHANNELS, LABELS)
    initialise(nn.Sequential(norm), torch.Generator().manual_seed(seed), "xavier")
    return norm


def trained(name: str, seed: int = 0) -> nn.Module:
    """A norm that has seen a training batch and whose parameters have moved; in eval mode."""
    norm = started(name, seed)
    norm(features(4, CHANNELS, 8, 12), random_labels(4, 16, 24))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return norm.eval()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("training", [True, False])
@every_norm
def test_a_norm_keeps_shape_and_type_and_gives_every_parameter_a_finite_gradient(
    name: str, training: bool, count: int
) -> None:
    norm = trained(name).train(training)
    x = features(count, CHANNELS, 8, 12).requires_grad_()
    out = norm(x, random_labels(count, 16, 24))
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    assert bool(out.isfinite().all())
    (out * features(CHANNELS, 8, 12)).sum().backward()
    for key, tensor in (("x", x), *norm.named_parameters()):
        assert tensor.grad is not None, key
        assert bool(tensor.grad.isfinite().all()), key
        assert bool(tensor.grad.any()), key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("training", [True, False])
@every_norm
def test_under_autocast_a_norm_returns_the_type_it_is_given_near_its_full_precision(
    name: str, training: bool, dtype: torch.dtype
) -> None:
    x, labels = features(2, CHANNELS, 8, 12).to(dtype).requires_grad_(), random_labels(2, 16, 24)
    exact = trained(name).train(training)(x.detach().float(), labels)
    norm = trained(name).train(training)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(x, labels)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), exact, rtol=0.03, atol=0.03)
    out.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in norm.parameters())


@every_norm
def test_a_fresh_norm_starts_under_autocast(name: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = started(name)(features(2, CHANNELS, 8, 12).bfloat16(), random_labels(2, 16, 24))
    assert bool(out.isfinite().all())


@every_norm
def test_a_state_dict_brings_all_of_a_norm_back(name: str) -> None:
    norm, other = trained(name), started(name, seed=5)
    other.load_state_dict(norm.state_dict())
    x, labels = features(2, CHANNELS, 8, 12), random_labels(2, 16, 24)
    assert torch.equal(other.eval()(x, labels), norm(x, labels))
    assert torch.equal(other.train()(x, labels), norm.train()(x, labels))


@every_norm
def test_in_eval_an_image_does_not_depend_on_the_rest_of_its_batch(name: str) -> None:
    norm = trained(name)
    x, labels = features(3, CHANNELS, 8, 12), random_labels(3, 16, 24)
    together = norm(x, labels)
    for i in range(3):
        torch.testing.assert_close(norm(x[i : i + 1], labels[i : i + 1]), together[i : i + 1], rtol=0, atol=1e-5)


@every_norm
def test_a_start_depends_on_the_given_generator_only(name: str) -> None:
    states = []
    for torchs_own, given in ((1, 0), (2, 0), (1, 7)):
        torch.manual_seed(torchs_own)
        states.append(started(name, given).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    if name in CONDITIONAL:
        assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


@pytest.mark.parametrize("name", [n for n in names(NORMS) if hasattr(build_norm(n, CHANNELS, LABELS), "initialise")])
def test_initialise_sets_all_of_a_norm_that_has_it(name: str) -> None:
    norm, fresh = trained(name).train(), started(name)
    initialise(nn.Sequential(norm), torch.Generator().manual_seed(0), "xavier")
    for key, value in fresh.state_dict().items():
        if "param_free_norm" not in key:
            assert torch.equal(norm.state_dict()[key], value), key


@every_norm
def test_a_compiled_norm_gives_what_it_gives_uncompiled(name: str) -> None:
    torch.compiler.reset()
    norm, x, labels = trained(name).train(), features(2, CHANNELS, 8, 12), random_labels(2, 16, 24)
    # Actnorm asks in Python whether it is set: two graphs.
    compiled = torch.compile(norm, backend="aot_eager", fullgraph=name != "actnorm")
    torch.testing.assert_close(compiled(x, labels), norm(x, labels), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_norms_start_with_scales_around_one_and_shifts_around_zero(name: str) -> None:
    norm = build_norm(name, 64, LABELS)
    initialise(nn.Sequential(norm), torch.Generator().manual_seed(0), "xavier")
    uniform = LabelMap(torch.zeros(1, 8, 8, dtype=torch.int64), LABELS)
    x = features(1, 64, 8, 8)
    plain = build_norm("instance", 64, LABELS)(x)
    out = norm(x, uniform)
    shift, scale = out.mean((0, 2, 3)), (out * plain).mean((0, 2, 3))
    torch.testing.assert_close(shift, torch.zeros(64), rtol=0, atol=1e-3)
    torch.testing.assert_close(scale.mean(), torch.tensor(1.0), rtol=0, atol=0.01)
    if name != "spade":
        assert 0.01 < scale.std().item() < 0.03


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_norms_without_a_label_map_refuse(name: str) -> None:
    with pytest.raises(ValueError, match="label maps"):
        build_norm(name, 4, LABELS)(features(1, 4, 4, 4), None)


@pytest.mark.parametrize("name", ["clade", "conditional_batch", "adain"])
def test_norms_by_class_do_not_read_edges(name: str) -> None:
    spec = LabelSpec(classes=3, edges=True)
    norm = build_norm(name, 4, spec)
    indices, x = random_labels(1, 8, 8).indices, features(1, 4, 8, 8)
    none, some = torch.zeros_like(indices, dtype=torch.bool), indices == 1
    assert torch.equal(norm(x, LabelMap(indices, spec, none)), norm(x, LabelMap(indices, spec, some)))


@pytest.mark.parametrize(
    ("norm", "message"),
    [
        ("spadee", "did you mean spade"),
        ({"name": "spade", "kernal": 3}, "did you mean kernel"),
        ({"name": "spade", "kernel": 2}, "must be odd"),
        ({"name": "spade", "base": {"name": "batch", "affine": True}}, "has parameters"),
        ({"name": "spade", "base": "nothing_like_it"}, "unknown norm"),
        ({"name": "clade", "base": "actnorm"}, "norm 'clade': .*has parameters"),
        ({"name": "conditional_batch", "base": "spade"}, "norm 'conditional_batch': .*has parameters"),
        ({"name": "group", "groups": 0}, "no 0 groups"),
        ({"name": "adain", "hidden": 0}, "cannot have 0"),
        ({"kernel": 3}, "names no norm"),
    ],
)
def test_a_wrong_norm_is_one_clear_line(norm: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build_norm(norm, 4, LABELS)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
