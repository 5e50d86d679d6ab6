"""SPADE and its relatives: what each computes, and how the paper derives one from the other (section 3.1)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines.norms.adain import AdaIN, adain
from baselines.norms.build import build_norm
from baselines.norms.by_class import ClassTables, class_shares
from baselines.norms.clade import CLADE
from baselines.norms.conditional_batch import ConditionalBatch
from baselines.norms.spade import SPADE
from harness.labels import LabelMap, LabelSpec

CLASSES = 3
LABELS = LabelSpec(classes=CLASSES)


def random_labels(count: int, height: int, width: int) -> LabelMap:
    rng = torch.Generator().manual_seed(0)
    return LabelMap(torch.randint(0, CLASSES, (count, height, width), generator=rng), LABELS)


def uniform_labels(*classes: int, size: int = 16) -> LabelMap:
    """One label map per class given, all of that class."""
    return LabelMap(torch.tensor(classes).view(-1, 1, 1).expand(-1, size, size).contiguous(), LABELS)


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3 + 1


def spread(norm: nn.Module, seed: int = 0) -> None:
    """Draw all parameters, in place of a training."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))


@torch.no_grad()
def tables_of(spade: SPADE) -> tuple[Tensor, Tensor]:
    """1 + gamma and beta of each class, (classes, channels), away from borders: the middle of uniform label maps."""
    middle = spade.mlp_shared(uniform_labels(*range(CLASSES)).one_hot())
    return tuple(t[:, :, 8, 8] for t in (1 + spade.mlp_gamma(middle), spade.mlp_beta(middle)))


@torch.no_grad()
def fill(norm: ClassTables, tables: tuple[Tensor, Tensor]) -> None:
    norm.scale.copy_(tables[0])
    norm.shift.copy_(tables[1])


def assert_same(one: nn.Module, other: nn.Module, x: Tensor, labels: LabelMap, border: int = 0) -> None:
    """Equal outputs in training and then in eval, by the statistics of that training, away from a border."""
    for training in (True, False):
        found, wanted = (norm.train(training)(x, labels).detach() for norm in (one, other))
        inner = slice(border, x.shape[2] - border)
        torch.testing.assert_close(found[:, :, inner, inner], wanted[:, :, inner, inner], rtol=1e-4, atol=1e-4)


def test_spade_is_the_base_times_one_plus_gamma_plus_beta() -> None:
    norm = SPADE(4, LABELS, hidden=6, base="instance")
    labels, x = random_labels(2, 16, 16), features(2, 4, 8, 8)
    with torch.no_grad():
        for conv in (norm.mlp_gamma, norm.mlp_beta):
            conv.weight.zero_()
        norm.mlp_gamma.bias.fill_(0.5)
        norm.mlp_beta.bias.fill_(-2.0)
        torch.testing.assert_close(norm(x, labels), build_norm("instance", 4, LABELS)(x) * 1.5 - 2.0)


def moved_by_one_corner(norm: nn.Module) -> Tensor:
    """(8, 8): where an 8x8 output moves with the class of the pixel under its corner."""
    labels, x = random_labels(2, 16, 16), features(2, 4, 8, 8)
    torch.testing.assert_close(norm(x, labels), norm(x, labels.resized(8, 8)), rtol=0, atol=0)
    changed = labels.indices.clone()
    changed[:, 0, 0] = (changed[:, 0, 0] + 1) % CLASSES
    return (norm(x, LabelMap(changed, LABELS)) - norm(x, labels)).detach().abs().amax((0, 1)) > 0


def test_spade_sees_the_label_map_at_its_own_resolution() -> None:
    moved = moved_by_one_corner(SPADE(4, LABELS, hidden=6, base="instance"))
    # Two 3x3 convs reach two pixels.
    assert bool(moved[:3, :3].any())
    assert not bool(moved[3:].any())
    assert not bool(moved[:, 3:].any())


def test_clade_sees_the_label_map_at_its_own_resolution_and_no_neighbours() -> None:
    norm = CLADE(4, LABELS, base="instance")
    spread(norm)
    moved = moved_by_one_corner(norm)
    assert bool(moved[0, 0])
    assert int(moved.sum()) == 1


@pytest.mark.parametrize("base", ["batch", "sync_batch", "instance", "group", "layer", "none"])
@pytest.mark.parametrize(("kernel", "border"), [(1, 0), (3, 2), (5, 4)])
def test_spade_over_uniform_label_maps_is_conditional_batch_norm(base: str, kernel: int, border: int) -> None:
    # Where zero padding reaches, a kernel over one pixel sees a border, and its parameters are not constant over space.
    spade, conditional = SPADE(5, LABELS, kernel=kernel, hidden=6, base=base), ConditionalBatch(5, LABELS, base=base)
    fill(conditional, tables_of(spade))
    assert_same(spade, conditional, features(4, 5, 12, 12), uniform_labels(0, 2, 1, 2), border)


