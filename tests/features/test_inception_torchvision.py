"""The earlier nets of pytorch-fid: the golden figures, their inputs, and the files that are taken for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fillrule import fill_value, tensor
from torch import Tensor

from harness.errors import UserError
from harness.features import inception_torchvision
from harness.features.base import FeatureNet
from harness.registry import FEATURES, lookup

NAMES = ("inception_torchvision", "inception_torchvision_renormalised")
# Swapped channels or aligned corners move these small features by 3e-5, one channel's scale for all by 8e-6.
ATOL = 2e-6
RELEASE, OLDER = "inception_v3_google-0cc3c7bd.pth", "inception_v3_google-1a9a5a14.pth"


@pytest.fixture(scope="module")
def state(golden: Path) -> dict[str, Tensor]:
    shapes = json.loads((golden / "fid" / "inception_torchvision_shapes.json").read_text())
    filled = {key: torch.from_numpy(np.asarray(fill_value(key, tuple(shape)))) for key, shape in shapes.items()}
    return {key: value if value.dtype == torch.int64 else value.float() for key, value in filled.items()}


@pytest.fixture(scope="module")
def folder(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    torch.save(state, made / RELEASE)
    return made


@pytest.fixture(scope="module")
def digest(folder: Path) -> str:
    return hashlib.sha256((folder / RELEASE).read_bytes()).hexdigest()[:8]


@pytest.fixture(scope="module")
def nets(folder: Path, digest: str) -> dict[str, FeatureNet]:
    """Both entries, from a made-up release file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(inception_torchvision.FILES, RELEASE, digest)
        return {name: lookup(FEATURES, name)(folder, "cpu") for name in NAMES}


@pytest.fixture
def images() -> Tensor:
    return torch.from_numpy(tensor("fid_in", (2, 3, 64, 96)) * 0.5 + 0.5) * 255


@pytest.fixture(autouse=True)
def no_weights_here(tmp_path: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPADEBENCH_WEIGHTS", raising=False)
        patch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        yield


def test_golden_features(nets: dict[str, FeatureNet], images: Tensor, golden: Path) -> None:
    expected = np.load(golden / "fid" / "inception_torchvision.npz")["pool3_norm_pm1"]
    got = nets["inception_torchvision"].extract(images)
    assert got.shape == (2, 2048)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=ATOL)


def test_the_first_variant_sees_images_squeezed_by_the_statistics_of_imagenet(
    nets: dict[str, FeatureNet], images: Tensor
) -> None:
    # x (std / 0.5) + (mean - 0.5) / 0.5 is 2 y - 1 of y = x std + mean, and resizing keeps such sums.
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    squeezed = images[:1] * std + 255 * mean
    got = nets["inception_torchvision_renormalised"].extract(images[:1])
    torch.testing.assert_close(got, nets["inception_torchvision"].extract(squeezed), rtol=0, atol=ATOL)
    assert float((got - nets["inception_torchvision"].extract(images[:1])).abs().max()) > 100 * ATOL


def test_the_nets_are_frozen_in_eval_mode_and_are_not_called_fid(nets: dict[str, FeatureNet], digest: str) -> None:
    for name, net in nets.items():
        assert isinstance(net, FeatureNet)
        assert isinstance(net, inception_torchvision.TorchvisionInception)
        assert (net.name, net.key, net.dim, net.weights) == (name, f"fd_{name}", 2048, digest)
        assert not any(module.training for module in net.net.modules())
        assert not any(parameter.requires_grad for parameter in net.net.parameters())
    assert dict(inception_torchvision.FILES) == {RELEASE: "0cc3c7bd", OLDER: "1a9a5a14"}


def test_building_leaves_the_random_state_and_takes_files_without_counters(state: dict[str, Tensor]) -> None:
    before = torch.get_rng_state()
    # Files written before torch 0.4.1 have no counters of batches.
    net = inception_torchvision.build({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(entry.is_meta for entry in net.state_dict().values())


def test_the_older_file_is_taken_where_it_comes_first(
    tmp_path: Path, folder: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / OLDER).symlink_to(folder / RELEASE)
    monkeypatch.setenv("SPADEBENCH_WEIGHTS", str(folder))  # has the newer file, which is wrong
    monkeypatch.setitem(inception_torchvision.FILES, OLDER, digest)
    assert lookup(FEATURES, NAMES[0])(mine, "cpu").weights == digest


@pytest.mark.parametrize("name", NAMES)
def test_missing_weights_say_where_they_were_expected_and_how_to_get_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        lookup(FEATURES, name)(tmp_path / "mine", "cpu")
    text = str(caught.value)
    assert f"no weight file {RELEASE}" in text
    assert str(tmp_path / "mine") in text
    assert f"https://download.pytorch.org/models/{RELEASE}" in text
    assert "\n" not in text


@pytest.mark.parametrize(("file_name", "prefix"), [(RELEASE, "0cc3c7bd"), (OLDER, "1a9a5a14")])
def test_other_weights_under_a_name_are_refused(file_name: str, prefix: str, tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / file_name)
    with pytest.raises(UserError, match=rf"wrong weights: sha256 begins with .* not {prefix}") as caught:
        lookup(FEATURES, NAMES[0])(tmp_path, "cpu")
    assert str(tmp_path / file_name) in str(caught.value)


def test_weights_of_another_net_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / RELEASE
    torch.save({"weight": torch.ones(1)}, path)
    monkeypatch.setitem(inception_torchvision.FILES, RELEASE, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    with pytest.raises(UserError, match="do not fit torchvision's Inception v3"):
        lookup(FEATURES, NAMES[0])(tmp_path, "cpu")
