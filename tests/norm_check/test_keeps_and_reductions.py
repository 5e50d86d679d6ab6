"""The wash-away probe, and the known norms that a norm equals at some setting."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.norm_check.keeps import CLASSES, what_is_kept
from harness.norm_check.layers import open_norm
from harness.norm_check.reductions import reductions
from harness.registry import NORMS

CHANCE = 1 / CLASSES


@pytest.mark.parametrize("name", ["instance", "batch", "sync_batch", "group"])
def test_statistics_of_one_map_and_channel_leave_chance_for_uniform_maps(name: str) -> None:
    # group: 32 channels in 32 groups.
    training, _ = what_is_kept(open_norm(name))
    assert training.uniform == training.chance == CHANCE
    assert training.mixed > 0.9


@pytest.mark.parametrize("name", ["spade", "clade", "conditional_batch", "adain", "layer", "none"])
def test_norms_that_read_the_label_map_or_channels_together_keep_the_class(name: str) -> None:
    for kept in what_is_kept(open_norm(name)):
        assert kept.uniform == 1.0
        assert kept.mixed > 0.9


@pytest.mark.parametrize(("name", "uniform"), [("batch", 1.0), ("instance", CHANCE)])
def test_running_statistics_of_other_maps_keep_the_class(name: str, uniform: float) -> None:
    assert what_is_kept(open_norm(name))[1].uniform == uniform


def test_the_probe_is_a_function_of_the_seed() -> None:
    norm = open_norm("spade", {"hidden": 8})
    assert what_is_kept(norm, seed=3) == what_is_kept(norm, seed=3) != what_is_kept(norm, seed=4)


def test_a_norm_that_answers_zero_keeps_nothing_of_any_map(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zero(nn.Module):
        def __init__(self, channels: int, labels: LabelSpec) -> None:
            super().__init__()

        def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
            return 0 * x

    monkeypatch.setitem(NORMS.module_dict, "zero", Zero)
    training, _ = what_is_kept({"name": "zero"})
    assert training.uniform == CHANCE
    assert training.mixed == pytest.approx(CHANCE, abs=0.05)
    assert reductions({"name": "zero"}) == ()


def found(name: str, **options: object) -> set[tuple[str, str, str, bool]]:
    return {(each.at, each.rival, each.maps, each.inner) for each in reductions(open_norm(name, options))}


def test_spade_reduces_as_the_paper_says() -> None:
    every = found("spade", hidden=16)
    assert ("random parameters", "conditional_batch (base batch)", "uniform", True) in every
    assert ("kernel 1 and random parameters", "clade (base batch)", "any", False) in every
    assert ("all weights 0, biases kept", "batch (affine)", "any", False) in every
    assert ("all parameters 0", "batch", "any", False) in every


def test_clade_is_spade_of_kernel_1_and_conditional_on_uniform_maps() -> None:
    every = found("clade", base="instance")
    assert ("random parameters", "spade (kernel 1, base instance)", "any", False) in every
    assert ("one row for all classes", "instance (affine)", "any", False) in every
    shared = ("random parameters, the same in both,", "conditional_batch (base instance)", "uniform", False)
    assert shared in every
    assert not any(rival.startswith("clade") for _, rival, _, _ in every)


def test_conditional_batch_norm_and_adain_reduce_to_plain_norms() -> None:
    assert ("one row for all classes", "batch (affine)", "any", False) in found("conditional_batch")
    every = found("adain")
    assert ("random parameters", "conditional_batch (base instance)", "uniform", False) in every
    assert ("all weights 0, biases kept", "instance (affine)", "any", False) in every


def test_a_plain_norm_is_not_said_to_equal_itself() -> None:
    assert found("sync_batch") == {("no parameters", "batch", "any", False)}
    assert found("batch") == found("group") == set()


def test_a_norm_of_another_kind_equals_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Squashed(nn.Module):
        def __init__(self, channels: int, labels: LabelSpec) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(channels))

        def forward(self, x: Tensor, labels: LabelMap | None) -> Tensor:
            return torch.tanh(x) * self.scale.view(1, -1, 1, 1)

    monkeypatch.setitem(NORMS.module_dict, "squashed", Squashed)
    assert reductions({"name": "squashed"}) == ()
    assert reductions(open_norm("actnorm")) == ()


def test_two_layers_that_both_answer_zero_are_not_called_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tables(nn.Module):
        """No normalisation, and CLADE's parameters: all 0, both give 0."""

        def __init__(self, channels: int, labels: LabelSpec) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(labels.classes, channels))
            self.shift = nn.Parameter(torch.zeros(labels.classes, channels))

        def forward(self, x: Tensor, labels: LabelMap) -> Tensor:
            classes = labels.resized(x.shape[2], x.shape[3]).indices
            scale, shift = (t[classes].permute(0, 3, 1, 2) for t in (self.scale, self.shift))
            return torch.tanh(x) * scale + shift

    monkeypatch.setitem(NORMS.module_dict, "tables", Tables)
    assert reductions({"name": "tables"}) == ()


@pytest.mark.parametrize("share", [1.0, 0.01, 0.001])
def test_a_norm_that_adds_a_mean_is_not_the_norm_without_it(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    class Shifted(nn.InstanceNorm2d):
        def __init__(self, channels: int, labels: LabelSpec) -> None:
            super().__init__(channels)

        def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
            return super().forward(input) + share * input.mean()

    monkeypatch.setitem(NORMS.module_dict, "shifted", Shifted)
    assert reductions({"name": "shifted"}) == ()


def test_another_momentum_is_equal_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(nn.BatchNorm2d):
        def __init__(self, channels: int, labels: LabelSpec) -> None:
            super().__init__(channels, affine=False, momentum=0.01)

        def forward(self, input: Tensor, labels: LabelMap | None = None) -> Tensor:
            return super().forward(input)

    monkeypatch.setitem(NORMS.module_dict, "slow", Slow)
    (each,) = reductions({"name": "slow"})
    assert (each.rival, each.modes) == ("batch", "training")
    assert "with no parameters it equals batch, in training (within" in each.line()