def test_spade_of_constant_parameters_is_conditional_batch_norm_over_any_label_map() -> None:
    spade, conditional = SPADE(5, LABELS), ConditionalBatch(5, LABELS)
    with torch.no_grad():
        spade.mlp_gamma.weight.zero_()
        spade.mlp_beta.weight.zero_()
    fill(conditional, (1 + spade.mlp_gamma.bias, spade.mlp_beta.bias))
    assert_same(spade, conditional, features(2, 5, 12, 12), random_labels(2, 16, 16))


@pytest.mark.parametrize("label", range(CLASSES))
@pytest.mark.parametrize("base", ["batch", "sync_batch"])
def test_spade_of_constant_parameters_on_one_image_is_adain(base: str, label: int) -> None:
    spade, layer = SPADE(5, LABELS, kernel=1, hidden=6, base=base), AdaIN(5, LABELS, hidden=CLASSES)
    std, mean = tables_of(spade)
    first = layer.mlp[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.eye(CLASSES))  # the code is the class shares themselves
        layer.mlp_std.weight.copy_(std.t() - 1)
        layer.mlp_mean.weight.copy_(mean.t())
    x, labels = features(1, 5, 12, 12), uniform_labels(label)
    out = spade(x, labels)
    torch.testing.assert_close(out, adain(x, mean[label : label + 1], std[label : label + 1]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out, layer(x, labels), rtol=1e-4, atol=1e-4)


def test_adain_gives_each_channel_its_mean_and_std() -> None:
    mean, std = features(2, 5), features(2, 5).abs() + 0.5
    out = adain(features(2, 5, 16, 16), mean, std)
    torch.testing.assert_close(out.mean((2, 3)), mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out.std((2, 3), correction=0), std, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("base", ["sync_batch", "instance"])
def test_clade_is_spade_whose_1x1_convs_look_classes_up(base: str) -> None:
    clade, spade = CLADE(5, LABELS, base=base), SPADE(5, LABELS, kernel=1, hidden=CLASSES, base=base)
    spread(clade)
    first = spade.mlp_shared[0]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    with torch.no_grad():
        first.weight.copy_(torch.eye(CLASSES)[:, :, None, None])
        first.bias.zero_()
        for conv, table in ((spade.mlp_gamma, clade.scale - 1), (spade.mlp_beta, clade.shift)):
            assert conv.bias is not None
            conv.weight.copy_(table.t()[:, :, None, None])
            conv.bias.zero_()
    assert_same(clade, spade, features(2, 5, 12, 12), random_labels(2, 24, 24))


@pytest.mark.parametrize("base", ["sync_batch", "instance"])
def test_spade_of_1x1_convs_is_clade_with_the_tables_that_it_computes(base: str) -> None:
    spade, clade = SPADE(5, LABELS, kernel=1, hidden=6, base=base), CLADE(5, LABELS, base=base)
    fill(clade, tables_of(spade))
    assert_same(spade, clade, features(2, 5, 12, 12), random_labels(2, 24, 24))


def test_clade_and_conditional_batch_norm_agree_on_uniform_label_maps_only() -> None:
    clade, conditional = CLADE(5, LABELS), ConditionalBatch(5, LABELS)
    spread(clade)
    conditional.load_state_dict(clade.state_dict())
    assert_same(clade, conditional, features(3, 5, 12, 12), uniform_labels(0, 1, 2))
    x, mixed = features(3, 5, 12, 12), random_labels(3, 16, 16)
    assert not torch.allclose(clade(x, mixed), conditional(x, mixed), atol=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_class_shares_are_the_one_hot_label_map_pooled_over_space(
    count: int, height: int, width: int, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    labels = LabelMap(torch.randint(0, CLASSES, (count, height, width), generator=rng), LABELS)
    shares = class_shares(labels, torch.float32)
    torch.testing.assert_close(shares, labels.one_hot().mean((2, 3)))
    torch.testing.assert_close(shares.sum(1), torch.ones(count))


def test_conditional_batch_norm_mixes_the_tables_by_class_share_and_is_constant_over_space() -> None:
    norm = ConditionalBatch(2, LABELS, base="none")
    spread(norm)
    quarter = uniform_labels(0)
    quarter.indices[:, :4] = 1  # a quarter of the rows
    ones, zeros = torch.ones(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
    shift = norm(zeros, quarter)
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift))
    torch.testing.assert_close(shift[0, :, 0, 0], 0.75 * norm.shift[0] + 0.25 * norm.shift[1])
    scale = (norm(ones, quarter) - shift)[0, :, 0, 0]
    torch.testing.assert_close(scale, 0.75 * norm.scale[0] + 0.25 * norm.scale[1])


def test_adains_code_is_read_from_the_class_shares() -> None:
    norm = AdaIN(4, LABELS, hidden=7)
    spread(norm)
    labels, x = random_labels(2, 16, 16), features(2, 4, 8, 8)
    first = norm.mlp[0]
    assert isinstance(first, nn.Linear)
    code = F.relu(class_shares(labels, torch.float32) @ first.weight.t() + first.bias)
    mean, std = (code @ m.weight.t() + m.bias for m in (norm.mlp_mean, norm.mlp_std))
    torch.testing.assert_close(norm(x, labels), adain(x, mean, std), rtol=1e-4, atol=1e-4)
