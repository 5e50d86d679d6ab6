"""What holds for every method in the registry, at small widths, by its own objective."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small import SMALL_WIDTHS, fitting
from torch import Tensor

from harness.cells import load_suite, resolve
from harness.data.encode import Encoding
from harness.data.toyscapes import Toyscapes
from harness.labels import LabelMap
from harness.method import Made, Method
from harness.registry import GENERATORS, METHODS, OBJECTIVES, lookup, names, options
from harness.training.memory import attach_memory
from harness.training.networks import Networks, build_networks, z_dim_of
from harness.training.step import discriminator_losses

SIZES = [(64, 64), (64, 96)]


class Pyramid:
    """A perceptual net without weights: the image and its halves."""

    name, weights, layer_weights = "pyramid", "00000000", (1.0, 0.5)

    def layers(self, images: Tensor) -> list[Tensor]:
        return [images, F.avg_pool2d(images, 2)]


@dataclass
class Ready:
    """A method's networks with what one step of them needs."""

    config: dict[str, Any]
    networks: Networks
    labels: LabelMap
    photos: Tensor

    def noise(self) -> Tensor | None:
        z_dim = z_dim_of(self.networks.generator)
        return torch.randn(len(self.photos), z_dim, generator=torch.Generator().manual_seed(2)) if z_dim else None

    def losses(self) -> Made:
        part = dict(self.config["method"]["objective"])
        objective = lookup(OBJECTIVES, part.pop("name"))
        torch.manual_seed(3)
        given = (self.labels, self.photos, self.noise(), self.config["method"]["losses"], Pyramid())
        nets = self.networks
        made = objective(nets.generator, nets.discriminator, nets.encoder, *given, **part)
        assert isinstance(made, Made)
        return made

    def images(self) -> Tensor:
        return self.networks.generator(self.labels, self.noise())


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache folder of this module, in which the memories are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=names(METHODS))
def method(request: pytest.FixtureRequest) -> Method:
    found = lookup(METHODS, request.param)()
    assert isinstance(found, Method)
    return found


def ready(method: Method, size: tuple[int, int] = SIZES[0], seed: int = 0, count: int = 2) -> Ready:
    """The networks of a method, with a batch of toyscapes."""
    suite = replace(load_suite("toyscapes"), size=size, edges=True)
    dataset = Toyscapes(None, "train", size=size, count=12)
    config = resolve(method.name, suite, seed, fitting(method.name, SMALL_WIDTHS)).config
    encoding = Encoding(dataset.classes, size, False, True)
    networks = build_networks(config, encoding.spec)
    attach_memory(networks.generator, encoding, dataset.fingerprint(), "toyscapes", lambda: dataset)
    rng = torch.Generator().manual_seed(1)
    indices = torch.stack([torch.from_numpy(dataset.load(i).label).long() for i in range(count)])
    labels = LabelMap(indices, encoding.spec, torch.rand(indices.shape, generator=rng) < 0.1)
    return Ready(config, networks, labels, torch.rand(count, 3, *size, generator=rng) * 2 - 1)


def test_the_rows_of_the_papers_tables_are_there() -> None:
    assert {"spade", "spade_vae", "pix2pixhdpp", "pix2pixhd", "crn", "sims"} <= set(names(METHODS))


def test_a_definition_is_plain_data_under_its_own_name(method: Method) -> None:
    assert lookup(METHODS, method.name)() == method
    assert json.loads(json.dumps(method.as_dict()))["name"] == method.name
    resolved = options(GENERATORS, method.generator.name, method.generator.options, skip=2)
    assert json.loads(json.dumps(resolved)) == resolved


