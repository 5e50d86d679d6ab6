"""What a generator costs, against the figures of the paper's networks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cells import load_suite, resolve
from harness.cost import generator_cost
from harness.labels import LabelSpec
from harness.registry import METHODS, names


@pytest.mark.parametrize(
    ("size", "spec", "upsampling", "parameters", "giga"),
    [
        ((256, 512), LabelSpec(35, edges=True), "more", 93_048_003, 281.3),
        ((256, 256), LabelSpec(151), "normal", 96_492_483, 181.2),
        ((256, 256), LabelSpec(183, edges=True), "normal", 97_480_899, 191.1),
    ],
)
def test_spade_costs_what_the_official_network_costs(
    size: tuple[int, int], spec: LabelSpec, upsampling: str, parameters: int, giga: float
) -> None:
    suite = replace(load_suite("camvid"), size=size)
    cost = generator_cost(resolve("spade", suite, overrides={"generator.upsampling": upsampling}).config, spec)
    assert cost["parameters"] == parameters
    assert cost["multiply_adds"] / 1e9 == pytest.approx(giga, abs=0.05)


@pytest.mark.parametrize("suite", ["toyscapes", "camvid"])
@pytest.mark.parametrize("method", names(METHODS))
def test_every_method_has_a_cost_on_every_suite(method: str, suite: str) -> None:
    config = resolve(method, load_suite(suite)).config
    cost = generator_cost(config, LabelSpec(12, edges=config["suite"]["edges"]))
    assert cost["parameters"] > 0
    assert cost["multiply_adds"] > cost["parameters"]
