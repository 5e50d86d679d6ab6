"""The perceptual net without a file: its weights never change, and it tells images apart at every level."""

from __future__ import annotations

import pytest
import torch

from harness.features import random_vgg
from harness.features.base import PerceptualNet
from harness.registry import PERCEPTUAL, lookup


@pytest.fixture
def net() -> random_vgg.RandomVGG:
    return lookup(PERCEPTUAL, "random_vgg")(None, "cpu")


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_weights_are_the_same_everywhere(net: random_vgg.RandomVGG) -> None:
    assert net.weights == "66d26e0c"
    assert net.convs[0].flatten()[:3].tolist() == pytest.approx([-0.00352932, 0.25288194, -0.38798720], abs=1e-7)


def test_drawing_them_leaves_the_random_state_as_it_was() -> None:
    before = torch.get_rng_state()
    random_vgg.draw_weights()
    assert torch.equal(torch.get_rng_state(), before)


def test_another_weight_is_another_digest() -> None:
    weights = random_vgg.draw_weights()
    weights[-1][0, 0, 0, 0] += 1e-6
    assert random_vgg.digest(weights) != "66d26e0c"


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 48), (33, 70)])
def test_there_is_a_map_for_each_weight_from_16_pixels_up(net: random_vgg.RandomVGG, height: int, width: int) -> None:
    maps = net.layers(images(2, 3, height, width))
    expected = [(2, wide, height >> level, width >> level) for level, wide in enumerate(random_vgg.WIDTHS)]
    assert [tuple(layer.shape) for layer in maps] == expected
    assert len(maps) == len(net.layer_weights)


def test_gradients_reach_the_image_and_not_the_net(net: random_vgg.RandomVGG) -> None:
    assert isinstance(net, PerceptualNet)
    x = images(2, 3, 32, 32).requires_grad_()
    torch.stack([layer.abs().mean() for layer in net.layers(x)]).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    assert float(x.grad.abs().max()) > 0
    assert all(not weight.requires_grad for weight in net.convs)


def test_no_level_vanishes(net: random_vgg.RandomVGG) -> None:
    smooth = torch.nn.functional.interpolate(images(8, 3, 8, 8), size=(64, 64), mode="bilinear")
    first, *deeper = (
        float((a - b).abs().mean()) for a, b in zip(net.layers(smooth), net.layers(smooth.roll(1, 0)), strict=True)
    )
    assert all(0.4 * first < level < 2 * first for level in deeper)


def test_the_variant_for_crn_and_sims_has_the_image_first_and_the_same_weights() -> None:
    plain, scaled = (lookup(PERCEPTUAL, name)(None, "cpu") for name in ("random_vgg", "random_vgg_255"))
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    maps = scaled.layers(images)
    assert len(maps) == len(scaled.layer_weights) == 6
    torch.testing.assert_close(maps[0], (images + 1) * 127.5)
    torch.testing.assert_close(maps[1:], plain.layers((images + 1) * 127.5))
    assert plain.weights == scaled.weights
