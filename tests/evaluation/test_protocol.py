"""Signatures and hashes of protocols."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.evaluation.protocol import Protocol, Signed, short_hash

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
)


def test_the_signature_is_one_line_that_names_everything() -> None:
    assert BASE.signature == (
        "suite:s split:val500@89abcdef image:label:bilinear label:native void:ignore mean:union seg:net@01234567 "
        "fd:a@11111111+b@22222222 size:512x256:bicubic ref:scored@89abcdef u8:truncate v1"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": replace(BASE.protocol, image="own")},
        {"protocol": replace(BASE.protocol, label="image")},
        {"protocol": replace(BASE.protocol, class_mean="all")},
        {"segmenter_weights": "76543210"},
        {"data": "00000000"},
        {"count": 499},
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
        {"size": (128, 256)},
        {"reference": "00000000"},
        {"protocol": replace(BASE.protocol, reference="train")},
    ],
)
def test_what_changes_only_a_distance_leaves_the_segmentation_signature(change: dict) -> None:
    other = replace(BASE, **change)
    assert other.segmentation == BASE.segmentation
    assert other.distance != BASE.distance
    assert other.signature != BASE.signature


def test_without_feature_nets_the_signature_says_none() -> None:
    bare = replace(BASE, protocol=replace(BASE.protocol, features=()), feature_weights=(), reference="")
    assert "fd:none" in bare.signature
