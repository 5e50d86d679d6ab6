"""Signatures and hashes of protocols, and protocols out of values and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells import load_suite
from harness.errors import UserError
from harness.evaluation.protocol import Protocol, Signed, protocol_of, short_hash, signed_of
from harness.protocols.load import load_protocol, shipped
from harness.registry import PROTOCOLS, SUITES, names

BASE = Signed(
    protocol=Protocol(name="native", segmenter="net", features=("a", "b")),
    suite="s",
    split="val",
    count=500,
    size=(256, 512),
    segmenter_weights="01234567",
    data="89abcdef",
    feature_weights=("11111111", "22222222"),
    reference="89abcdef",
    reference_split="val",
    reference_count=500,
)


def test_the_signature_is_one_line_that_names_everything() -> None:
    assert BASE.signature == (
        "suite:s data:val500@89abcdef fake:512x256>label:bilinear label:native void:ignore mean:union seg:net@01234567 "
        "fd:a@11111111+b@22222222 ref:val500@89abcdef:512x256:bicubic u8:trunc v2"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": replace(BASE.protocol, image="own")},
        {"protocol": replace(BASE.protocol, resize="bicubic")},
        {"protocol": replace(BASE.protocol, label="image")},
        {"protocol": replace(BASE.protocol, class_mean="all")},
        {"protocol": replace(BASE.protocol, void="wrong")},
        {"protocol": replace(BASE.protocol, fit="bicubic")},
        {"protocol": replace(BASE.protocol, fit="own")},
        {"segmenter_weights": "76543210"},
        {"data": "00000000"},
        {"count": 499},
        {"size": (128, 256)},
    ],
)
def test_what_changes_a_segmentation_score_changes_its_signature(change: dict) -> None:
    other = replace(BASE, **change)
    assert other.segmentation != BASE.segmentation
    assert short_hash(other.signature) != short_hash(BASE.signature)


@pytest.mark.parametrize(
    "change",
    [
        {"feature_weights": ("11111111", "33333333")},
        {"reference": "00000000"},
        {"reference_count": 499},
        {"protocol": replace(BASE.protocol, kernel=True)},
        {"reference_split": "train"},
    ],
)
def test_what_changes_only_a_distance_leaves_the_segmentation_signature(change: dict) -> None:
    other = replace(BASE, **change)
    assert other.segmentation == BASE.segmentation
    assert other.distance != BASE.distance
    assert other.signature != BASE.signature


def test_the_name_of_a_protocol_is_no_part_of_its_hash() -> None:
    assert replace(BASE, protocol=replace(BASE.protocol, name="other")).signature == BASE.signature


def test_without_feature_nets_the_signature_says_none() -> None:
    bare = replace(BASE, protocol=replace(BASE.protocol, features=()), feature_weights=(), reference="")
    assert "fd:none" in bare.signature


def test_a_signed_protocol_comes_back_out_of_what_a_record_holds() -> None:
    again = signed_of(protocol_of(BASE.protocol.as_dict(), "record"), BASE.facts())
    assert again == BASE


def test_facts_that_are_missing_are_told() -> None:
    facts = {key: value for key, value in BASE.facts().items() if key != "data"}
    with pytest.raises(UserError, match="data"):
        signed_of(BASE.protocol, facts)


@pytest.mark.parametrize("suite", names(SUITES))
def test_every_shipped_protocol_is_one_of_the_suite_or_says_that_it_is_none(suite: str) -> None:
    found = shipped(load_suite(suite))
    assert next(iter(found)) == "native"
    for name, protocol in found.items():
        assert protocol.name == name
        assert protocol_of(protocol.as_dict(), name) == protocol
    for name in set(names(PROTOCOLS)) - set(found):
        with pytest.raises(UserError, match="means nothing"):
            load_protocol(name, load_suite(suite))


def test_the_paper_s_protocol_counts_void_wrong_on_cityscapes_and_takes_the_fid_of_its_time() -> None:
    paper = load_protocol("spade-paper", load_suite("cityscapes"))
    assert (paper.void, paper.image, paper.resize, paper.label) == ("wrong", "label", "bilinear", "native")
    assert paper.features == ("inception_torchvision_renormalised",)
    assert load_protocol("spade-paper", load_suite("coco_stuff")).class_mean == "present"
    assert load_protocol("spade-paper", load_suite("ade20k")).class_mean == "all"


def test_a_user_s_protocol_is_a_file_that_changes_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("based_on: output-size\nclass_mean: present\nfeatures: [toyscapes]\n")
    found = load_protocol(str(path), load_suite("toyscapes"))
    assert (found.name, found.image, found.label, found.class_mean) == ("ours", "own", "image", "present")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image: [", "broken YAML at line"),
        ("- image", "mapping of fields"),
        ("imagee: own", "no field 'imagee'.*image"),
        ("image: bigger", "image cannot be 'bigger'"),
        ("kernel: 3", "not true or false"),
        ("features: inception", "no list of feature nets"),
        ("based_on: nativ", "unknown protocol 'nativ'"),
        ("based_on: ours.yaml", "has to name a shipped protocol"),
    ],
)
def test_a_broken_protocol_file_is_told_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        load_protocol(str(path), load_suite("toyscapes"))
    assert "\n" not in str(caught.value)
