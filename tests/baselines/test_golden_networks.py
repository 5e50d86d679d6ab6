"""The networks compute what the official implementations compute, from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fillrule import fill_value, labelmap, load_filled, tensor, u01
from numpy.typing import NDArray
from torch import nn

from baselines.discriminators import MultiscaleDiscriminator
from baselines.encoder import ConvEncoder
from baselines.pix2pixhd import Pix2PixHD
from baselines.pix2pixhdpp import Pix2PixHDPlusPlus
from baselines.spade import SPADEGenerator
from harness.labels import LabelMap, LabelSpec, instance_edges

ADE = LabelSpec(classes=7)
CITY = LabelSpec(classes=5, edges=True)
EVAL, TRAIN = 1e-4, 1e-3


@pytest.fixture(scope="module")
def inputs(golden: Path) -> dict[str, NDArray]:
    return dict(np.load(golden / "spade/inputs.npz"))


@pytest.fixture(scope="module")
def ade(inputs: dict[str, NDArray]) -> LabelMap:
    return LabelMap(torch.from_numpy(inputs["labelA"]).long(), ADE)


@pytest.fixture(scope="module")
def city(golden: Path) -> LabelMap:
    arrays = np.load(golden / "spade/inputs_city.npz")
    edges = instance_edges(torch.from_numpy(arrays["inst"]).long())
    assert np.array_equal(edges.numpy(), arrays["edge"][:, 0].astype(bool))
    return LabelMap(torch.from_numpy(arrays["labelC"]).long(), CITY, edges)


def close(ours: torch.Tensor, theirs: NDArray, tolerance: float) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=0, atol=tolerance)


def test_the_fill_rule_gives_its_check_values() -> None:
    check = [0.49207162158563733, 0.28852305095642805, 0.4579532702919096, 0.24066788074560463]
    assert u01("fc.weight", 4).tolist() == check
    first = fill_value("fc.weight", (2, 3, 3, 3)).ravel()[:3]
    np.testing.assert_allclose(first, [-0.00528559, -0.14098463, -0.02803115], atol=5e-9)


def test_the_fill_rule_gives_the_stored_inputs(inputs: dict[str, NDArray]) -> None:
    assert labelmap("any", 20, 12, 6).shape == (20, 12)
    assert set(np.unique(labelmap("any", 64, 64, 6))) <= set(range(6))
    assert tensor("any", (2, 3), 2.0).dtype == np.float32
    assert all(
        len(np.unique(block)) == 1 for block in inputs["labelA"].reshape(2, 8, 8, 8, 8).swapaxes(2, 3).reshape(-1, 64)
    )


GENERATORS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "G_spade_ade": ("ade", lambda: SPADEGenerator(ADE, (64, 64), ngf=8)),
    "G_spectralspadeinstance3x3": (
        "ade",
        lambda: SPADEGenerator(ADE, (64, 64), ngf=8, norm={"name": "spade", "base": "instance"}),
    ),
    "G_spade_vae": ("ade", lambda: SPADEGenerator(ADE, (64, 64), ngf=8, use_z=True)),
    "G_spade_city": ("city", lambda: SPADEGenerator(CITY, (64, 128), ngf=8, upsampling="more")),
    "P2PHD_spectralsync_batch": ("ade", lambda: Pix2PixHDPlusPlus(ADE, (64, 64), ngf=8)),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_match_in_eval_and_in_training(
    name: str, golden: Path, inputs: dict[str, NDArray], request: pytest.FixtureRequest
) -> None:
    which, make = GENERATORS[name]
    labels = request.getfixturevalue(which)
    net = load_filled(make())
    z = torch.from_numpy(inputs["z"]) if net.z_dim else None
    theirs = np.load(golden / f"spade/{name}.npz")
    with torch.no_grad():
        close(net.eval()(labels, z), theirs["eval_out"], EVAL)
        close(net.train()(labels, z), theirs["train_out"], TRAIN)
    state = net.state_dict()
    after = [key for key in theirs.files if key.startswith("after_train/")]
    assert after
    for key in after:
        close(state[key.removeprefix("after_train/")], theirs[key], TRAIN)


def test_the_pix2pixhd_generator_matches(golden: Path, ade: LabelMap) -> None:
    net = load_filled(Pix2PixHD(ADE, (64, 64), ngf=8)).eval()
    with torch.no_grad():
        close(net(ade), np.load(golden / "pix2pixhd/G_global.npz")["out"], EVAL)


def test_every_layer_of_the_discriminator_matches(golden: Path, ade: LabelMap, inputs: dict[str, NDArray]) -> None:
    net = load_filled(MultiscaleDiscriminator(ADE, ndf=8)).eval()
    theirs = np.load(golden / "spade/D_nl4.npz")
    with torch.no_grad():
        ours = net(ade, torch.from_numpy(inputs["img"]))
    assert {f"s{s}_l{i}" for s, scale in enumerate(ours) for i in range(len(scale))} == set(theirs.files)
    for s, scale in enumerate(ours):
        for i, features in enumerate(scale):
            close(features, theirs[f"s{s}_l{i}"], EVAL)


def test_the_encoder_matches(golden: Path, inputs: dict[str, NDArray]) -> None:
    net = load_filled(ConvEncoder(ndf=8)).eval()
    theirs = np.load(golden / "spade/E.npz")
    with torch.no_grad():
        mu, logvar = net(torch.from_numpy(inputs["img"]))
    close(mu, theirs["mu"], EVAL)
    close(logvar, theirs["logvar"], EVAL)
    kld = -0.5 * (1 + logvar.double() - mu.double() ** 2 - logvar.double().exp()).sum()
    assert float(kld) == pytest.approx(float(theirs["kld"]), rel=1e-4)
