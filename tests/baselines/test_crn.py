"""The cascaded refinement network: its sizes and widths, what its modules read, and its images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from baselines.crn import CRN, start_size, width_at
from harness.errors import UserError
from harness.features.random_vgg import random_vgg
from harness.labels import LabelMap, LabelSpec
from harness.training.objectives.diversity import diversity

LABELS = LabelSpec(classes=4, edges=True)


def labels_of(height: int, width: int, count: int = 2) -> LabelMap:
    rng = torch.Generator().manual_seed(0)
    indices = torch.randint(0, LABELS.classes, (count, height, width), generator=rng)
    return LabelMap(indices, LABELS, torch.rand(count, height, width, generator=rng) < 0.2)


def crn(size: tuple[int, int], width: int = 32, images: int = 3, **options: Any) -> CRN:
    net = CRN(LABELS, size, width=width, images=images, **options)
    net.initialise(torch.Generator().manual_seed(0))
    return net


@pytest.mark.parametrize(
    ("size", "start"),
    [
        ((256, 512), (4, 8)),
        ((256, 256), (4, 4)),
        ((64, 64), (4, 4)),
        ((192, 256), (3, 4)),
        ((512, 1024), (4, 8)),
        ((60, 80), (15, 20)),
        ((6, 6), (3, 3)),
    ],
)
def test_the_first_module_has_the_smallest_size_of_the_aspect(size: tuple[int, int], start: tuple[int, int]) -> None:
    assert start_size(size) == start


@pytest.mark.parametrize(("size", "end"), [((68, 68), "17x17"), ((360, 480), "60x45"), ((99, 99), "99x99")])
def test_a_size_without_a_small_start_is_refused_in_one_line(size: tuple[int, int], end: str) -> None:
    with pytest.raises(UserError, match=f"{size[1]}x{size[0]}: halving ends at {end}") as caught:
        crn(size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("width", "images"), [(0, 9), (8, 0)])
def test_no_width_or_no_images_are_refused(width: int, images: int) -> None:
    with pytest.raises(UserError, match="1 or more"):
        crn((8, 8), width=width, images=images)


def test_widths_fall_with_the_height_as_published() -> None:
    heights = (3, 64, 96, 128, 192, 256, 512, 1024)
    assert [width_at(height, 1024) for height in heights] == [1024, 1024, 512, 512, 512, 512, 128, 32]
    assert width_at(1024, 8) == 1


@pytest.mark.parametrize("size", [(64, 64), (32, 64), (48, 64), (192, 256), (20, 28)])
def test_images_have_the_size_asked_for(size: tuple[int, int]) -> None:
    net = crn(size, width=8)
    labels = labels_of(*size, count=1)
    with torch.no_grad():
        every, first = net(labels, every=True), net(labels)
    assert every.shape == (1, 3, 3, *size)
    assert torch.equal(first, every[:, 0])
    assert not torch.equal(every[:, 0], every[:, 1])
    assert net.z_dim == 0


def test_modules_double_from_the_start_and_read_the_label_map_averaged_over_areas() -> None:
    net = crn((32, 64))
    labels = labels_of(64, 128)  # of another size: nearest to the images' size, then area
    read: list[torch.Tensor] = []
    for module in net.refine:
        module.get_submodule("conv_0").register_forward_pre_hook(lambda layer, given: read.append(given[0]))
    with torch.no_grad():
        net(labels)
    assert [tuple(x.shape[2:]) for x in read] == [(4, 8), (8, 16), (16, 32), (32, 64)]
    assert [x.shape[1] for x in read] == [5, 37, 37, 37]
    full = labels.resized(32, 64).one_hot()
    for x in read:
        expected = nn.functional.interpolate(full, size=x.shape[2:], mode="area")
        torch.testing.assert_close(x[:, -LABELS.channels :], expected)


def test_convs_have_no_bias_but_for_the_head() -> None:
    convs = {name: layer for name, layer in crn((16, 16)).named_modules() if isinstance(layer, nn.Conv2d)}
    assert [name for name, layer in convs.items() if layer.bias is not None] == ["head"]
    assert convs["head"].out_channels == 9
    assert convs["head"].kernel_size == (1, 1)


@pytest.mark.parametrize("norm", ["none", "batch", {"name": "spade", "hidden": 4}])
def test_it_takes_any_norm_of_the_registry(norm: Any) -> None:
    assert crn((16, 16), width=4, norm=norm)(labels_of(16, 16)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_diversity_loss_reaches_every_parameter(bf16: bool) -> None:
    net = crn((32, 64), width=8)
    photos = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        made = diversity(net, None, None, labels_of(32, 64), photos, None, {"perceptual": 1.0}, random_vgg(None, "cpu"))
    made.losses["perceptual"].backward()
    assert made.fake.shape == photos.shape
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert float(parameter.grad.abs().max()) > 0, name
    head = net.head.weight.grad
    assert head is not None
    assert all(float(of_image.abs().max()) > 0 for of_image in head.chunk(3))  # each image has its gradient
