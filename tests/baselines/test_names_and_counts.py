"""State dicts carry the official names, shapes, types and order; parameter counts are exact.

Full-size networks are built on the meta device, which holds no weights.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from baselines.crn import CRN
from baselines.discriminators import MultiscaleDiscriminator, Pix2PixHDDiscriminator
from baselines.encoder import ConvEncoder
from baselines.pix2pixhd import Pix2PixHD
from baselines.pix2pixhdpp import Pix2PixHDPlusPlus
from baselines.pix2pixhdpp_concat import Pix2PixHDPlusPlusConcat
from baselines.spade import SPADEGenerator
from baselines.spade_concat import SPADEConcatGenerator
from harness.labels import LabelSpec

Build = Callable[[], nn.Module]
SMALL, SMALL_CITY = LabelSpec(7), LabelSpec(5, edges=True)
SUITES: dict[str, tuple[LabelSpec, tuple[int, int], dict[str, Any]]] = {
    "coco": (LabelSpec(183, edges=True), (256, 256), {}),
    "ade20k": (LabelSpec(151), (256, 256), {}),
    "cityscapes": (LabelSpec(35, edges=True), (256, 512), {"upsampling": "more"}),
}
SYNC = {"name": "sync_batch", "affine": True}


def spade_norm(kernel: int, base: str = "sync_batch") -> dict[str, Any]:
    return {"name": "spade", "kernel": kernel, "base": base}


def small() -> dict[str, Build]:
    def generator(**options: Any) -> Build:
        return lambda: SPADEGenerator(SMALL, (64, 64), ngf=8, **options)

    return {
        "small_D_nl4": lambda: MultiscaleDiscriminator(SMALL, ndf=8),
        "small_D_nl5": lambda: MultiscaleDiscriminator(SMALL, ndf=8, layers=5),
        "small_E": lambda: ConvEncoder(ndf=8),
        "small_G_spade_ade": generator(),
        "small_G_spade_city": lambda: SPADEGenerator(SMALL_CITY, (64, 128), ngf=8, upsampling="more"),
        "small_G_spade_vae": generator(use_z=True),
        "small_G_spadesyncbatch3x3": generator(spectral=False),
        "small_G_spectralspadebatch1x1": generator(norm=spade_norm(1, "batch")),
        "small_G_spectralspadeinstance3x3": generator(norm=spade_norm(3, "instance")),
        "small_G_spectralspadesyncbatch5x5": generator(norm=spade_norm(5)),
        "small_P2PHD_spectralinstance": lambda: Pix2PixHDPlusPlus(SMALL, (64, 64), ngf=8, norm="instance"),
        "small_P2PHD_spectralsync_batch": lambda: Pix2PixHDPlusPlus(SMALL, (64, 64), ngf=8),
        "small_pix2pixHD_D": lambda: Pix2PixHDDiscriminator(SMALL, ndf=8),
        "small_pix2pixHD_G": lambda: Pix2PixHD(SMALL, (64, 64), ngf=8),
    }


def full(suite: str) -> dict[str, Build]:
    labels, size, options = SUITES[suite]
    return {
        f"spade_{suite}_netG": lambda: SPADEGenerator(labels, size, **options),
        f"spade_{suite}_netG_vae": lambda: SPADEGenerator(labels, size, use_z=True, **options),
        f"spade_{suite}_netG_pix2pixhdpp": lambda: Pix2PixHDPlusPlus(labels, size),
        f"spade_{suite}_netD": lambda: MultiscaleDiscriminator(labels),
        f"spade_{suite}_netE": ConvEncoder,
        f"pix2pixHD_{suite}_netG_global": lambda: Pix2PixHD(labels, size),
        f"pix2pixHD_{suite}_netD": lambda: Pix2PixHDDiscriminator(labels),
    }


def counted(suite: str) -> dict[str, Build]:
    labels, size, options = SUITES[suite]

    def spade(**more: Any) -> Build:
        return lambda: SPADEGenerator(labels, size, **options, **more)

    def plus_plus(ngf: int, norm: Any) -> Build:
        return lambda: Pix2PixHDPlusPlus(labels, size, ngf=ngf, norm=norm)

    return {
        **{f"SPADE_ngf{ngf}": spade(ngf=ngf) for ngf in (48, 64, 80)},
        **{f"SPADE_ngf64_k{k}": spade(norm=spade_norm(k)) for k in (1, 3, 5)},
        "SPADE_ngf64_vae": spade(use_z=True),
        **{f"Pix2PixHDGenerator_spectralinstance_ngf{ngf}": plus_plus(ngf, "instance") for ngf in (48, 64)},
        **{f"Pix2PixHDGenerator_spectralsync_batch_ngf{ngf}": plus_plus(ngf, SYNC) for ngf in (48, 64)},
        **{f"MultiscaleD_numD2_nl{n}": lambda n=n: MultiscaleDiscriminator(labels, layers=n) for n in (4, 5)},
        "ConvEncoder": ConvEncoder,
    }


NAMED = {**small(), **{name: build for suite in SUITES for name, build in full(suite).items()}}
COUNTED = {(suite, name): build for suite in SUITES for name, build in counted(suite).items()}


@pytest.fixture(scope="module")
def keys(golden: Path) -> dict[str, list[list[Any]]]:
    return json.loads(gzip.decompress((golden / "keys.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def counts(golden: Path) -> dict[str, dict[str, int]]:
    return json.loads((golden / "param_counts.json").read_text())


def on_meta(build: Build) -> nn.Module:
    with torch.device("meta"):
        return build()


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_every_golden_list_of_names_has_its_network(keys: dict[str, Any]) -> None:
    assert set(keys) == set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_state_dicts_are_the_official_ones(name: str, keys: dict[str, list[list[Any]]]) -> None:
    state = on_meta(NAMED[name]).state_dict()
    ours = [[key, list(entry.shape), str(entry.dtype).removeprefix("torch.")] for key, entry in state.items()]
    assert ours == keys[name]


def test_every_golden_count_has_its_network(counts: dict[str, dict[str, int]]) -> None:
    theirs = {(suite, name) for suite, row in counts.items() for name in row if name != "semantic_nc"}
    assert theirs == set(COUNTED)
    assert all(SUITES[suite][0].channels == row["semantic_nc"] for suite, row in counts.items())


@pytest.mark.parametrize(("suite", "name"), COUNTED)
def test_parameter_counts_are_exact(suite: str, name: str, counts: dict[str, dict[str, int]]) -> None:
    assert parameters(on_meta(COUNTED[suite, name])) == counts[suite][name]


@pytest.mark.parametrize(
    ("build", "count"),
    [
        pytest.param(lambda labels, size: Pix2PixHD(labels, size), 182_907_395, id="pix2pixHD"),
        pytest.param(
            lambda labels, size: Pix2PixHDPlusPlus(labels, size, norm="spade"), 236_879_235, id="pix2pixHD++ w/ SPADE"
        ),
        pytest.param(lambda labels, size: SPADEConcatGenerator(labels, size), 79_081_155, id="decoder w/ Concat"),
        pytest.param(
            lambda labels, size: Pix2PixHDPlusPlusConcat(labels, size), 195_453_315, id="pix2pixHD++ w/ Concat"
        ),
    ],
)
def test_counts_of_table_3(build: Callable[..., nn.Module], count: int) -> None:
    labels, size, _ = SUITES["ade20k"]
    assert parameters(on_meta(lambda: build(labels, size))) == count


@pytest.mark.parametrize(
    ("classes", "size", "count"),
    [
        pytest.param(20, (256, 512), 97_875_483, id="cityscapes"),
        pytest.param(151, (256, 256), 105_119_259, id="ade20k"),
        pytest.param(183, (256, 256), 106_888_731, id="coco"),
    ],
)
def test_counts_of_crn_at_256p(classes: int, size: tuple[int, int], count: int) -> None:
    assert parameters(on_meta(lambda: CRN(LabelSpec(classes), size))) == count
