"""DeepLabV2: names, shapes and layout, the maximum over three scales, and which files are refused.

There is no golden output of this net: its layers are held to the layout and to what can be worked out by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from releases import Recorder, filled_state, light_state, meta_keys, one_class, release_keys
from torch import Tensor, nn

from harness.errors import UserError
from harness.registry import SEGMENTERS, lookup
from harness.segmenters.base import Segmenter
from harness.segmenters.deeplab_v2 import (
    ASPP,
    FILE,
    Bottleneck,
    DeepLabV2,
    DeepLabV2COCOStuff,
    MultiScale,
    Stem,
    deeplabv2_coco_stuff,
    deeplabv2_coco_stuff_singlescale,
    multi_scale_net,
)
from harness.segmenters.resnet import released
from harness.weights import short_digest


@pytest.fixture(scope="module")
def keys(golden: Path):
    return release_keys(golden, "deeplabv2_resnet101_msc_coco182")


@pytest.fixture
def no_weights_here(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def on_meta() -> MultiScale:
    with torch.device("meta"):
        return multi_scale_net()


def test_names_shapes_order_and_count_are_those_of_the_release(keys, on_meta):
    assert meta_keys(on_meta) == keys
    assert sum(p.numel() for p in on_meta.parameters()) == 55_919_384


def test_strides_dilations_and_shortcuts_are_those_of_the_layout(on_meta):
    base = on_meta.base
    rows = [base.layer2, base.layer3, base.layer4, base.layer5]
    assert [len(row) for row in rows] == [3, 4, 23, 3]
    # The stride is in the first 1x1 and its shortcut, nowhere else.
    assert [row.block1.reduce.conv.stride[0] for row in rows] == [1, 2, 1, 1]
    assert [row.block1.shortcut.conv.stride[0] for row in rows] == [1, 2, 1, 1]
    strided = {name for name, m in base.named_modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)}
    assert strided == {"layer1.conv1.conv", "layer3.block1.reduce.conv", "layer3.block1.shortcut.conv"}
    assert [{block.conv3x3.conv.dilation[0] for block in row} for row in rows] == [{1}, {1}, {2}, {4}]
    assert all(block.shortcut is None for row in rows for block in list(row)[1:])
    heads = [base.aspp.c0, base.aspp.c1, base.aspp.c2, base.aspp.c3]
    assert [(head.dilation[0], head.padding[0]) for head in heads] == [(6, 6), (12, 12), (18, 18), (24, 24)]


@pytest.mark.parametrize(("size", "pooled"), [((65, 129), (17, 33)), ((64, 66), (17, 17))], ids=str)
def test_the_max_pool_rounds_up(size, pooled):
    assert Stem()(torch.zeros(1, 3, *size)).shape == (1, 64, *pooled)


def test_the_four_branches_reach_as_far_as_their_dilation_and_are_summed():
    net = ASPP(1, 1).requires_grad_(False)
    for factor, branch in enumerate((net.c0, net.c1, net.c2, net.c3), start=1):
        branch.weight.fill_(float(factor))
        branch.bias.fill_(0.5)
    point = torch.zeros(1, 1, 61, 61)
    point[..., 30, 30] = 1
    row = net(point)[0, 0, 30] - 2
    assert {int(i) - 30: int(row[i]) for i in row.nonzero()[:, 0]} == {
        **{0: 1 + 2 + 3 + 4, 6: 1, 12: 2, 18: 3, 24: 4},
        **{-6: 1, -12: 2, -18: 3, -24: 4},
    }


def test_a_bottleneck_adds_its_input_before_the_last_relu():
    block = Bottleneck(8, 2, 1, 1, project=False).eval().requires_grad_(False)
    block.increase.bn.weight.zero_()
    block.increase.bn.bias.fill_(-0.25)
    x = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), F.relu(x - 0.25))


class ByWidth(nn.Module):
    """Three classes; each wins at one of the scales of a photo 64 wide, in its left or right half."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        logits = torch.full((1, 3, height // 8, width // 8), -5.0)
        middle = logits.shape[3] // 2
        if width == 64:
            logits[:, 0] = 1.0
        elif width == 32:
            logits[:, 1, :, :middle] = 4.0
        else:
            assert width == 48
            logits[:, 2, :, middle:] = 3.0
        return logits


