"""The generator of SIMS with a memory: what it makes, what it learns from, and what it refuses."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.sims.generator import SIMSGenerator
from baselines.sims.objective import ordering, sims, transform
from harness.errors import UserError
from harness.labels import LabelMap, LabelSpec
from harness.method import Made, Method
from harness.registry import GENERATORS, METHODS, OBJECTIVES, lookup, options

PLAIN, EDGES = LabelSpec(5), LabelSpec(5, edges=True)
SIZES = [(64, 64), (192, 256)]
Generators = Callable[..., SIMSGenerator]
Batches = Callable[..., tuple[LabelMap, Tensor]]


class Pooled:
    """A perceptual net of one layer."""

    name = "pooled"
    weights = "none"
    layer_weights = (1.0,)

    def layers(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images, 2)]


def step(net: SIMSGenerator, labels: LabelMap, photos: Tensor, **more: Any) -> Made:
    torch.manual_seed(5)
    return sims(net, None, None, labels, photos, None, {"perceptual": 1.0}, Pooled(), **more)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", [PLAIN, EDGES])
def test_images_have_the_size_asked_for_and_every_parameter_learns(
    generator_of: Generators, batch_of: Batches, size: tuple[int, int], spec: LabelSpec
) -> None:
    net = generator_of(spec, size)
    labels, photos = batch_of(spec, size)
    made = step(net, labels, photos)
    assert made.fake.shape == (2, 3, *size)
    assert set(made.losses) == {"transform", "ordering", "perceptual", "label"}
    torch.stack(list(made.losses.values())).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert parameter.dim() < 2 or float(parameter.grad.abs().max()) > 0, name
    with torch.no_grad():
        images = net.eval()(labels)
    assert images.shape == (2, 3, *size)
    assert float(images.abs().max()) <= 1.0


def test_an_image_depends_on_its_own_label_map_alone(generator_of: Generators, batch_of: Batches) -> None:
    net = generator_of(EDGES, ngf=4).eval()
    labels, _ = batch_of(EDGES, count=5)
    with torch.no_grad():
        together = net(labels)
        assert torch.equal(net(labels), together)
        for i in range(5):
            torch.testing.assert_close(net(labels[i : i + 1])[0], together[i], rtol=0, atol=1e-5)


def test_label_maps_of_another_size_are_resized(generator_of: Generators, batch_of: Batches) -> None:
    net = generator_of(EDGES).eval()
    labels, _ = batch_of(EDGES, size=(128, 128))
    with torch.no_grad():
        assert torch.equal(net(labels), net(labels.resized(64, 64)))


def test_saved_and_loaded_generators_make_the_same_images(generator_of: Generators, batch_of: Batches) -> None:
    one, two = generator_of(PLAIN, seed=0).eval(), generator_of(PLAIN, seed=1).eval()
    labels, _ = batch_of(PLAIN)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        assert not torch.equal(one(labels), two(labels))
        two.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(one(labels), two(labels))


def test_a_memory_is_part_of_the_image_and_not_of_the_weights(
    generator_of: Generators, batch_of: Batches, samples_of: Callable[..., Any], tmp_path: Path
) -> None:
    net = generator_of(PLAIN).eval()
    names = list(net.state_dict())
    labels, _ = batch_of(PLAIN)
    with torch.no_grad():
        before = net(labels)
        (tmp_path / "other").mkdir()
        net.build_memory(samples_of(3), tmp_path / "other")
        net.open_memory(tmp_path / "other")
        assert not torch.equal(net(labels), before)
    assert list(net.state_dict()) == names


def test_the_canvas_shows_the_retrieved_photos(generator_of: Generators, samples_of: Callable[..., Any]) -> None:
    net = generator_of(PLAIN).eval()
    with torch.no_grad():
        net.transform.head.weight.zero_()
    sample = samples_of(10)[4]
    canvas = net._canvas(LabelMap(sample.indices[None], PLAIN), net.retrieval)
    # The memory holds this very map, so each segment is its own best and nothing moves.
    shown = canvas[3] == 1
    assert float(shown.float().mean()) > 0.9
    expected = sample.photo.float() / 127.5 - 1
    torch.testing.assert_close(canvas[:3, shown], expected[:, shown], rtol=0, atol=1e-4)
    assert not canvas[:3, ~shown].any()


def test_a_map_of_nothing_known_is_an_empty_canvas(
    generator_of: Generators, samples_of: Callable[..., Any], tmp_path: Path
) -> None:
    net = generator_of(PLAIN).eval()
    (tmp_path / "sky").mkdir()
    net.build_memory([type(s)(s.name, torch.zeros_like(s.indices), s.photo) for s in samples_of(1)], tmp_path / "sky")
    net.open_memory(tmp_path / "sky")
    ones = LabelMap(torch.ones(1, 64, 64, dtype=torch.int64), PLAIN)
    noise = LabelMap(torch.randint(0, 5, (1, 64, 64)), PLAIN)
    for labels in (ones, noise):
        assert not net._canvas(labels, net.retrieval).any()
        assert net(labels).isfinite().all()


def test_a_batch_without_neighbours_still_reaches_every_parameter(generator_of: Generators) -> None:
    net = generator_of(PLAIN)
    made = step(net, LabelMap(torch.zeros(2, 64, 64, dtype=torch.int64), PLAIN), torch.rand(2, 3, 64, 64) * 2 - 1)
    assert float(made.losses["ordering"].detach()) == 0.0
    torch.stack(list(made.losses.values())).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert not name.startswith("ordering") or not parameter.grad.any(), name


def test_label_maps_of_noise_can_be_learned_from(generator_of: Generators) -> None:
    net = generator_of(PLAIN)
    labels = LabelMap(torch.randint(0, 5, (2, 64, 64), generator=torch.Generator().manual_seed(0)), PLAIN)
    made = step(net, labels, torch.rand(2, 3, 64, 64) * 2 - 1)
    torch.stack(list(made.losses.values())).sum().backward()
    assert all(p.dim() < 2 or float(p.grad.abs().max()) > 0 for p in net.parameters() if p.grad is not None)


def test_a_step_runs_in_bf16_autocast(generator_of: Generators, batch_of: Batches) -> None:
    net = generator_of(EDGES, ngf=4)
    labels, photos = batch_of(EDGES)
    with torch.autocast("cpu", torch.bfloat16):
        made = step(net, labels, photos)
        torch.stack([loss.float() for loss in made.losses.values()]).sum().backward()
        with torch.no_grad():
            assert net.eval()(labels).isfinite().all()
    for name, parameter in net.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_the_same_seed_gives_the_same_step(generator_of: Generators, batch_of: Batches) -> None:
    labels, photos = batch_of(PLAIN)
    one, two = (step(generator_of(PLAIN), labels, photos) for _ in range(2))
    assert {name: float(loss.detach()) for name, loss in one.losses.items()} == {
        name: float(loss.detach()) for name, loss in two.losses.items()
    }


def test_a_few_steps_on_one_batch_lower_every_loss(generator_of: Generators, batch_of: Batches) -> None:
    net = generator_of(PLAIN)
    labels, photos = batch_of(PLAIN)
    photos = F.interpolate(photos[:, :, :4, :4], size=(64, 64), mode="bilinear")
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3, betas=(0.9, 0.999))
    values: list[dict[str, float]] = []
    for _ in range(20):
        made = step(net, labels, photos, label=0.1)
        optimiser.zero_grad()
        torch.stack(list(made.losses.values())).sum().backward()
        optimiser.step()
        values.append({name: float(loss.detach()) for name, loss in made.losses.items()})
    for name in values[0]:
        assert values[-1][name] < 0.97 * values[0][name], name


def test_losses_are_what_they_say() -> None:
    target = torch.zeros(2, 4, 4, 4)
    target[:, 3, :2] = 1
    moved = target.clone()
    moved[0, 0, 0, 0] = 0.5
    moved[1, 3, 0, 0] = 0.0
    assert float(transform(moved, target)) == pytest.approx(1.5 / 16)
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    front = torch.tensor([0, 1])
    first = float(F.cross_entropy(logits[:1], front[:1]))
    assert float(ordering(logits, front, torch.tensor([1.0, 0.0]))) == pytest.approx(first)
    assert float(ordering(logits, front, torch.zeros(2))) == 0.0


def test_the_label_loss_has_its_weight(generator_of: Generators, batch_of: Batches) -> None:
    net, (labels, photos) = generator_of(PLAIN), batch_of(PLAIN)
    ten, one = (float(step(net, labels, photos, label=weight).losses["label"].detach()) for weight in (10.0, 1.0))
    assert ten == pytest.approx(10 * one, rel=1e-5)


def test_without_a_memory_or_a_perceptual_net_there_is_one_clear_line(
    generator_of: Generators, batch_of: Batches
) -> None:
    labels, photos = batch_of(PLAIN)
    bare = SIMSGenerator(PLAIN, (64, 64), ngf=1)
    for call in (lambda: bare(labels), lambda: bare(labels, None, photos)):
        with pytest.raises(UserError, match="no memory is open"):
            call()
    with pytest.raises(UserError, match="no perceptual net"):
        sims(generator_of(PLAIN), None, None, labels, photos, None, {"perceptual": 1.0}, None)


def test_the_memorys_key_is_plain_and_tells_memories_apart() -> None:
    keys = [
        SIMSGenerator(spec, size, ngf=1, min_share=share, candidates=keep).memory_key()
        for spec, size, share, keep in (
            (PLAIN, (64, 64), 0.01, 10),
            (EDGES, (64, 64), 0.01, 3),
            (PLAIN, (64, 128), 0.01, 10),
            (PLAIN, (64, 64), 0.02, 10),
            (LabelSpec(6), (64, 64), 0.01, 10),
        )
    ]
    assert keys[0] == keys[1]
    assert len({str(key) for key in keys}) == 4


def test_the_method_is_found_with_its_parts() -> None:
    method = lookup(METHODS, "sims")()
    assert isinstance(method, Method)
    assert (method.title, method.discriminator, method.perceptual["vgg19"]) == ("SIMS", None, "vgg19_sims")
    assert options(GENERATORS, method.generator.name, method.generator.options, skip=2)["ngf"] == 64
    assert options(OBJECTIVES, method.objective.name, method.objective.options, skip=8) == {"label": 10.0}
