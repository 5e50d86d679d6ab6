"""The paper's perceptual net: the golden figures, gradients, and its weight file."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from fillrule import fill_value, tensor

from harness.errors import UserError
from harness.features import vgg19
from harness.features.base import PerceptualNet
from harness.registry import PERCEPTUAL, lookup

NAMES = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture(scope="module")
def state():
    from torchvision.models import vgg

    whole = vgg.make_layers(vgg.cfgs["E"]).state_dict()
    return {
        f"features.{key}": torch.from_numpy(fill_value(f"features.{key}", tuple(value.shape))).float()
        for key, value in whole.items()
    }


@pytest.fixture(scope="module")
def net(state):
    return vgg19.VGG19(vgg19.build(state), "cpu")


@pytest.fixture
def no_weights_here(tmp_path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def image(name: str) -> torch.Tensor:
    return torch.from_numpy(tensor(name, (2, 3, 64, 64)))


def test_golden_feature_maps(net, golden):
    expected = np.load(golden / "fid" / "vgg19_slices.npz")
    maps = net.layers(image("img"))
    assert [tuple(layer.shape[1:]) for layer in maps] == [
        (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4),
    ]  # fmt: skip
    for name, layer in zip(NAMES, maps, strict=True):
        np.testing.assert_allclose(layer.mean((2, 3)).numpy(), expected[f"{name}_mean"], atol=1e-4)


def test_golden_loss(net, golden):
    figures = json.loads((golden / "fid" / "vggloss.json").read_text())
    assert list(net.layer_weights) == figures["weights"]
    pairs = zip(net.layers(image("img")), net.layers(image("img2")), strict=True)
    distances = [float((one - other).abs().mean()) for one, other in pairs]
    assert distances == pytest.approx(figures["vgg_l1_per_slice"], rel=1e-4)
    total = sum(weight * value for weight, value in zip(net.layer_weights, distances, strict=True))
    assert total == pytest.approx(figures["total_unscaled"], rel=1e-4)


def test_gradients_reach_the_image_and_not_the_net(net):
    assert isinstance(net, PerceptualNet)
    assert not net.net.training
    x = image("img").requires_grad_()
    sum(layer.abs().mean() for layer in net.layers(x)).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in net.net.parameters())


def test_building_leaves_the_random_state_as_it_was(state):
    before = torch.get_rng_state()
    vgg19.build(state)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("no_weights_here")
def test_missing_weights_say_where_they_were_expected_and_how_to_get_them(tmp_path):
    with pytest.raises(UserError) as caught:
        lookup(PERCEPTUAL, "vgg19")(tmp_path / "mine", "cpu")
    text = str(caught.value)
    assert str(tmp_path / "mine") in text
    assert str(tmp_path / "torch" / "hub" / "checkpoints") in text
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in text


@pytest.mark.usefixtures("no_weights_here")
def test_other_weights_under_the_name_are_refused(tmp_path):
    torch.save({"features.0.weight": torch.ones(1)}, tmp_path / vgg19.FILE_NAME)
    with pytest.raises(UserError, match=r"wrong weights: sha256 begins with .* not dcbb9e9d"):
        lookup(PERCEPTUAL, "vgg19")(tmp_path, "cpu")


@pytest.mark.usefixtures("no_weights_here")
def test_a_verified_file_loads_and_its_classifier_is_left_out(tmp_path, monkeypatch, state, net):
    path = tmp_path / vgg19.FILE_NAME
    torch.save({**state, "classifier.0.weight": torch.ones(2)}, path)
    monkeypatch.setattr(vgg19, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    loaded = lookup(PERCEPTUAL, "vgg19")(tmp_path, "cpu")
    assert torch.equal(loaded.layers(image("img"))[-1], net.layers(image("img"))[-1])


@pytest.mark.usefixtures("no_weights_here")
@pytest.mark.parametrize("keys", [["classifier.0.weight"], ["features.0.weight"], ["features.weight"]])
def test_weights_of_another_net_are_told(tmp_path, monkeypatch, keys):
    path = tmp_path / vgg19.FILE_NAME
    torch.save({key: torch.ones(1) for key in keys}, path)
    monkeypatch.setattr(vgg19, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    with pytest.raises(UserError, match="do not fit torchvision's VGG19"):
        lookup(PERCEPTUAL, "vgg19")(tmp_path, "cpu")
