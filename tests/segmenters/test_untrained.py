"""Nets without weight files: of the real size, the same on every call, and each meets the contract of a segmenter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from releases import meta_keys, release_keys
from torch import nn

from harness.errors import UserError
from harness.registry import SEGMENTERS, UNTRAINED, names
from harness.segmenters.base import Segmenter
from harness.segmenters.opening import open_segmenter
from harness.segmenters.untrained import untrained
from harness.segmenters.upernet import UPerNetADE20K

BOTH = sorted(set(names(SEGMENTERS)) & set(names(UNTRAINED)))
SIZE = (64, 96)


def photos(count: int = 1) -> torch.Tensor:
    """Soft blobs, 0 .. 255."""
    coarse = 255 * torch.rand(count, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=SIZE, mode="bilinear")


@pytest.fixture(autouse=True)
def no_weights_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_every_segmenter_with_a_release_file_has_a_form_without_it() -> None:
    assert [name for name in names(SEGMENTERS) if name not in BOTH] == ["toyscapes"]


@pytest.mark.parametrize("name", BOTH)
def test_it_meets_the_contract(name: str) -> None:
    segmenter: Any = open_segmenter(name, None, "cpu", random_weights=True)
    if isinstance(segmenter, UPerNetADE20K):
        # Sides of 300 to 600 take a minute and show nothing more here.
        sides = segmenter.reading.short_sides
        assert len(sides) in (1, 5)
        segmenter.reading = replace(segmenter.reading, short_sides=(64,) if len(sides) == 1 else (48, 64))
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.weights) == (name, "random")
    out = segmenter.predict(photos())
    assert (out.shape, out.dtype) == ((1, *SIZE), torch.int64)
    assert int(out.min()) >= 0
    # Beside ESPNet's twelfth output, which is void, nothing lies beyond the classes.
    assert int(out.max()) < segmenter.classes + (name == "espnet_camvid")
    assert len(out.unique()) > 5


def test_images_do_not_mix() -> None:
    segmenter = open_segmenter("espnet_camvid", None, "cpu", random_weights=True)
    images = photos(2)
    alone = torch.cat([segmenter.predict(image[None]) for image in images])
    assert (segmenter.predict(images) == alone).float().mean() > 0.999


def test_it_is_the_same_on_every_call_and_moves_nobodys_random_state() -> None:
    before = torch.get_rng_state()
    first: Any = open_segmenter("espnet_camvid", None, "cpu", random_weights=True)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    second: Any = open_segmenter("espnet_camvid", None, "cpu", random_weights=True)
    for key, value in first.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[key]), key
        assert value.isfinite().all(), key


def test_names_and_shapes_are_those_of_the_release(golden: Path) -> None:
    drn: Any = open_segmenter("drn_d_105_cityscapes", None, "cpu", random_weights=True)
    assert meta_keys(drn.net) == release_keys(golden, "drn_d_105_cityscapes19")
    # The upsampling is no random one.
    assert (drn.net.up.weight > 0).all()
    assert not any(p.requires_grad for p in drn.net.parameters())


def test_weights_keep_the_variance_and_drop_the_mean() -> None:
    net = untrained(lambda: nn.Sequential(nn.Conv2d(64, 32, 3), nn.BatchNorm2d(32), nn.ConvTranspose2d(32, 48, 4, 2)))
    assert not net.training
    noise = torch.randn(4, 64, 24, 24, generator=torch.Generator().manual_seed(1))
    assert 0.8 < float(net[0](noise).std()) < 1.2
    assert float(net[0](torch.ones(1, 64, 5, 5)).abs().max()) < 1e-4
    torch.testing.assert_close(net[2].weight.mean(dim=(0, 2, 3)), torch.zeros(48), atol=1e-6, rtol=0)


def test_a_segmenter_without_such_a_form_is_named_with_those_that_have_one() -> None:
    with pytest.raises(UserError, match=r"'toyscapes' has no form with random weights.*drn_d_105_cityscapes"):
        open_segmenter("toyscapes", None, "cpu", random_weights=True)
