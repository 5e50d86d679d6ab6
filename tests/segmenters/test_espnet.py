"""ESPNet: names, shapes, golden logits and the score on real photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fillrule import load_filled

from harness.data.camvid import CamVid
from harness.errors import UserError
from harness.registry import SEGMENTERS, lookup
from harness.segmenters.base import Segmenter
from harness.segmenters.espnet import CAMVID_FILE, ESPNet, espnet_camvid, from_state_dict


def as_images(*photos: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def segmenter(shared: Path) -> Segmenter:
    if not (shared / "weights" / CAMVID_FILE).is_file():
        pytest.skip("no CamVid weights beside the checkout")
    return espnet_camvid(shared / "weights", "cpu")


def test_state_dict_names_shapes_and_order_are_the_released_ones(golden: Path):
    released = json.loads((golden / "keys" / "espnet_p2_q8_camvid.json").read_text())
    state = ESPNet().state_dict()
    ours = [[key, list(value.shape)] for key, value in state.items() if not key.endswith("num_batches_tracked")]
    assert ours == [[key, shape] for key, shape, _ in released]
    assert sum(p.numel() for p in ESPNet().parameters()) == 354_517


@pytest.mark.parametrize(("outputs", "wide"), [(12, True), (20, False)], ids=["camvid", "cityscapes"])
def test_the_variant_is_read_off_the_weights(outputs, wide):
    net = load_filled(ESPNet(outputs, p=2, q=3, wide=wide)).eval()
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    again = from_state_dict(state, "x.pth")
    assert again.wide == wide
    assert (len(again.encoder.level2), len(again.encoder.level3)) == (2, 3)
    x = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    out = again(x)
    assert out.shape == (2, outputs, 32, 48)
    assert torch.equal(out, net(x))


def test_other_weights_are_refused_in_one_line():
    with pytest.raises(UserError, match="not the state dict of an ESPNet"):
        from_state_dict({"fc.weight": torch.zeros(2, 2)}, "x.pth")
    state = ESPNet().state_dict()
    del state["encoder.b3.act.weight"]
    with pytest.raises(UserError, match=r"x\.pth: these weights do not fit") as caught:
        from_state_dict(state, "x.pth")
    assert "\n" not in str(caught.value)


def test_missing_and_wrong_weight_files_are_reported(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    with pytest.raises(UserError, match=r"sacmehta/ESPNet.*--weights-root"):
        espnet_camvid(tmp_path, "cpu")
    torch.save(ESPNet().state_dict(), tmp_path / CAMVID_FILE)
    with pytest.raises(UserError, match="wrong weights"):
        espnet_camvid(tmp_path, "cpu")


def test_it_is_registered_and_meets_the_contract(segmenter):
    assert lookup(SEGMENTERS, "espnet_camvid") is espnet_camvid
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.weights, segmenter.classes) == ("espnet_camvid", "7d354a25", 11)


def test_logits_and_prediction_of_a_real_photo_are_the_golden_ones(segmenter, shared: Path):
    expected = np.load(shared / "golden" / "seg" / "espnet_camvid.npz")
    sample = CamVid(shared / "data" / "camvid", "test").load(0)
    images = as_images(sample.photo)
    logits = segmenter.logits(images)[0, :, ::8, ::8].numpy()
    np.testing.assert_allclose(logits, expected["logits_stride8"], rtol=1e-4, atol=1e-4)
    assert (segmenter.predict(images)[0].numpy() == expected["argmax"]).mean() > 0.9999


def test_ten_real_test_photos_score_as_the_whole_split_does(segmenter, shared: Path):
    data = CamVid(shared / "data" / "camvid", "test")
    right = labelled = 0
    for index in range(0, len(data), 24):
        sample = data.load(index)
        prediction = segmenter.predict(as_images(sample.photo))[0].numpy()
        known = sample.label != 11
        right += int((prediction == sample.label)[known].sum())
        labelled += int(known.sum())
    # The whole split: 0.8577.
    assert 0.82 < right / labelled < 0.90


@pytest.mark.parametrize("size", [(31, 45), (32, 48), (40, 41)])
def test_any_size_is_predicted_at_that_size_and_images_do_not_mix(segmenter, size):
    images = 255 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    out = segmenter.predict(images)
    assert (out.shape, out.dtype) == ((2, *size), torch.int64)
    assert torch.equal(out[1:], segmenter.predict(images[1:]))
    assert 0 <= int(out.min()) <= int(out.max()) <= 11
