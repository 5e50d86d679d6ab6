"""Micro-batches: the gradients of the whole batch, where nothing reads statistics off a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_cell
from torch import Tensor

from harness.cells import Cell
from harness.data.loading import Batch, TrainingBatches
from harness.errors import UserError
from harness.evaluation.bench import open_data
from harness.evaluation.places import Places
from harness.launch.cells.cell import make_fabric
from harness.registry import PERCEPTUAL, lookup
from harness.training.accumulate import update_in_parts, update_of
from harness.training.loop import suite_encoding
from harness.training.networks import build_networks
from harness.training.update import update

CPU = torch.device("cpu")
_SPADE: dict[str, Any] = {
    "generator__norm__base": "instance",
    "generator__spectral": False,
    "discriminator__spectral": False,
}
# What each brings: fresh fakes, noise and the KLD's sum, fakes of the generator's step, no discriminator.
CELLS: dict[str, dict[str, Any]] = {
    "spade": _SPADE,
    "spade_vae": {**_SPADE, "encoder__spectral": False, "encoder__ndf": 4, "encoder__size": 32, "losses__kld": 5.0},
    "pix2pixhd": {"generator__blocks": 2},
    "crn": {"generator__width": 16, "perceptual": "random_vgg"},
}


def batchwise_cell(method: str, batch: int = 4) -> Cell:
    """A cell without batch statistics or spectral norms."""
    return small_cell(method, **CELLS[method], schedule__batch=batch)


def first_batch(cell: Cell) -> Batch:
    dataset = open_data(cell.suite, "train", Places())
    encoding = suite_encoding(cell.config, dataset.classes)
    return TrainingBatches(dataset, encoding, batch=cell.config["schedule"]["batch"], seed=0)[0]


class Recording(torch.optim.SGD):
    """A step that notes the gradients it was given."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.01)
        self.seen: list[Tensor] = []

    def step(self, closure: Any = None) -> None:
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        self.seen.append(torch.cat([g.flatten() for g in gradients if g is not None]))
        super().step()


def one_step(cell: Cell, batch: Batch, parts: int | None) -> tuple[list[Tensor], dict[str, Tensor]]:
    """One step's gradients, a vector of the generator's and one of the discriminator's, and the losses.

    parts None: the whole batch.
    """
    torch.set_num_threads(1)
    classes = open_data(cell.suite, "train", Places()).classes
    networks = build_networks(cell.config, suite_encoding(cell.config, classes).spec)
    generator = list(networks.generator.parameters())
    generator += list(networks.encoder.parameters()) if networks.encoder is not None else []
    g_optimiser = Recording(generator)
    d_optimiser = Recording(networks.discriminator.parameters()) if networks.discriminator is not None else None
    for network in networks.named().values():
        network.train()
    name = cell.config["perceptual"]
    net = lookup(PERCEPTUAL, name)(None, CPU) if name is not None else None
    fabric = make_fabric(CPU, "32")
    arguments = (networks, fabric, g_optimiser, d_optimiser, batch.labels, batch.photos, cell.config, 1, net)
    values = update(*arguments) if parts is None else update_in_parts(*arguments, parts=parts)
    recorded = g_optimiser.seen + (d_optimiser.seen if d_optimiser is not None else [])
    assert len(recorded) == (1 if d_optimiser is None else 2)
    return recorded, values


@pytest.mark.parametrize("method", list(CELLS))
def test_gradients_and_losses_of_micro_batches_are_those_of_the_batch(method: str) -> None:
    cell = batchwise_cell(method)
    batch = first_batch(cell)
    whole, losses = one_step(cell, batch, None)
    for parts in (2, 4):
        gathered, shares = one_step(cell, batch, parts)
        for a, b in zip(whole, gathered, strict=True):
            assert (a - b).norm() <= 1e-5 * a.norm()
        assert shares.keys() == losses.keys()
        for name, loss in losses.items():
            assert float(shares[name]) == pytest.approx(float(loss), rel=1e-5, abs=1e-6)


def test_one_micro_batch_is_the_batch_bit_for_bit() -> None:
    cell = small_cell(schedule__batch=2)  # with batch statistics and spectral norms
    batch = first_batch(cell)
    whole, gathered = one_step(cell, batch, None)[0], one_step(cell, batch, 1)[0]
    assert all(torch.equal(a, b) for a, b in zip(whole, gathered, strict=True))


def test_batch_statistics_are_those_of_a_micro_batch() -> None:
    cell = small_cell(schedule__batch=4, generator__spectral=False, discriminator__spectral=False)
    batch = first_batch(cell)
    whole, gathered = one_step(cell, batch, None)[0], one_step(cell, batch, 2)[0]
    assert (whole[0] - gathered[0]).norm() > 1e-3 * whole[0].norm()


def test_a_config_says_how_its_batch_is_taken() -> None:
    config = small_cell().config
    assert update_of(config) is update
    assert "accumulate" not in config
    assert update_of({**config, "accumulate": 2}) is not update


def test_unequal_micro_batches_are_refused() -> None:
    cell = batchwise_cell("spade", batch=3)
    with pytest.raises(UserError, match="3 images cannot be taken in 2 equal micro-batches"):
        one_step(cell, first_batch(cell), 2)
