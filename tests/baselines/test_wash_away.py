"""Which norms wash the class of a uniform label map away, and when (paper, section 3.1)."""

from __future__ import annotations

from typing import Any

import pytest

from baselines.norms.build import NormValue
from baselines.wash_away import WashAway, wash_away
from harness.errors import UserError
from harness.registry import NORMS, names

ROUNDING = 1e-10
CONDITIONAL = ["spade", "clade", "conditional_batch", "adain"]


def is_gone(found: WashAway) -> bool:
    return found.uniform_gap < ROUNDING and found.uniform_accuracy == found.chance


def is_kept(found: WashAway) -> bool:
    return found.uniform_gap > 0.1 and found.uniform_accuracy > 0.95


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("norm", ["instance", "batch", "sync_batch", {"name": "group", "groups": 16}])
def test_the_class_of_a_uniform_map_is_gone_behind_statistics_of_one_map_and_channel(
    norm: NormValue, kernel: int
) -> None:
    assert is_gone(wash_away(norm, kernel=kernel))


@pytest.mark.parametrize("norm", [*CONDITIONAL, *({"name": n, "base": "instance"} for n in CONDITIONAL[:3])])
def test_the_class_of_a_uniform_map_is_kept_behind_norms_that_read_the_label_map(norm: NormValue) -> None:
    assert is_kept(wash_away(norm))


@pytest.mark.parametrize("norm", ["layer", {"name": "group", "groups": 4}, "actnorm", "none"])
def test_the_class_is_kept_where_channels_are_seen_together_or_no_mean_is_taken(norm: NormValue) -> None:
    assert is_kept(wash_away(norm))


@pytest.mark.parametrize("way", [{"together": True}, {"training": False}])
@pytest.mark.parametrize(("norm", "kept"), [("batch", True), ("sync_batch", True), ("instance", False)])
def test_batch_statistics_of_other_maps_keep_the_class(norm: str, kept: bool, way: dict[str, Any]) -> None:
    found = wash_away(norm, **way)
    assert is_kept(found) if kept else is_gone(found)


def test_zero_padding_gives_some_of_the_class_away() -> None:
    found = wash_away("instance", padded=True)
    assert found.uniform_gap > 0.1
    assert found.chance < found.uniform_accuracy < 0.9


@pytest.mark.parametrize("norm", names(NORMS))
def test_the_classes_of_a_mixed_map_are_kept_behind_every_norm(norm: str) -> None:
    assert wash_away(norm).mixed_accuracy > 0.75


@pytest.mark.parametrize("norm", ["clade", "conditional_batch", "adain"])
def test_tables_by_class_carry_nothing_before_their_shifts_have_moved(norm: str) -> None:
    assert is_gone(wash_away(norm, spread=0.0))


def test_spade_carries_the_class_from_its_start() -> None:
    assert wash_away("spade", spread=0.0).uniform_accuracy > 0.95


def test_the_experiment_is_a_function_of_its_arguments() -> None:
    assert wash_away("spade", seed=3) == wash_away("spade", seed=3) != wash_away("spade", seed=4)
    assert wash_away("instance", classes=6).chance == pytest.approx(1 / 6)


def test_an_even_kernel_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="must be odd"):
        wash_away("instance", kernel=2)
