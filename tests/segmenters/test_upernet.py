"""UPerNet101: names, shapes and golden outputs, the two ways of reading a photo, and which files are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from releases import Recorder, filled_state, light_state, meta_keys, one_class, release_keys

from harness.errors import UserError
from harness.registry import SEGMENTERS, lookup
from harness.segmenters.base import Segmenter
from harness.segmenters.resnet import released
from harness.segmenters.upernet import (
    BASELINE,
    BASELINE_MULTISCALE,
    DECODER_FILE,
    ENCODER_FILE,
    LATER_SINGLESCALE,
    MULTISCALE,
    SYNC_BUFFERS,
    Decoder,
    Encoder,
    UPerNetADE20K,
    resized_size,
    spread,
    upernet101_ade20k,
    upernet101_ade20k_baseline_multiscale,
    upernet101_ade20k_later_singlescale,
    upernet101_ade20k_multiscale,
)
from harness.weights import short_digest

ENTRIES = {
    "upernet101_ade20k": (upernet101_ade20k, "baseline-resnet101-upernet"),
    "upernet101_ade20k_multiscale": (upernet101_ade20k_multiscale, "ade20k-resnet101-upernet"),
    "upernet101_ade20k_baseline_multiscale": (upernet101_ade20k_baseline_multiscale, "baseline-resnet101-upernet"),
    "upernet101_ade20k_later_singlescale": (upernet101_ade20k_later_singlescale, "ade20k-resnet101-upernet"),
}


@pytest.fixture(scope="module")
def keys(golden: Path):
    return {half: release_keys(golden, f"upernet101_ade150_{half}") for half in ("encoder", "decoder")}


@pytest.fixture
def no_weights_here(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def with_sync_buffers(listed):
    """The buffers of the releases' synchronised batch norm, where it keeps them."""
    for key, shape in listed:
        yield key, shape
        layer, _, last = key.rpartition(".")
        if last == "num_batches_tracked":
            channels = dict(listed)[f"{layer}.running_mean"]
            yield from ((f"{layer}.{name}", (1,) if name == "_running_iter" else channels) for name in SYNC_BUFFERS)


@pytest.mark.parametrize(
    ("half", "build", "count"),
    [("encoder", Encoder, 42_623_936), ("decoder", Decoder, 40_590_486)],
    ids=["encoder", "decoder"],
)
def test_names_shapes_order_and_count_are_those_of_the_release(keys, half, build, count):
    with torch.device("meta"):
        net = build()
    assert list(with_sync_buffers(meta_keys(net))) == keys[half]
    assert sum(p.numel() for p in net.parameters()) == count


