"""clean-fid's reading of FID's net: its resize is clean-fid's, and what follows is FID's net on clean-fid's scale."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.errors import UserError
from harness.features import inception
from harness.features.base import FeatureNet
from harness.features.inception_clean import resize
from harness.features.opening import open_feature_net
from harness.features.untrained import draw_state, fid_shapes
from harness.registry import FEATURES, lookup


@pytest.fixture(scope="module")
def net() -> FeatureNet:
    return open_feature_net("inception_clean", None, "cpu", random_weights=True)


@pytest.fixture
def no_weights_here(tmp_path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (256, 512), (299, 299), (700, 300), (1024, 2048), (3, 1)])
def test_the_resize_is_that_of_clean_fid(height, width):
    build_resizer = pytest.importorskip("cleanfid.resize").build_resizer
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = build_resizer("clean")(image).transpose(2, 0, 1)
    got = resize(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    assert got.dtype == torch.float32
    # In float32 it would be off by 0.001 and more.
    np.testing.assert_allclose(got[0].numpy(), expected, rtol=0, atol=255e-6)


def test_the_resize_neither_overshoots_nor_rounds_and_leaves_a_fitting_image_alone():
    stripes = (torch.arange(40) % 2 * 255.0).repeat(2, 3, 30, 1)
    got = resize(stripes)
    assert got.min() == 0
    assert got.max() == 255
    assert (got != got.round()).any()
    fitting = torch.rand(1, 3, 299, 299) * 255
    assert torch.equal(resize(fitting), fitting)


def test_it_is_the_net_of_fid_on_another_scale(net):
    images = torch.randint(0, 256, (1, 3, 299, 299), generator=torch.Generator().manual_seed(0)).float()
    fid = open_feature_net("inception", None, "cpu", random_weights=True)
    # FID's net takes 2 v / 255 - 1, and such images are not resized by either.
    same = ((images - 128) / 128 + 1) * 127.5
    torch.testing.assert_close(net.extract(images), fid.extract(same), rtol=1e-4, atol=1e-5)


def test_it_averages_what_the_resize_of_fid_samples():
    # Stripes of one pixel at a third of the size: a bilinear resize without a filter takes every third pixel.
    side = 3 * 299
    stripes = (torch.arange(side) % 2 * 255.0).repeat(1, 3, side, 1)
    sampled = F.interpolate(stripes, (299, 299), mode="bilinear", align_corners=False)
    assert float((sampled - 127.5).abs().min()) > 127
    assert float((resize(stripes) - 127.5)[..., 2:-2].abs().max()) < 5


@pytest.mark.usefixtures("no_weights_here")
def test_it_takes_the_file_of_fid_and_is_not_called_fid(tmp_path, monkeypatch, net):
    with pytest.raises(UserError, match=f"no weight file {inception.FILE_NAME}"):
        lookup(FEATURES, "inception_clean")(tmp_path, "cpu")
    path = tmp_path / inception.FILE_NAME
    torch.save(draw_state(fid_shapes()), path)
    with pytest.raises(UserError, match=r"wrong weights: sha256 begins with .* not 6726825d"):
        lookup(FEATURES, "inception_clean")(tmp_path, "cpu")
    monkeypatch.setattr(inception, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    loaded = lookup(FEATURES, "inception_clean")(tmp_path, "cpu")
    assert (loaded.name, loaded.key, loaded.weights) == ("inception_clean", "fd_inception_clean", "6726825d")
    images = torch.randint(0, 256, (1, 3, 40, 60)).float()
    assert torch.equal(loaded.extract(images), net.extract(images))