def test_logits_are_the_element_wise_largest_over_three_scales():
    out = MultiScale(ByWidth())(torch.zeros(1, 3, 64, 64))
    assert out.shape == (1, 3, 8, 8)
    assert (out[:, 0] == 1).all()
    assert (out[0, 1, :, 0] == 4).all()
    assert (out[0, 1, :, -1] == -5).all()
    assert (out[0, 2, :, 0] == -5).all()
    assert (out[0, 2, :, -1] == 3).all()
    winners = out.argmax(dim=1)
    assert (winners[..., :3] == 1).all()
    assert (winners[..., 5:] == 2).all()


def test_the_whole_net_is_the_maximum_of_its_three_runs(keys, shared: Path):
    x = torch.from_numpy(np.load(shared / "golden" / "seg" / "deeplab_in.npy"))
    net = released(multi_scale_net, filled_state(keys), "x.pth", "")
    with torch.no_grad():
        runs = [net.base(x)]
        for size in ((32, 64), (48, 96)):
            factor = size[1] // 32 / 4
            shrunk = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
            assert shrunk.shape[2:] == size
            runs.append(F.interpolate(net.base(shrunk), size=(9, 17), mode="bilinear", align_corners=False))
        out = net(x)
    assert out.shape == (1, 182, 9, 17)
    assert torch.equal(out, torch.stack(runs).amax(dim=0))
    assert all((run == out).any() for run in runs)


def test_a_release_file_is_found_loaded_and_named_by_its_digest(keys, tmp_path: Path, no_weights_here):
    assert lookup(SEGMENTERS, "deeplabv2_coco_stuff") is deeplabv2_coco_stuff
    state = light_state(keys)
    state["base.aspp.c2.bias"] = one_class(state["base.aspp.c2.bias"], 120)
    torch.save(state, tmp_path / FILE)
    segmenter = deeplabv2_coco_stuff(tmp_path, "cpu")
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.classes) == ("deeplabv2_coco_stuff", 182)
    assert segmenter.weights == short_digest(tmp_path / FILE)
    out = segmenter.predict(torch.rand(1, 3, 37, 50) * 255)
    assert (out.shape, out.dtype) == ((1, 37, 50), torch.int64)
    assert (out == 120).all()
    single = deeplabv2_coco_stuff_singlescale(tmp_path, "cpu")
    assert (single.name, single.weights) == ("deeplabv2_coco_stuff_singlescale", segmenter.weights)
    assert isinstance(single.net, DeepLabV2)
    assert (single.predict(torch.rand(1, 3, 37, 50) * 255) == 120).all()


def test_photos_are_seen_as_blue_green_red_less_their_means_one_by_one():
    net = Recorder(182)
    images = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1).repeat(2, 1, 9, 10)
    assert DeepLabV2COCOStuff(net, "", "cpu").predict(images).shape == (2, 9, 10)
    assert [tuple(x.shape) for x in net.shown] == [(1, 3, 9, 10)] * 2
    torch.testing.assert_close(net.shown[1][0, :, 4, 4], torch.tensor([30 - 104.008, 20 - 116.669, 10 - 122.675]))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            {"base.aspp.c3.weight": torch.zeros(21, 2048, 3, 3)},
            r"base\.aspp\.c3\.weight is of shape \(21, 2048, 3, 3\)",
        ),
        ({"base.layer1.conv1.bn.bias": None}, r"base\.layer1\.conv1\.bn\.bias is missing"),
    ],
    ids=["shape", "missing"],
)
def test_a_file_that_does_not_fit_is_refused_by_name(keys, tmp_path: Path, no_weights_here, change, what):
    state = {key: value for key, value in (light_state(keys) | change).items() if value is not None}
    torch.save(state, tmp_path / FILE)
    with pytest.raises(UserError, match=rf"100000\.pth: these weights do not fit: {what}.*kazuto1011") as caught:
        deeplabv2_coco_stuff(tmp_path, "cpu")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path, no_weights_here):
    with pytest.raises(UserError, match=rf"no weight file {FILE} \(get {FILE}.*kazuto1011.*--weights-root"):
        deeplabv2_coco_stuff(tmp_path, "cpu")
