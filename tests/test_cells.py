"""Cells: one plain config, one id."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cells import Cell, load_suite, resolve
from harness.errors import UserError
from harness.overrides import parse_set
from harness.registry import METHODS, SUITES, names


@pytest.mark.parametrize("suite", names(SUITES))
@pytest.mark.parametrize("method", names(METHODS))
def test_every_method_resolves_on_every_suite_to_plain_values_with_a_stable_id(method: str, suite: str) -> None:
    cell = resolve(method, load_suite(suite))
    again = Cell(json.loads(json.dumps(cell.config)), cell.suite)
    assert again.id == cell.id == resolve(method, load_suite(suite)).id
    assert len(cell.id) == 12


def test_ids_differ_by_method_seed_threads_override_and_start() -> None:
    suite = load_suite("toyscapes")
    cells = [
        resolve("spade", suite),
        resolve("pix2pixhdpp", suite),
        resolve("spade", suite, seed=1),
        resolve("spade", suite, overrides={"threads": 1}),
        resolve("spade", suite, overrides={"generator.ngf": 24}),
        resolve("spade", suite, init_from="0123456789ab"),
    ]
    assert len({cell.id for cell in cells}) == len(cells)


def test_an_override_equal_to_the_resolved_value_is_the_same_cell() -> None:
    suite = load_suite("toyscapes")
    plain = resolve("spade", suite)
    same = resolve("spade", suite, overrides={"generator.ngf": plain.config["method"]["generator"]["ngf"]})
    assert same.id == plain.id


def test_suite_overrides_stand_in_the_config_and_skip_what_a_method_does_not_have() -> None:
    suite = load_suite("toyscapes")
    assert resolve("spade", suite).config["method"]["generator"]["norm"]["hidden"] == 32
    assert "hidden" not in resolve("pix2pixhdpp", suite).config["method"]["generator"]["norm"]


def test_a_whole_norm_can_be_replaced_by_name() -> None:
    cell = resolve("spade", load_suite("toyscapes"), overrides={"generator.norm": "batch"})
    assert cell.config["method"]["generator"]["norm"] == {"name": "batch", "affine": False}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"generator.nfg": 8}, "did you mean generator.ngf"),
        ({"generatr.ngf": 8}, "did you mean generator"),
        ({"generator.ngf": "wide"}, "takes a whole number"),
        ({"generator.ngf": True}, "takes a whole number"),
        ({"losses.gan": 3}, "takes a word"),
        ({"losses.gan": "hinje"}, "did you mean hinge"),
        ({"losses.gan_over_scales": "median"}, "mean"),
        ({"losses.gan": "none"}, "without a discriminator"),
        ({"losses.kld": float("nan")}, "finite"),
        ({"schedule.iterations": None}, "cannot be empty"),
        ({"perceptual": "vgg18"}, "did you mean vgg19"),
        ({"generator.norm": 5}, "name of a norm"),
        ({"generator": "spade"}, "as a whole"),
        ({"generator.ngf": 0}, "1 or more"),
        ({"schedule.iterations": 0}, "1 or more"),
        ({"precision": "16"}, "'32' or 'bf16'"),
        ({"generator.norm": "spad"}, "did you mean spade"),
        ({"generator.name": "other"}, "cannot be overridden"),
        ({"suite.size": [1, 2]}, "cannot be overridden"),
    ],
)
def test_a_wrong_override_is_named_with_advice(overrides: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        resolve("spade", load_suite("toyscapes"), overrides=overrides)


def test_an_unknown_method_or_suite_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean spade"):
        resolve("spad", load_suite("toyscapes"))
    with pytest.raises(UserError, match="did you mean toyscapes"):
        load_suite("toyscape")


def test_resolving_with_overrides_leaves_the_defaults_as_they_were() -> None:
    suite = load_suite("camvid")
    before = resolve("spade", suite).id
    resolve("spade", suite, overrides={"generator.norm.hidden": 8, "generator.ngf": 8})
    assert resolve("spade", suite).id == before


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]+(\.[a-z]+)?", fullmatch=True), st.integers() | st.floats(-1e6, 1e6), max_size=4
    )
)
def test_set_pairs_are_read_back_as_written(values: dict[str, float]) -> None:
    assert parse_set([f"{key}={value!r}" for key, value in values.items()]) == values


@pytest.mark.parametrize("pair", ["generator.ngf", "=3", "x=[1,"])
def test_a_malformed_set_pair_is_refused(pair: str) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_set([pair])
