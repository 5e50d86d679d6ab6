"""VGG19 as CRN and SIMS use it: what goes in, which maps come out, and their weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from fillrule import fill_value
from torch import Tensor

from harness.errors import UserError
from harness.features import vgg19, vgg19_variants
from harness.features.base import PerceptualNet
from harness.registry import PERCEPTUAL, lookup

CONVS = (2, 7, 12, 21, 30)  # conv1_2, 2_2, 3_2, 4_2, 5_2 in torchvision's list
POOLS = (4, 9, 18, 27)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    from torchvision.models import vgg

    whole = vgg.make_layers(vgg.cfgs["E"]).state_dict()
    return {
        f"features.{key}": torch.from_numpy(fill_value(f"features.{key}", tuple(value.shape))).float()
        for key, value in whole.items()
    }


@pytest.fixture(scope="module")
def nets(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> dict[str, PerceptualNet]:
    folder = tmp_path_factory.mktemp("weights")
    path = folder / vgg19.FILE_NAME
    torch.save({**state, "classifier.0.weight": torch.ones(2)}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg19, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
        return {name: lookup(PERCEPTUAL, name)(folder, "cpu") for name in ("vgg19_crn", "vgg19_sims")}


def images(height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def expected_maps(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """The maps by the plain functions, straight from the weights."""
    x = (x + 1) / 2 * 255 - torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)
    maps = [x]
    for index in range(CONVS[-1] + 1):
        if f"features.{index}.weight" in state:
            x = F.relu(F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1))
        if index in CONVS:
            maps.append(x)
        if index in POOLS:
            x = F.avg_pool2d(x, 2)
    return maps


def test_the_maps_are_those_of_the_mean_subtracted_image_under_average_pooling(
    nets: dict[str, PerceptualNet], state: dict[str, Tensor]
) -> None:
    expected = expected_maps(state, images())
    for name, net in nets.items():
        assert isinstance(net, PerceptualNet)
        assert net.name == name
        assert net.weights == "dcbb9e9d"
        found = net.layers(images())
        assert [layer.shape[1] for layer in found] == [3, 64, 128, 256, 512, 512]
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "divisors"),
    [("vgg19_crn", (1, 1.6, 2.3, 1.8, 2.8, 0.8 / 10)), ("vgg19_sims", (1, 2.6, 4.8, 3.7, 5.6, 1.5 / 10))],
)
def test_weights_are_one_over_the_published_divisors(
    nets: dict[str, PerceptualNet], name: str, divisors: tuple[float, ...]
) -> None:
    assert nets[name].layer_weights == pytest.approx([1 / divisor for divisor in divisors])


def test_gradients_reach_the_image(nets: dict[str, PerceptualNet]) -> None:
    x = images(16, 16).requires_grad_()
    maps = nets["vgg19_crn"].layers(x)
    assert maps[-1].shape[2:] == (1, 1)
    torch.stack([layer.abs().mean() for layer in maps]).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    assert float(x.grad.abs().max()) > 0


@pytest.mark.parametrize("name", ["vgg19_crn", "vgg19_sims"])
def test_missing_weights_are_told_as_for_vgg19(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError, match=r"no weight file vgg19-dcbb9e9d\.pth"):
        lookup(PERCEPTUAL, name)(tmp_path, "cpu")


def test_other_nets_keep_their_max_pooling(state: dict[str, Tensor]) -> None:
    net = vgg19.build(state)
    vgg19_variants.MeanSubtractedVGG19("x", (1.0,), net, "cpu")
    assert sum(isinstance(layer, torch.nn.MaxPool2d) for layer in net) == 4
