"""Cells: one plain config, one id."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cells import Cell, load_suite, resolve
from harness.cli import main
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
        ({"generator.norm": {"kernel": 3}}, "names no norm"),
        ({"generator.norm": {"name": 3}}, "names no norm"),
        ({"generator.norm": {"name": "spad"}}, "did you mean spade"),
        ({"generator.norm": {"name": "spade", "kernel": "x"}}, r"norm\.kernel takes a whole number, not 'x'"),
        ({"generator.norm": {"name": "spade", "kernel": None}}, r"norm\.kernel cannot be empty"),
        ({"generator.norm": {"name": "spade", "kernal": 3}}, "did you mean kernel"),
        ({"generator.norm": {"name": "spade", 3: 4}}, "has no option '3'"),
        ({"generator.norm": {"name": "layer", "eps": float("inf")}}, "finite"),
        ({"generator.norm": {"name": "batch", "affine": 1}}, "true or false"),
        ({"generator.norm": {"name": "spade", "base": "bach"}}, "did you mean batch"),
        ({"generator.norm": {"name": "spade", "base": 5}}, r"norm\.base takes the name of a norm"),
        ({"generator.norm": {"name": "spade", "base": {"affine": False}}}, r"norm\.base names no norm"),
        (
            {"generator.norm": {"name": "spade", "base": {"name": "group", "groups": 1.5}}},
            r"base\.groups takes a whole",
        ),
        ({"generator.norm.base": "bach"}, "did you mean batch"),
        ({"generator.norm.base": {"name": "group", "groups": "x"}}, r"base\.groups takes a whole"),
        ({"generator.norm.kernel": "x"}, r"norm\.kernel takes a whole"),
        ({"generator": {"name": "batch"}}, "as a whole"),
        ({"generator.name": "other"}, "cannot be overridden"),
        ({"suite.size": [1, 2]}, "cannot be overridden"),
    ],
)
def test_a_wrong_override_is_named_with_advice(overrides: dict, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        resolve("spade", load_suite("toyscapes"), overrides=overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "norm"),
    [
        ({"name": "layer", "eps": 1}, {"name": "layer", "affine": False, "eps": 1.0}),
        (
            {"name": "clade", "base": {"name": "group", "groups": 8}},
            {"name": "clade", "base": {"name": "group", "groups": 8}},
        ),
    ],
)
def test_a_norm_is_written_out_with_all_its_options(given: dict, norm: dict) -> None:
    cell = resolve("spade", load_suite("toyscapes"), overrides={"generator.norm": given})
    assert cell.config["method"]["generator"]["norm"] == norm


def test_a_norm_inside_a_norm_can_be_a_mapping() -> None:
    given = {"generator.norm.base": {"name": "group", "groups": 8}}
    norm = resolve("spade", load_suite("toyscapes"), overrides=given).config["method"]["generator"]["norm"]
    assert norm == {"name": "spade", "kernel": 3, "hidden": 32, "base": {"name": "group", "groups": 8}}


@pytest.mark.parametrize("command", ["cost", "train", "run"])
@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("generator.norm={name: spade, kernel: x}", "takes a whole number"),
        ("generator.norm={name: spade, kernel: 4}", "kernel must be odd"),
        ("generator.norm={name: spade, base: {name: batch, affine: true}}", "has parameters"),
        ("generator.norm={kernel: 3}", "names no norm"),
        ("generator.norm.hidden=0", "1 or more"),
        ("discriminator.num_scales=0", "1 or more"),
    ],
)
def test_commands_refuse_the_same_options_before_any_data_are_opened(
    command: str, pair: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    what = {"cost": ["cost", "spade"], "train": ["train", "spade"], "run": ["run", "table1", "--methods", "spade"]}
    words = [*what[command], "--suite", "ade20k", "--data-root", str(tmp_path), "--set", pair]
    words += [] if command == "cost" else ["--out", str(tmp_path / "out"), "--device", "cpu", "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["spadebench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


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


def test_numbers_in_a_mapping_are_numbers() -> None:
    assert parse_set(["generator.norm={name: layer, eps: 1e-5}"]) == {"generator.norm": {"name": "layer", "eps": 1e-5}}
    assert parse_set(["a=[1e-4, word]"]) == {"a": [1e-4, "word"]}


@pytest.mark.parametrize("pair", ["generator.ngf", "=3", "x=[1,"])
def test_a_malformed_set_pair_is_refused(pair: str) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_set([pair])
