"""FID's net: the golden figures, its input, and that nothing but the real weights is called FID."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from fillrule import fill_value, tensor

from harness.errors import UserError
from harness.features import inception
from harness.features.base import FeatureNet
from harness.registry import FEATURES, lookup


@pytest.fixture(scope="module")
def state(golden):
    shapes = json.loads((golden / "fid" / "inception_shapes.json").read_text())
    filled = {key: torch.from_numpy(np.asarray(fill_value(key, tuple(shape)))) for key, shape in shapes.items()}
    return {key: value if value.dtype == torch.int64 else value.float() for key, value in filled.items()}


@pytest.fixture(scope="module")
def net(state):
    return inception.Inception(inception.build(state), "cpu")


@pytest.fixture
def images():
    return torch.from_numpy(tensor("fid_in", (2, 3, 64, 96)) * 0.5 + 0.5) * 255


@pytest.fixture
def no_weights_here(tmp_path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_golden_features_and_block_means(net, images, golden):
    expected = np.load(golden / "fid" / "inception_fid.npz")
    means = {}
    hooks = [
        block.register_forward_hook(lambda _m, _i, out, index=index: means.update({index: out.mean((2, 3)).numpy()}))
        for index, block in enumerate(net.net.blocks)
    ]
    got = net.extract(images)
    for hook in hooks:
        hook.remove()
    assert got.shape == (2, 2048)
    assert got.dtype == torch.float32
    # Swapped channels move these features by 6e-5, aligned corners by 4e-5, scaling by 128 as clean-fid by 1e-5.
    np.testing.assert_allclose(got.numpy(), expected["pool3"], rtol=0, atol=2e-6)
    for index in range(3):
        np.testing.assert_allclose(means[index], expected[f"block{index}_mean"], atol=1e-4)


def test_the_net_is_frozen_in_eval_mode_and_keeps_the_contract(net):
    assert isinstance(net, FeatureNet)
    assert (net.name, net.key, net.dim, net.weights) == ("inception", "fid", 2048, "6726825d")
    assert not net.net.training
    assert not any(parameter.requires_grad for parameter in net.net.parameters())


def test_building_leaves_the_random_state_and_the_downloader_as_they_were(state):
    from pytorch_fid import inception as official

    download = official.load_state_dict_from_url
    torch.manual_seed(3)
    before = torch.get_rng_state()
    inception.build(state)
    assert torch.equal(torch.get_rng_state(), before)
    assert official.load_state_dict_from_url is download
    with pytest.raises(RuntimeError):
        inception.build({})
    assert official.load_state_dict_from_url is download


@pytest.mark.usefixtures("no_weights_here")
def test_missing_weights_say_where_they_were_expected_and_how_to_get_them(tmp_path):
    with pytest.raises(UserError) as caught:
        lookup(FEATURES, "inception")(tmp_path / "mine", "cpu")
    text = str(caught.value)
    assert str(tmp_path / "mine") in text
    assert str(tmp_path / "torch" / "hub" / "checkpoints") in text
    assert "https://github.com/mseitzer/pytorch-fid/releases/" in text
    assert "\n" not in text


@pytest.mark.usefixtures("no_weights_here")
def test_other_weights_under_the_name_are_refused(tmp_path, state):
    torch.save(state, tmp_path / inception.FILE_NAME)
    with pytest.raises(UserError, match=r"wrong weights: sha256 begins with .* not 6726825d"):
        lookup(FEATURES, "inception")(tmp_path, "cpu")


@pytest.mark.usefixtures("no_weights_here")
def test_weights_of_another_net_are_told(tmp_path, monkeypatch):
    path = tmp_path / inception.FILE_NAME
    torch.save({"weight": torch.ones(1)}, path)
    monkeypatch.setattr(inception, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    with pytest.raises(UserError, match="do not fit pytorch-fid's net"):
        lookup(FEATURES, "inception")(tmp_path, "cpu")


@pytest.mark.usefixtures("no_weights_here")
def test_the_entry_loads_a_verified_file(tmp_path, monkeypatch, state, net, images):
    path = tmp_path / inception.FILE_NAME
    torch.save(state, path)
    monkeypatch.setattr(inception, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    loaded = lookup(FEATURES, "inception")(tmp_path, "cpu")
    assert torch.equal(loaded.extract(images[:1]), net.extract(images[:1]))
