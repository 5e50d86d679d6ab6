"""Official checkpoints are recognised by names and shapes, and compute what the official code computes."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_files import filled, matrix_of, of_old_torch, saved, shapes_of, sigma_of
from safetensors.torch import save_file
from small import small_cell
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import spectral_norm

from harness.cells import load_suite, resolve
from harness.data.base import Classes
from harness.data.encode import label_spec
from harness.errors import UserError
from harness.evaluation.places import Places
from harness.export import export_safetensors
from harness.labels import LabelMap, LabelSpec, instance_edges
from harness.launch.cells.beforehand import suite_classes
from harness.launch.cells.cell import load_generator
from harness.launch.scores.official_source import open_weights
from harness.official import Released, read_official
from harness.official_layouts import Recognised, recognise
from harness.official_weights import restore
from harness.suites.base import Suite
from harness.training.checkpoints import Checkpoint
from harness.training.networks import build_networks

CPU = torch.device("cpu")
Keys = dict[str, list[list[Any]]]
# The golden label maps: 6 classes and unknown; 5 classes and instance edges, for images of 128x64.
SIX = Classes(tuple("abcdef"), 255, ((0, 0, 0),) * 6)
FIVE = Classes(tuple("abcde"), None, ((0, 0, 0),) * 5)
SMALL = replace(load_suite("toyscapes"), name="small", unknown=True)
SMALL_CITY = replace(
    load_suite("toyscapes"), name="small_city", size=(64, 128), edges=True, overrides={"generator.upsampling": "more"}
)


@pytest.fixture(scope="module")
def keys(golden: Path) -> Keys:
    return json.loads(gzip.decompress((golden / "keys.json.gz").read_bytes()))


def recognised(shapes: dict[str, tuple[int, ...]], suite: Suite, classes: Classes) -> Recognised:
    return recognise(shapes, suite, label_spec(classes, suite.unknown, suite.edges), "latest_net_G.pth")


def refusal(shapes: dict[str, tuple[int, ...]], suite: Suite = SMALL, classes: Classes = SIX) -> str:
    with pytest.raises(UserError) as caught:
        recognised(shapes, suite, classes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def made_by(released: Released, golden: Path) -> Tensor:
    """What the loaded generator makes of the golden label maps."""
    generator = load_generator(released, CPU, Places())
    arrays = np.load(golden / "spade/inputs.npz")
    labels = LabelMap(torch.from_numpy(arrays["labelA"]).long(), label_spec(SIX, True, False))
    if released.config["suite"]["edges"]:
        city = np.load(golden / "spade/inputs_city.npz")
        edges = instance_edges(torch.from_numpy(city["inst"]).long())
        labels = LabelMap(torch.from_numpy(city["labelC"]).long(), label_spec(FIVE, False, True), edges)
    with torch.no_grad():
        return generator(labels, torch.from_numpy(arrays["z"]) if generator.z_dim else None)


GOLDEN = {
    "small_G_spade_ade": ("spade", "spade/G_spade_ade.npz"),
    "small_G_spade_city": ("spade", "spade/G_spade_city.npz"),
    "small_G_spade_vae": ("spade_vae", "spade/G_spade_vae.npz"),
    "small_G_spectralspadeinstance3x3": ("spade_instance", "spade/G_spectralspadeinstance3x3.npz"),
    "small_P2PHD_spectralsync_batch": ("pix2pixhdpp", "spade/P2PHD_spectralsync_batch.npz"),
    "small_pix2pixHD_G": ("pix2pixhd", "pix2pixhd/G_global.npz"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_released_file_generates_what_the_official_code_generates(
    name: str, keys: Keys, golden: Path, tmp_path: Path
) -> None:
    method, figures = GOLDEN[name]
    suite, classes = (SMALL_CITY, FIVE) if name.endswith("city") else (SMALL, SIX)
    released = read_official(saved(filled(keys[name]), tmp_path), suite, classes)
    assert released.config["method"]["name"] == method
    arrays = np.load(golden / figures)
    theirs = arrays["eval_out"] if "eval_out" in arrays else arrays["out"]
    np.testing.assert_allclose(made_by(released, golden).numpy(), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "method", "options"),
    [
        ("small_G_spadesyncbatch3x3", "spade", {"spectral": False}),
        ("small_G_spectralspadebatch1x1", "spade_kernel1", {"norm": ("spade", 1, 128, "sync_batch")}),
        ("small_G_spectralspadesyncbatch5x5", "spade_kernel5", {"norm": ("spade", 5, 128, "sync_batch")}),
        ("small_G_spade_vae", "spade_vae", {"use_z": True, "z_dim": 256, "upsampling": "normal"}),
        ("small_P2PHD_spectralinstance", "pix2pixhdpp_no_sync_bn", {"norm": ("instance", False), "blocks": 9}),
        ("small_pix2pixHD_G", "pix2pixhd", {"ngf": 8, "downsamplings": 4, "blocks": 9}),
    ],
)
def test_options_are_read_off_names_and_shapes(name: str, method: str, options: dict[str, Any], keys: Keys) -> None:
    found = recognised(shapes_of(keys[name]), SMALL, SIX)
    generator = found.config["method"]["generator"]
    assert found.method == method
    for key, value in options.items():
        assert (tuple(generator[key].values()) if key == "norm" else generator[key]) == value


@pytest.mark.parametrize("suite", ["coco_stuff", "ade20k", "cityscapes"])
def test_the_releases_of_every_suite_are_recognised(suite: str, keys: Keys) -> None:
    chosen = load_suite(suite)
    classes = suite_classes(chosen, Places())
    short = "coco" if suite == "coco_stuff" else suite
    for name, method in {
        f"spade_{short}_netG": "spade",
        f"spade_{short}_netG_vae": "spade_vae",
        f"spade_{short}_netG_pix2pixhdpp": "pix2pixhdpp",
        f"pix2pixHD_{short}_netG_global": "pix2pixhd",
    }.items():
        found = recognised(shapes_of(keys[name]), chosen, classes)
        generator = found.config["method"]["generator"]
        # But for what only the suite tells, it is the method as it is defined.
        assert generator == resolve(method, chosen).config["method"]["generator"]
        assert found.from_suite == ({"upsampling": generator["upsampling"]} if method == "spade" else {})


def test_a_z_network_tells_its_upsampling_by_its_start(keys: Keys) -> None:
    listed = shapes_of(keys["spade_cityscapes_netG_vae"])
    chosen = replace(load_suite("cityscapes"), overrides={})
    classes = suite_classes(chosen, Places())
    assert recognised(listed, chosen, classes).config["method"]["generator"]["upsampling"] == "more"
    assert "starts from 32 pixels" in refusal(listed, replace(chosen, size=(128, 128)), classes)


def test_widths_that_a_suite_scales_are_the_files_own(keys: Keys) -> None:
    assert SMALL.scaled
    found = recognised(shapes_of(keys["small_G_spade_ade"]), SMALL, SIX).config["method"]["generator"]
    assert (found["ngf"], found["norm"]["hidden"]) == (8, 128)


def test_the_prefix_of_a_parallel_run_is_dropped(keys: Keys, tmp_path: Path) -> None:
    state = filled(keys["small_pix2pixHD_G"])
    released = read_official(saved({f"module.{key}": value for key, value in state.items()}, tmp_path), SMALL, SIX)
    assert all(torch.equal(released.networks["generator"][key], value) for key, value in state.items())
    half = {f"module.{key}" if key.startswith("model.1.") else key: value for key, value in state.items()}
    with pytest.raises(UserError, match=r"left over module\.model\.1\.weight"):
        read_official(saved(half, tmp_path), SMALL, SIX)


@pytest.mark.parametrize("name", ["small_G_spade_ade", "small_P2PHD_spectralsync_batch"])
@pytest.mark.parametrize("with_weight", [True, False])
def test_files_of_an_old_torch_keep_their_sigma(name: str, with_weight: bool, keys: Keys, tmp_path: Path) -> None:
    state = filled(keys[name])
    old = of_old_torch(state, with_weight)
    old = {key: value for key, value in old.items() if not key.endswith("num_batches_tracked")}
    released = read_official(saved(old, tmp_path), SMALL, SIX)
    ours = released.networks["generator"]
    assert ours.keys() == state.keys()
    stems = [key.removesuffix("_orig") for key in state if key.endswith("weight_orig")]
    assert any(f"weight_v of {len(stems)} layers restored" in note for note in released.notes)
    for stem in stems:
        was, now = (sigma_of(each, stem) for each in (state, ours))
        # Without the weight that was used, sigma is known as far as u had settled.
        assert now == pytest.approx(was, rel=1e-6 if with_weight else 1e-4)


def test_a_u_that_has_not_settled_keeps_its_sigma_too() -> None:
    rng = torch.Generator().manual_seed(0)
    layer = spectral_norm(nn.ConvTranspose2d(6, 4, 3))
    state = {key: torch.randn(value.shape, generator=rng) for key, value in layer.state_dict().items()}
    state["weight_v"] = nn.functional.normalize(state["weight_v"], dim=0)
    state["weight_u"] = nn.functional.normalize(
        matrix_of(state["weight_orig"], state["weight_u"]) @ state["weight_v"], dim=0
    )
    made, restored = restore(
        nn.ModuleDict({"conv": layer}), {f"conv.{k}": v for k, v in of_old_torch(state, True).items()}
    )
    assert restored == 1
    assert sigma_of(made, "conv.weight") == pytest.approx(sigma_of(state, "weight"), rel=1e-6)
    # What torch holds after any step: u is the unit vector along W v.
    along = matrix_of(made["conv.weight_orig"], made["conv.weight_u"]) @ made["conv.weight_v"]
    torch.testing.assert_close(nn.functional.normalize(along, dim=0), state["weight_u"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model1_1.0.weight", "LocalEnhancer"),
        ("discriminator_0.model0.0.weight", "a discriminator"),
        ("scale0_layer0.0.weight", "a discriminator"),
        ("fc_mu.weight", "an image encoder"),
    ],
)
def test_other_networks_are_named(name: str, said: str) -> None:
    line = refusal({"model.1.weight": (8, 7, 7, 7), name: (8,)})
    assert said in line
    assert ("not supported" in line) == (said == "LocalEnhancer")


def test_a_misfit_names_the_closest_method_and_the_keys(keys: Keys) -> None:
    shapes = shapes_of(keys["small_G_spade_ade"])
    del shapes["up_2.conv_1.bias"]
    shapes["up_3.norm_1.mlp_beta.bias"] = (9,)
    line = refusal({**shapes, "extra.weight": (1,)})
    assert "closest is spade: missing up_2.conv_1.bias; left over extra.weight; up_3.norm_1" in line
    assert "mlp_beta.bias is (9,), not (8,) (give" in line
    many = {key: shape for key, shape in shapes.items() if not key.startswith("up_2")}
    assert re.search(r"up_2\S+; \d+ more \(give", refusal(many))
    # Without what the options are read off, the names that are shared decide.
    assert "closest is spade: missing" in refusal({k: s for k, s in shapes.items() if not k.startswith("head_0")})
    assert "none has a name like a.weight" in refusal({"a.weight": (3,)})


def test_other_label_channels_are_named(keys: Keys) -> None:
    ade = load_suite("ade20k")
    line = refusal(shapes_of(keys["spade_coco_netG"]), ade, suite_classes(ade, Places()))
    assert "this network reads 184 channels, suite ade20k gives 151" in line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3, "state_dict": {}}, "no state dict: 'epoch' is no tensor"),
        ({}, "no state dict: it is empty"),
        ({"a.weight": torch.zeros(2), 7: torch.zeros(2)}, "no state dict: the key 7 is no word"),
        ({"a.weight": torch.eye(2).to_sparse()}, "'a.weight' is no dense tensor"),
        ({"a.weight": torch.tensor([0.0, torch.nan])}, "'a.weight' holds NaN or infinity"),
        ({"a.weight": torch.zeros(2), "a.bias": torch.tensor(-torch.inf)}, "'a.bias' holds NaN or infinity"),
        ({"a.weight": torch.tensor([1e300], dtype=torch.float64)}, "'a.weight' holds NaN or infinity"),
    ],
)
def test_what_is_no_state_dict_of_numbers_is_refused(content: dict[Any, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        open_weights(saved(content, tmp_path), "toyscapes", Places())
    assert "\n" not in str(caught.value)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.mkdir, (self.target,))


def test_a_file_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    path.write_bytes(pickle.dumps({"fc.weight": Malicious(tmp_path / "was_run")}))
    with pytest.raises(UserError, match="refused"):
        open_weights(path, "toyscapes", Places())
    assert not (tmp_path / "was_run").exists()


def test_an_official_file_needs_a_suite(keys: Keys, tmp_path: Path) -> None:
    path = saved(filled(keys["small_pix2pixHD_G"]), tmp_path)
    with pytest.raises(UserError, match="--suite"):
        open_weights(path, None, Places())
    with pytest.raises(UserError, match="reads 7 channels, suite toyscapes gives 9"):
        open_weights(path, "toyscapes", Places())


def test_an_export_is_read_back_as_the_checkpoint_it_came_from(tmp_path: Path) -> None:
    cell = small_cell("spade_vae")
    networks = build_networks(cell.config, LabelSpec(9)).named()
    weights = {name: network.state_dict() for name, network in networks.items()}
    checkpoint = Checkpoint(
        cell.config,
        6,
        weights,
        {},
        1.5,
        7,
        "data",
        {"names": ["a"], "void": None, "palette": [[0, 0, 0]]},
        "",
        {"a": 1},
    )
    path = tmp_path / "spade.safetensors"
    export_safetensors(checkpoint, path)
    read = open_weights(path, None, Places())
    generator = read.networks.pop("generator")
    assert all(torch.equal(generator[key], value) for key, value in weights["generator"].items())
    assert read == replace(checkpoint, networks={})
    with pytest.raises(UserError, match="trained on suite 'toyscapes'"):
        open_weights(path, "camvid", Places())
    save_file(generator, path, {"spadebench_export": "1", "config": "{}"})
    with pytest.raises(UserError, match="metadata"):
        open_weights(path, None, Places())
    save_file(generator, path, {"spadebench_export": "99"})
    with pytest.raises(UserError, match="format 99"):
        open_weights(path, None, Places())


def test_official_weights_in_safetensors_are_read_too(keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "spade.safetensors"
    save_file(filled(keys["small_pix2pixHD_G"]), path)
    with pytest.raises(UserError, match="reads 7 channels"):
        open_weights(path, "toyscapes", Places())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="broken"):
        open_weights(path, "toyscapes", Places())
