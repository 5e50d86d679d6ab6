"""CRN's objective: the least error of k images for every class, on examples worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from harness.errors import UserError
from harness.features.random_vgg import random_vgg
from harness.labels import LabelMap, LabelSpec
from harness.registry import OBJECTIVES, lookup, options
from harness.training.objectives.diversity import diverse_perceptual, diversity


class Pixels:
    """A perceptual net whose maps are the image and the image at half size."""

    name, weights = "pixels", "0"

    def __init__(self, *layer_weights: float) -> None:
        self.layer_weights = layer_weights

    def layers(self, images: Tensor) -> list[Tensor]:
        return [images, nn.functional.avg_pool2d(images, 2)][: len(self.layer_weights)]


class Several(nn.Module):
    """A generator of k images, each of one grey value."""

    z_dim = 0

    def __init__(self, *greys: float) -> None:
        super().__init__()
        self.greys = nn.Parameter(torch.tensor(greys))

    def forward(self, labels: LabelMap, z: Tensor | None = None, every: bool = False) -> Tensor:
        made = self.greys.view(1, -1, 1, 1, 1).expand(len(labels), -1, 3, *labels.size)
        return made if every else made[:, 0]


class One(nn.Module):
    def forward(self, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        return torch.zeros(len(labels), 3, *labels.size)


@pytest.fixture
def scene() -> tuple[LabelMap, Tensor]:
    """4x4: the left quarter is class 0 and black (0), the rest class 1 and white (1); class 2 is absent."""
    indices = torch.ones(1, 4, 4, dtype=torch.int64)
    indices[:, :, 0] = 0
    return LabelMap(indices, LabelSpec(3, edges=True), torch.zeros(1, 4, 4, dtype=torch.bool)), indices.float()[
        :, None
    ].expand(1, 3, 4, 4)


def value(generator: nn.Module, scene: tuple[LabelMap, Tensor], net: Any, **given: Any) -> float:
    made = diversity(generator, None, None, *scene, None, {"perceptual": 1.0}, net, **given)
    assert list(made.losses) == ["perceptual"]
    return made.losses["perceptual"].item()


def test_one_image_pays_its_mean_error(scene: tuple[LabelMap, Tensor]) -> None:
    assert value(Several(0.0), scene, Pixels(1.0)) == pytest.approx(0.75)
    assert value(Several(0.4), scene, Pixels(1.0)) == pytest.approx(0.25 * 0.4 + 0.75 * 0.6)


def test_of_several_images_the_best_one_pays_for_each_class(scene: tuple[LabelMap, Tensor]) -> None:
    two = Several(0.1, 0.8)  # class 0 errs by 0.1 and 0.8 on a quarter, class 1 by 0.9 and 0.2 on the rest
    best, mean = 0.025 + 0.15, 0.1125 + 0.4125
    assert value(two, scene, Pixels(1.0), share_of_mean=0.0) == pytest.approx(best)
    assert value(two, scene, Pixels(1.0), share_of_mean=1.0) == pytest.approx(mean)
    assert value(two, scene, Pixels(1.0)) == pytest.approx(0.999 * best + 0.001 * mean)


def test_layers_are_weighted_and_added_before_the_least_is_taken(scene: tuple[LabelMap, Tensor]) -> None:
    # At half size the left column is half of either class with the photo at 0.5.
    def half(grey: float) -> tuple[float, float]:
        left, right = abs(grey - 0.5), abs(grey - 1.0)
        return 0.25 * left, 0.25 * left + 0.5 * right

    def total(grey: float) -> tuple[float, float]:
        return 2 * 0.25 * grey + 3 * half(grey)[0], 2 * 0.75 * (1 - grey) + 3 * half(grey)[1]

    expected = sum(min(errors) for errors in zip(total(0.1), total(0.8), strict=True))
    assert value(Several(0.1, 0.8), scene, Pixels(2.0, 3.0), share_of_mean=0.0) == pytest.approx(expected)


def test_each_image_of_a_batch_has_its_own_best() -> None:
    real = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    fakes = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1, 1).expand(2, 2, 3, 2, 2)
    assert diverse_perceptual(fakes, real, torch.ones(2, 1, 2, 2), Pixels(1.0), 0.0).item() == 0.0
    assert diverse_perceptual(fakes, real, torch.ones(2, 1, 2, 2), Pixels(1.0), 1.0).item() == 0.5


def test_the_share_of_the_mean_keeps_all_images_in_training(scene: tuple[LabelMap, Tensor]) -> None:
    net = Several(0.6, 0.7)  # class 0 prefers the first, class 1 the second; a third is best at nothing
    third = Several(0.6, 0.7, -5.0)
    for generator in (net, third):
        diversity(generator, None, None, *scene, None, {"perceptual": 10.0}, Pixels(1.0)).losses[
            "perceptual"
        ].backward()
        assert generator.greys.grad is not None
        assert bool((generator.greys.grad != 0).all())


def test_it_is_an_objective_of_the_registry_and_takes_any_net(scene: tuple[LabelMap, Tensor]) -> None:
    assert options(OBJECTIVES, "diversity", {}, skip=8) == {"share_of_mean": 0.001}
    indices = torch.zeros(1, 16, 18, dtype=torch.int64)  # odd sizes on the way down
    labels = LabelMap(indices, LabelSpec(2))
    made = lookup(OBJECTIVES, "diversity")(
        Fabric(accelerator="cpu").setup_module(Several(0.1, 0.3)),
        None,
        None,
        labels,
        torch.zeros(1, 3, 16, 18),
        None,
        {"perceptual": 10.0},
        random_vgg(None, "cpu"),
    )
    assert made.losses["perceptual"].isfinite()
    assert made.fake.shape == (1, 3, 16, 18)
    assert float(made.fake.detach().mean()) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("generator", "net", "share", "message"),
    [
        (Several(0.0), None, 0.001, "no perceptual net.*perceptual=random_vgg"),
        (One(), Pixels(1.0), 0.001, "one image for a label map.*crn"),
        (Several(0.0), Pixels(1.0), 1.5, "share_of_mean must be in 0 .. 1, not 1.5"),
    ],
)
def test_what_it_cannot_use_is_told_in_one_line(
    scene: tuple[LabelMap, Tensor], generator: nn.Module, net: Any, share: float, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        value(generator, scene, net, share_of_mean=share)
    assert "\n" not in str(caught.value)
