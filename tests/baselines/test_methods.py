"""What holds for every method in the registry, at small widths."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from mmengine.registry import Registry
from torch import Tensor, nn

from harness.labels import LabelMap, LabelSpec
from harness.method import Method, Part
from harness.registry import DISCRIMINATORS, ENCODERS, GENERATORS, METHODS, lookup, names, options

LABELS = LabelSpec(classes=4, edges=True)
SIZES = [(64, 64), (64, 96)]
SMALL = {"ngf": 4, "ndf": 4, "blocks": 2, "z_dim": 8, "hidden": 6}


@dataclass
class Nets:
    generator: nn.Module
    discriminator: nn.Module
    encoder: nn.Module | None

    def all(self) -> dict[str, nn.Module]:
        nets = {"generator": self.generator, "discriminator": self.discriminator, "encoder": self.encoder}
        return {name: net for name, net in nets.items() if net is not None}

    def images(self, labels: LabelMap, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Images, and the sum of squares of the encoder's output."""
        if self.encoder is None:
            return self.generator(labels), torch.zeros(())
        mu, logvar = self.encoder(photos)
        return self.generator(labels, mu + (0.5 * logvar).exp()), (mu**2).sum() + (logvar**2).sum()


def build(registry: Registry, part: Part, seed: int, *given: Any) -> nn.Module:
    chosen = options(registry, part.name, part.options, skip=len(given))
    chosen |= {key: value for key, value in SMALL.items() if key in chosen}
    if isinstance(norm := chosen.get("norm"), dict):
        chosen["norm"] = {key: SMALL.get(key, value) for key, value in norm.items()}
    net = lookup(registry, part.name)(*given, **chosen)
    net.initialise(torch.Generator().manual_seed(seed))
    return net


def build_all(method: Method, size: tuple[int, int], seed: int = 0) -> Nets:
    assert method.discriminator is not None
    return Nets(
        build(GENERATORS, method.generator, seed, LABELS, size),
        build(DISCRIMINATORS, method.discriminator, seed, LABELS),
        None if method.encoder is None else build(ENCODERS, method.encoder, seed),
    )


def batch(size: tuple[int, int], count: int = 2) -> tuple[LabelMap, Tensor]:
    rng = torch.Generator().manual_seed(1)
    shape = (count, *size)
    edges = torch.rand(shape, generator=rng) < 0.1
    labels = LabelMap(torch.randint(0, LABELS.classes, shape, generator=rng), LABELS, edges)
    return labels, torch.rand(count, 3, *size, generator=rng) * 2 - 1


@pytest.fixture(params=names(METHODS))
def method(request: pytest.FixtureRequest) -> Method:
    return lookup(METHODS, request.param)()


def test_the_methods_of_this_package_are_found() -> None:
    assert {"spade", "spade_vae", "pix2pixhdpp", "pix2pixhd"} <= set(names(METHODS))


def test_a_definition_is_plain_data_under_its_own_name(method: Method) -> None:
    assert lookup(METHODS, method.name)() == method
    assert json.loads(json.dumps(method.as_dict()))["name"] == method.name
    resolved = options(GENERATORS, method.generator.name, method.generator.options, skip=2)
    assert json.loads(json.dumps(resolved)) == resolved


@pytest.mark.parametrize("size", SIZES)
def test_images_have_the_size_asked_for_and_every_parameter_learns(method: Method, size: tuple[int, int]) -> None:
    nets = build_all(method, size)
    labels, photos = batch(size)
    images, posterior = nets.images(labels, photos)
    assert images.shape == (2, 3, *size)
    assert float(images.detach().abs().max()) <= 1.0
    scales = nets.discriminator(labels, images)
    loss = sum((features**2).mean() for scale in scales for features in scale) + posterior
    loss.backward()
    for which, net in nets.all().items():
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, f"{which}: {name}"
            assert bool(parameter.grad.isfinite().all()), f"{which}: {name}"
            # The gradient of a bias in front of a norm is zero by right.
            assert parameter.dim() < 2 or float(parameter.grad.abs().max()) > 0, f"{which}: {name}"


def test_z_is_wanted_where_it_is_declared(method: Method) -> None:
    nets = build_all(method, SIZES[0])
    assert (nets.generator.z_dim > 0) == (method.encoder is not None or bool(method.generator.options.get("use_z")))
    if nets.encoder is not None:
        assert nets.encoder(batch(SIZES[0])[1])[0].shape == (2, nets.generator.z_dim)


def test_saved_and_loaded_networks_give_the_same_output(method: Method) -> None:
    one, two = build_all(method, SIZES[1], seed=0), build_all(method, SIZES[1], seed=1)
    labels, photos = batch(SIZES[1])
    with torch.no_grad():
        one.images(labels, photos)  # a training forward moves the buffers
    for name, net in one.all().items():
        file = io.BytesIO()
        torch.save(net.state_dict(), file)
        file.seek(0)
        two.all()[name].load_state_dict(torch.load(file, weights_only=True))
    for net in (*one.all().values(), *two.all().values()):
        net.eval()
    with torch.no_grad():
        images = one.images(labels, photos)[0]
        assert torch.equal(images, two.images(labels, photos)[0])
        for a, b in zip(one.discriminator(labels, images), two.discriminator(labels, images), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_starting_weights_depend_on_the_seed_alone(method: Method) -> None:
    torch.manual_seed(1)
    one = build_all(method, SIZES[0], seed=3).all()
    torch.manual_seed(2)
    two, other = build_all(method, SIZES[0], seed=3).all(), build_all(method, SIZES[0], seed=4).all()
    for name in one:
        ours, same, different = (nets[name].state_dict() for nets in (one, two, other))
        assert all(torch.equal(value, same[key]) for key, value in ours.items()), name
        assert not all(torch.equal(value, different[key]) for key, value in ours.items()), name


def test_a_step_runs_in_bf16_autocast(method: Method) -> None:
    nets = build_all(method, SIZES[0])
    labels, photos = batch(SIZES[0])
    with torch.autocast("cpu", torch.bfloat16):
        images, posterior = nets.images(labels, photos)
        scales = nets.discriminator(labels, images)
        loss = sum(scale[-1].float().mean() for scale in scales) + posterior.float()
    loss.backward()
    for net in nets.all().values():
        for name, parameter in net.named_parameters():
            assert parameter.dtype == torch.float32
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name


def test_eval_does_not_depend_on_the_rest_of_the_batch(method: Method) -> None:
    nets = build_all(method, SIZES[0])
    labels, photos = batch(SIZES[0], count=3)
    for net in nets.all().values():
        net.eval()
    with torch.no_grad():
        together = nets.images(labels, photos)[0]
        alone = nets.images(labels[1:2], photos[1:2])[0]
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4)
