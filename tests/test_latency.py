"""Latency: every method can be timed, in turns, and the order of the methods is kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.cells import load_suite, resolve
from harness.errors import UserError
from harness.labels import LabelSpec
from harness.latency import latencies, rounds

TOYSCAPES = LabelSpec(9)


def config(method: str, **changes: Any) -> dict[str, Any]:
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve(method, load_suite("toyscapes"), overrides=given).config


def test_each_config_has_its_times_and_warm_ups_are_left_out() -> None:
    ticks: list[int] = []
    configs = [config("spade", generator__ngf=32), config("spade", generator__ngf=4)]
    large, small = latencies(configs, TOYSCAPES, torch.device("cpu"), 3, lambda: ticks.append(1))
    assert len(large) == len(small) == 3
    assert len(ticks) == rounds(3)
    assert min(small) > 0
    assert min(large) > min(small)


@pytest.mark.parametrize("method", ["pix2pixhd", "crn", "sims"])
def test_networks_of_other_kinds_are_timed_too(method: str) -> None:
    (times,) = latencies([config(method)], TOYSCAPES, torch.device("cpu"), 1)
    assert len(times) == 1


def test_timing_draws_nothing_from_torchs_own_generator() -> None:
    before = torch.random.get_rng_state()
    latencies([config("spade", generator__ngf=4)], TOYSCAPES, torch.device("cpu"), 1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_that_cannot_be_built_is_a_user_error() -> None:
    broken = config("spade", generator__ngf=4)
    broken["method"]["generator"]["name"] = "no_such"
    with pytest.raises(UserError, match="no_such"):
        latencies([broken], TOYSCAPES, torch.device("cpu"), 1)
