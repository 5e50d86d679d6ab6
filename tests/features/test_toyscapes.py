"""The built-in suite's feature net: its distance is small for photos, and grows as photos are spoilt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.toyscapes import Toyscapes
from harness.features.base import FeatureNet
from harness.registry import FEATURES, SEGMENTERS, lookup


@pytest.fixture(scope="module")
def net() -> FeatureNet:
    return lookup(FEATURES, "toyscapes")(None, "cpu")


def photos(split: str, count: int) -> Tensor:
    dataset = Toyscapes(None, split, count=count)
    samples = [dataset.load(index) for index in range(count)]
    return torch.stack([torch.from_numpy(s.photo).permute(2, 0, 1).float() for s in samples])  # type: ignore[arg-type]


def moments(net: FeatureNet, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    found = torch.cat([net.extract(part) for part in images.split(20)]).double().numpy()
    return found.mean(axis=0), np.cov(found, rowvar=False)


def distance(one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]) -> float:
    """The Fréchet distance written out, independent of the project's own."""
    roots = np.sqrt(np.clip(np.linalg.eigvals(one[1] @ two[1]).real, 0, None))
    return float(((one[0] - two[0]) ** 2).sum() + np.trace(one[1]) + np.trace(two[1]) - 2 * roots.sum())


def test_contract(net: FeatureNet) -> None:
    images = photos("val", 3)
    features = net.extract(images)
    assert features.shape == (3, net.dim)
    assert features.dtype == torch.float32
    assert (net.name, net.key) == ("toyscapes", "fd_toyscapes")
    assert net.weights == lookup(SEGMENTERS, "toyscapes")(None, "cpu").weights
    assert torch.allclose(features[1:2], net.extract(images[1:2]), atol=1e-5)
    assert (features.std(dim=0) > 1e-4).sum() > net.dim // 2


def test_distance_grows_as_photos_are_spoilt(net: FeatureNet) -> None:
    reference = moments(net, photos("val", 150))
    train = photos("train", 150)
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(0))
    blurred = F.avg_pool2d(F.pad(train, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    more = F.avg_pool2d(F.pad(blurred, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    floor = distance(reference, moments(net, train))
    blur = [distance(reference, moments(net, images)) for images in (blurred, more)]
    noisy = [distance(reference, moments(net, (train + s * noise).clamp(0, 255))) for s in (15, 60)]
    other = distance(reference, moments(net, (128 + 60 * noise).clamp(0, 255)))
    assert floor < blur[0] < blur[1]
    assert floor < noisy[0] < noisy[1] < other
    # One grey look for all label maps is no photo album.
    assert distance(reference, moments(net, train * 0.2 + 100)) > 3 * floor