@pytest.mark.parametrize("size", SIZES)
def test_images_have_the_size_asked_for_and_every_parameter_learns(method: Method, size: tuple[int, int]) -> None:
    one = ready(method, size)
    made = one.losses()
    assert made.fake.shape == one.photos.shape
    torch.stack([loss.float() for loss in made.losses.values()]).sum().backward()
    weights = one.config["method"]["losses"]
    if one.networks.discriminator is not None:
        judged = discriminator_losses(one.networks.discriminator, one.labels, made.fake, one.photos, weights)
        torch.stack(list(judged.values())).sum().backward()
    assert one.images().shape == one.photos.shape
    for which, net in one.networks.named().items():
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, f"{which}: {name}"
            assert bool(parameter.grad.isfinite().all()), f"{which}: {name}"
            # The gradient of a bias in front of a norm is zero by right.
            assert parameter.dim() < 2 or float(parameter.grad.abs().max()) > 0, f"{which}: {name}"


def test_z_is_wanted_where_it_is_declared(method: Method) -> None:
    nets = ready(method).networks
    z_dim = z_dim_of(nets.generator)
    assert (z_dim > 0) == (method.encoder is not None or bool(method.generator.options.get("use_z")))
    if nets.encoder is not None:
        assert nets.encoder(torch.zeros(2, 3, *SIZES[0]))[0].shape == (2, z_dim)


def test_saved_and_loaded_networks_give_the_same_output(method: Method) -> None:
    one, two = ready(method, SIZES[1], seed=0), ready(method, SIZES[1], seed=1)
    with torch.no_grad():
        one.losses()  # a training forward moves the buffers
    for name, net in one.networks.named().items():
        file = io.BytesIO()
        torch.save(net.state_dict(), file)
        file.seek(0)
        two.networks.named()[name].load_state_dict(torch.load(file, weights_only=True))
    for net in (*one.networks.named().values(), *two.networks.named().values()):
        net.eval()
    with torch.no_grad():
        images = one.images()
        assert torch.equal(images, two.images())
        if one.networks.discriminator is not None and two.networks.discriminator is not None:
            judged = one.networks.discriminator(one.labels, images)
            for a, b in zip(judged, two.networks.discriminator(one.labels, images), strict=True):
                assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_starting_weights_depend_on_the_seed_alone(method: Method) -> None:
    torch.manual_seed(1)
    one = ready(method, seed=3).networks.named()
    torch.manual_seed(2)
    two, other = ready(method, seed=3).networks.named(), ready(method, seed=4).networks.named()
    for name in one:
        ours, same, different = (nets[name].state_dict() for nets in (one, two, other))
        assert all(torch.equal(value, same[key]) for key, value in ours.items()), name
        assert not all(torch.equal(value, different[key]) for key, value in ours.items()), name


def test_a_step_runs_in_bf16_autocast(method: Method) -> None:
    one = ready(method)
    judge, weights = one.networks.discriminator, one.config["method"]["losses"]
    with torch.autocast("cpu", torch.bfloat16):
        made = one.losses()
    _check_bf16(one.networks.generator, made.losses)
    if judge is not None:
        judge.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            judged = discriminator_losses(judge, one.labels, made.fake.detach(), one.photos, weights)
        _check_bf16(judge, judged)


def _check_bf16(network: torch.nn.Module, losses: dict[str, Tensor]) -> None:
    """The losses reach every weight, which stays float32."""
    assert all(bool(loss.isfinite()) for loss in losses.values())
    torch.stack([loss.float() for loss in losses.values()]).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_eval_does_not_depend_on_the_rest_of_the_batch(method: Method) -> None:
    one = ready(method, count=3)
    with torch.no_grad():
        one.losses()  # a training forward moves the running statistics off their start
    one.networks.generator.eval()
    noise = one.noise()
    with torch.no_grad():
        together = one.images()
        alone = one.networks.generator(one.labels[1:2], None if noise is None else noise[1:2])
    # Untrained networks put out little, so how far images of two label maps lie apart is the measure.
    spread = float(together.std())
    assert spread > 0
    assert float((together[0] - together[1]).std()) > 1e-2 * spread
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4 * spread)


def test_a_memory_is_built_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    method = lookup(METHODS, "sims")()
    ready(method)
    (folder,) = (path for path in (tmp_path / "spadebench" / "memory").iterdir() if path.is_dir())
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    ready(method, seed=1)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
