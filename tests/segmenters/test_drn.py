"""DRN-D-105: names, shapes and golden logits, how a photo is read, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from releases import Recorder, filled_state, light_state, meta_keys, one_class, release_keys

from harness.errors import UserError
from harness.registry import SEGMENTERS, lookup
from harness.segmenters.base import Segmenter
from harness.segmenters.drn import (
    DRND105,
    FILE,
    SCALES,
    DRNCityscapes,
    bilinear_upsampling,
    drn_d_105_cityscapes,
    drn_d_105_cityscapes_multiscale,
)
from harness.segmenters.resnet import released
from harness.weights import short_digest


@pytest.fixture(scope="module")
def keys(golden: Path):
    return release_keys(golden, "drn_d_105_cityscapes19")


@pytest.fixture
def no_weights_here(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def random_images(height: int, width: int) -> torch.Tensor:
    return 255 * torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_names_shapes_order_and_count_are_those_of_the_release(keys):
    with torch.device("meta"):
        net = DRND105()
    assert meta_keys(net) == keys
    assert sum(p.numel() for p in net.parameters()) == 54_302_915


def test_dilations_and_strides_are_those_of_the_layout():
    with torch.device("meta"):
        net = DRND105()
    rows = [net.base[index] for index in range(3, 7)]
    assert [len(row) for row in rows] == [3, 4, 23, 3]
    assert [row[0].conv2.stride[0] for row in rows] == [2, 2, 1, 1]
    assert [{block.conv2.dilation[0] for block in row} for row in rows] == [{1}, {1}, {2}, {4}]
    assert [net.base[index][0].dilation[0] for index in (7, 8)] == [2, 1]


def test_outputs_are_the_golden_ones(keys, shared: Path):
    expected = np.load(shared / "golden" / "seg" / "drn_d_105.npz")
    x = torch.from_numpy(np.load(shared / "golden" / "seg" / "drn_in.npy"))
    # The bilinear kernel is the constructor's.
    state = filled_state(keys, skip={"up.weight"}) | {"up.weight": bilinear_upsampling(19).weight.detach()}
    net = released(DRND105, state, "x.pth", "")
    with torch.no_grad():
        coarse = net.coarse(x)
        logits = net(x)
    np.testing.assert_allclose(coarse.numpy(), expected["seg_logits_stride8"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(F.log_softmax(logits, dim=1).numpy(), expected["logsoftmax"], rtol=1e-4, atol=1e-4)
    assert (logits.argmax(dim=1).numpy() == expected["argmax"]).all()


def test_upsampling_keeps_a_plane_and_each_class_to_itself():
    up = bilinear_upsampling(2)
    with torch.no_grad():
        plane = up(torch.arange(6.0).expand(1, 2, 4, 6) * torch.tensor([1.0, -3.0]).view(1, 2, 1, 1))
    # A coarse pixel's centre is at 8 k + 3.5.
    expected = (torch.arange(48.0) - 3.5) / 8
    inner = slice(4, -12)
    torch.testing.assert_close(plane[0, 0, 8:-8, inner], expected[inner].expand(16, -1))
    torch.testing.assert_close(plane[0, 1], -3 * plane[0, 0])


def test_a_release_file_is_found_loaded_and_named_by_its_digest(keys, tmp_path: Path, no_weights_here):
    assert lookup(SEGMENTERS, "drn_d_105_cityscapes") is drn_d_105_cityscapes
    state = light_state(keys)
    state["seg.bias"] = one_class(state["seg.bias"], 7)
    state["up.weight"] = bilinear_upsampling(19).weight.detach()
    # The release is older than the batch norm's counter.
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / FILE)
    segmenter = drn_d_105_cityscapes(tmp_path, "cpu")
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.classes) == ("drn_d_105_cityscapes", 19)
    assert segmenter.weights == short_digest(tmp_path / FILE)
    out = segmenter.predict(random_images(21, 34)[:1])
    assert (out.shape, out.dtype) == ((1, 21, 34), torch.int64)
    assert (out == 7).all()
    several = drn_d_105_cityscapes_multiscale(tmp_path, "cpu")
    assert (several.name, several.weights) == ("drn_d_105_cityscapes_multiscale", segmenter.weights)
    assert (several.predict(random_images(21, 34)[:1]) == 7).all()


def test_photos_are_normalised_as_red_green_blue_and_seen_one_by_one():
    net = Recorder(19)
    images = random_images(9, 10)
    out = DRNCityscapes(net, "", "cpu").predict(images)
    assert out.shape == (2, 9, 10)
    red = (images[1, 0] / 255 - 0.2901) / 0.1830
    blue = (images[1, 2] / 255 - 0.2870) / 0.1845
    assert [tuple(x.shape) for x in net.shown] == [(1, 3, 9, 10)] * 2
    torch.testing.assert_close(net.shown[1][0, 0], red)
    torch.testing.assert_close(net.shown[1][0, 2], blue)


def test_the_multi_scale_mode_sees_six_scales_resized_as_pillow_does():
    net = Recorder(19)
    # Without black and white, at which Pillow clips once a direction.
    photo = np.random.default_rng(0).integers(70, 186, (25, 34, 3), dtype=np.uint8)
    image = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    assert DRNCityscapes(net, "", "cpu", "x", SCALES).predict(image).shape == (1, 25, 34)
    sizes = [(25, 34), (12, 17), (18, 25), (31, 42), (37, 51), (43, 59)]
    assert [tuple(x.shape[2:]) for x in net.shown] == sizes
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.2901, 0.3281, 0.2870), (0.1830, 0.1866, 0.1845)))
    for shown, (height, width) in zip(net.shown, sizes, strict=True):
        pillow = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC))
        back = ((shown[0] * std + mean) * 255).permute(1, 2, 0).numpy()
        # Pillow rounds to whole values twice, once a direction.
        assert np.abs(back - pillow).max() < 1.6


class ByWidth(torch.nn.Module):
    """Class 0 is certain at the smallest scale, where class 1 is impossible; class 1 is likely at the others."""

    def __init__(self, penalty: float) -> None:
        super().__init__()
        self.penalty = penalty

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.full((1, 19, *x.shape[2:]), -100.0)
        small = x.shape[3] == 16
        logits[:, 0], logits[:, 1] = 0.0, (-self.penalty if small else 1.0)
        return logits


def test_log_probabilities_are_summed_over_the_scales():
    image = torch.zeros(1, 3, 32, 32)
    # Five scales favour class 1 by 1 each; one disfavours it. As probabilities, 20 would weigh no more than 4.
    for penalty, winner in ((4.0, 1), (20.0, 0)):
        found = DRNCityscapes(ByWidth(penalty), "", "cpu", "x", SCALES).predict(image)
        assert (found == winner).all()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"base.4.0.conv2.weight": torch.zeros(1, 2)}, r"base\.4\.0\.conv2\.weight is of shape \(1, 2\), not \(128,"),
        ({"seg.bias": None}, r"seg\.bias is missing"),
        ({"fc.weight": torch.zeros(1)}, r"fc\.weight is unknown"),
        ({"seg.bias": 3}, r"seg\.bias is no tensor"),
        ({"seg.weight": None, "seg.bias": None}, r"seg\.weight is missing \(and 1 more\)"),
    ],
    ids=["shape", "missing", "unknown", "no_tensor", "two"],
)
def test_a_file_that_does_not_fit_is_refused_by_name(keys, tmp_path: Path, no_weights_here, change, what):
    state = {key: value for key, value in (light_state(keys) | change).items() if value is not None}
    torch.save(state, tmp_path / FILE)
    with pytest.raises(UserError, match=rf"cityscapes\.pth: these weights do not fit: {what}.*fyu/drn") as caught:
        drn_d_105_cityscapes(tmp_path, "cpu")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path, no_weights_here):
    with pytest.raises(UserError, match=rf"no weight file {FILE} \(get {FILE}.*fyu/drn.*--weights-root"):
        drn_d_105_cityscapes(tmp_path, "cpu")


def test_building_moves_nobodys_random_state(keys):
    before = torch.get_rng_state()
    released(DRND105, light_state(keys), "x.pth", "")
    assert torch.equal(torch.get_rng_state(), before)
