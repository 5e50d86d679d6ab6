"""What every feature net keeps to, whichever it is, and how one is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.features.base import FeatureNet
from harness.features.opening import open_feature_net
from harness.features.untrained import draw_state, early_shapes, fid_shapes
from harness.registry import FEATURES, UNTRAINED, names

INCEPTIONS = (
    "inception",
    "inception_clean",
    "inception_torchvision",
    "inception_torchvision_renormalised",
)


@cache
def opened(name: str) -> FeatureNet:
    """With random weights where it comes with such, else with its own."""
    if name in names(UNTRAINED):
        return open_feature_net(name, None, "cpu", random_weights=True)
    try:
        return open_feature_net(name, None, "cpu")
    except UserError as error:
        pytest.skip(f"its weights are not here: {error.what}")


@pytest.fixture(params=names(FEATURES))
def net(request: pytest.FixtureRequest) -> FeatureNet:
    return opened(request.param)


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, 64, 96), generator=torch.Generator().manual_seed(seed)).float()


def test_a_net_keeps_the_contract(net: FeatureNet, request: pytest.FixtureRequest) -> None:
    assert isinstance(net, FeatureNet)
    assert net.name in request.node.name
    assert net.key == f"fd_{net.name}" or (net.key, net.name, net.weights) == ("fid", "inception", "6726825d")
    assert net.weights == "random" or (len(net.weights) == 8 and int(net.weights, 16) >= 0)
    given, state = images(3), torch.get_rng_state()
    before = given.clone()
    got = net.extract(given)
    assert got.shape == (3, net.dim)
    assert got.dtype == torch.float32
    assert torch.isfinite(got).all()
    assert not got.requires_grad
    assert torch.equal(given, before), "the caller's images were changed"
    assert torch.equal(torch.get_rng_state(), state)
    modules = [part for part in vars(net).values() if isinstance(part, nn.Module)]
    assert not any(module.training for part in modules for module in part.modules())
    # An image's features are its own: a last batch of one gives them as a full one does.
    scale = float(got.abs().max())
    torch.testing.assert_close(net.extract(given[2:]), got[2:], rtol=0, atol=1e-5 * scale)
    assert float((got[0] - got[1]).abs().max()) > 1e-4 * scale, "it sees no difference between two images"


def test_keys_tell_all_nets_apart() -> None:
    assert len({f"fd_{name}" for name in names(FEATURES)}) == len(names(FEATURES))
    assert {"efficientnet_lite0", "toyscapes", *INCEPTIONS} <= set(names(FEATURES))


@pytest.mark.parametrize("name", INCEPTIONS)
def test_random_weights_say_so_and_are_never_fid(name: str) -> None:
    net = opened(name)
    assert (net.name, net.key, net.weights, net.dim) == (name, f"fd_{name}", "random", 2048)


def test_random_weights_follow_a_fixed_seed_and_leave_the_random_state() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = open_feature_net("inception", None, "cpu", random_weights=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.extract(images(1)), opened("inception").extract(images(1)))


@pytest.mark.parametrize(
    ("file", "shapes"),
    [("inception_shapes.json", fid_shapes), ("inception_torchvision_shapes.json", early_shapes)],
)
def test_random_weights_have_the_names_and_shapes_of_the_release(
    file: str, shapes: Callable[[], nn.Module], golden: Path
) -> None:
    expected = {key: tuple(shape) for key, shape in json.loads((golden / "fid" / file).read_text()).items()}
    drawn = draw_state(shapes())
    assert {key: tuple(value.shape) for key, value in drawn.items()} == expected
    assert not any(value.is_meta for value in drawn.values())


def test_a_net_without_random_weights_and_an_unknown_one_are_told_in_one_line() -> None:
    with pytest.raises(
        UserError, match=r"'toyscapes' does not come with random weights.*inception, inception_clean"
    ) as caught:
        open_feature_net("toyscapes", None, "cpu", random_weights=True)
    assert "\n" not in str(caught.value)
    for drawn in (False, True):
        with pytest.raises(UserError, match=r"unknown feature net 'inceptoin'.*inception"):
            open_feature_net("inceptoin", None, "cpu", random_weights=drawn)
    # A segmenter's entry in the same registry is no feature net.
    for name in set(names(UNTRAINED)) - set(names(FEATURES)):
        with pytest.raises(UserError, match="unknown feature net"):
            open_feature_net(name, None, "cpu", random_weights=True)


def test_own_weights_are_looked_for_in_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError) as caught:
        open_feature_net("inception_clean", tmp_path / "mine", "cpu")
    assert str(tmp_path / "mine") in str(caught.value)
    assert open_feature_net("toyscapes", None, "cpu").key == "fd_toyscapes"