def test_outputs_are_the_golden_ones(keys, shared: Path):
    expected = np.load(shared / "golden" / "seg" / "upernet101.npz")
    x = torch.from_numpy(np.load(shared / "golden" / "seg" / "upernet_in.npy"))
    encoder = released(Encoder, filled_state(keys["encoder"]), "e.pth", "", SYNC_BUFFERS)
    decoder = released(Decoder, filled_state(keys["decoder"]), "d.pth", "", SYNC_BUFFERS)
    with torch.no_grad():
        maps = encoder(x)
        logits = decoder(maps)
    log = F.log_softmax(logits, dim=1).numpy()
    np.testing.assert_allclose(maps[-1][:, :64].numpy(), expected["conv5"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log, expected["logsoftmax_stride4"], rtol=1e-4, atol=1e-4)
    softmax = spread(logits, (64, 128), (64, 128)).softmax(dim=1)
    np.testing.assert_allclose(softmax[:, :8].numpy(), expected["softmax_first8"], rtol=1e-4, atol=1e-6)
    assert (softmax.argmax(dim=1).numpy() == expected["argmax"]).all()


def save_release(folder: Path, keys, buffers: bool = True, **changes) -> Path:
    """Both files of a release in which every pixel is class 11; `changes` go into the decoder."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {half: light_state(listed) for half, listed in keys.items()}
    halves["decoder"]["conv_last.1.bias"] = one_class(halves["decoder"]["conv_last.1.bias"], 11)
    halves["decoder"] |= changes
    for half, name in (("encoder", ENCODER_FILE), ("decoder", DECODER_FILE)):
        kept = {k: v for k, v in halves[half].items() if buffers or k.rpartition(".")[2] not in SYNC_BUFFERS}
        torch.save(kept, folder / name)
    return folder


@pytest.mark.parametrize("buffers", [True, False], ids=["sync_buffers", "none"])
@pytest.mark.parametrize("name", ENTRIES)
def test_a_release_is_found_loaded_and_named_by_both_digests(keys, tmp_path, no_weights_here, name, buffers):
    entry, folder = ENTRIES[name]
    assert lookup(SEGMENTERS, name) is entry
    files = save_release(tmp_path / folder, keys, buffers)
    segmenter = entry(tmp_path, "cpu")
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.classes) == (name, 150)
    assert segmenter.weights == f"{short_digest(files / ENCODER_FILE)}+{short_digest(files / DECODER_FILE)}"
    assert (segmenter.net(torch.rand(1, 3, 32, 64)).argmax(dim=1) == torch.full((1, 8, 16), 11)).all()


@pytest.mark.parametrize("name", ENTRIES)
def test_missing_files_are_named_with_where_to_get_them(keys, tmp_path, no_weights_here, name):
    entry, folder = ENTRIES[name]
    with pytest.raises(UserError, match=f"no weight file {folder}/{ENCODER_FILE}.*sceneparsing.*--weights-root"):
        entry(tmp_path, "cpu")
    (save_release(tmp_path / folder, keys) / DECODER_FILE).unlink()
    with pytest.raises(UserError, match=f"no weight file {folder}/{DECODER_FILE}.*sceneparsing"):
        entry(tmp_path, "cpu")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fpn_in.1.0.weight": torch.zeros(512, 256, 1, 1)}, r"fpn_in\.1\.0\.weight is of shape \(512, 256, 1, 1\)"),
        ({"_running_iter": torch.zeros(1)}, r"_running_iter is unknown"),
        ({"conv_last.1._running_iter": torch.zeros(1)}, r"conv_last\.1\._running_iter is unknown"),
    ],
    ids=["shape", "buffer_of_nothing", "buffer_of_a_convolution"],
)
def test_a_file_that_does_not_fit_is_refused_by_name(keys, tmp_path, no_weights_here, changes, what):
    save_release(tmp_path / BASELINE.folder, keys, **changes)
    with pytest.raises(UserError, match=rf"{DECODER_FILE}: these weights do not fit: {what}.*sceneparsing") as caught:
        upernet101_ade20k(tmp_path, "cpu")
    assert "\n" not in str(caught.value)


def test_the_paper_s_release_sees_blue_green_red_at_450_padded_to_8_with_the_mean():
    net = Recorder(150, stride=4)
    image = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1).expand(1, 3, 225, 301)
    out = UPerNetADE20K("x", net, BASELINE, "", "cpu").predict(image)
    assert (out.shape, out.dtype) == ((1, 225, 301), torch.int64)
    (shown,) = net.shown
    assert shown.shape == (1, 3, 456, 608)  # 450 x 602
    inside = torch.tensor([30 - 102.9801, 20 - 115.9465, 10 - 122.7717]).view(3, 1, 1)
    torch.testing.assert_close(shown[0, :, :450, :602], inside.expand(3, 450, 602))
    assert shown[..., 450:, :].abs().max() == shown[..., 602:].abs().max() == 0


def test_the_later_releases_see_five_scales_padded_to_32():
    net = Recorder(150, stride=4)
    image = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1).expand(1, 3, 50, 75)
    assert UPerNetADE20K("x", net, MULTISCALE, "", "cpu").predict(image).shape == (1, 50, 75)
    assert [tuple(x.shape[2:]) for x in net.shown] == [(320, 480), (384, 576), (480, 704), (544, 800), (608, 928)]
    colour = [(10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224, (30 / 255 - 0.406) / 0.225]
    for shown in net.shown:
        torch.testing.assert_close(shown[0, :, 7, 7], torch.tensor(colour))


def test_each_release_has_the_other_s_scales_as_a_mode_and_keeps_its_own_colours():
    assert BASELINE_MULTISCALE.short_sides == (300, 375, 450, 525, 600)
    assert LATER_SINGLESCALE.short_sides == (450,)
    for mode, release in ((BASELINE_MULTISCALE, BASELINE), (LATER_SINGLESCALE, MULTISCALE)):
        assert replace(mode, short_sides=release.short_sides) == release


class ByHeight(torch.nn.Module):
    """Logits that depend on the scale: class 0 is sure at the smallest, class 1 likely at the four others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(1, 150, x.shape[2] // 4, x.shape[3] // 4)
        small = x.shape[2] == 320
        logits[:, 0 if small else 1] = 1000.0 if small else 8.0
        return logits


def test_the_softmax_not_the_logits_is_averaged_over_the_scales():
    segmenter = UPerNetADE20K("x", ByHeight(), MULTISCALE, "", "cpu")
    image = torch.zeros(1, 3, 30, 30)
    found = segmenter.probabilities(image)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(1, 30, 30))
    torch.testing.assert_close(found[0, 0], torch.full((30, 30), 0.2), atol=2e-3, rtol=0)
    assert (segmenter.predict(image) == 1).all()


def test_the_long_side_is_held_to_1000():
    assert resized_size(683, 512, 450, 1000) == (600, 450)
    assert resized_size(512, 683, 450, 1000) == (450, 600)
    assert resized_size(200, 1000, 450, 1000) == (200, 1000)
    assert resized_size(1, 5000, 450, 1000) == (1, 1000)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(MULTISCALE.short_sides))
def test_one_side_meets_its_bound_and_none_passes_it(height, width, short):
    found = resized_size(height, width, short, 1000)
    assert min(found) == short or max(found) == 1000
    assert 1 <= min(found) <= short
    assert max(found) <= 1000


@pytest.mark.parametrize("size", [(48, 64), (31, 90), (200, 130)])
def test_without_padding_logits_are_spread_as_by_interpolate(size):
    coarse = torch.randn(1, 5, 12, 16, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(spread(coarse, (48, 64), size), expected, atol=1e-4, rtol=1e-4)


def test_padding_is_cut_off_at_its_own_pixel():
    # A plane of the column in the padded photo, whose map's pixels have their centres at 4 k + 1.5.
    plane = (4 * torch.arange(16.0) + 1.5).expand(1, 1, 12, 16)
    found = spread(plane, (45, 58), (45, 58))
    torch.testing.assert_close(found[0, 0, :, 2:], torch.arange(58.0)[2:].expand(45, 56))
    twice = spread(plane, (45, 58), (90, 116))
    torch.testing.assert_close(twice[0, 0, 0, 4:], torch.arange(116.0)[4:] / 2 - 0.25)
