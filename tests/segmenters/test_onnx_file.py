"""ONNX files as segmenters: fed as their description says, and refused where it does not say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harness.errors import UserError
from harness.segmenters.base import Segmenter
from harness.segmenters.onnx_file import describe, onnx_segmenter
from harness.segmenters.opening import open_segmenter
from harness.weights import short_digest

HOW: dict[str, Any] = {"mean": [0.5, 0.25, 0.125], "std": [0.5, 2, 4], "scale": 255, "order": "rgb"}
CLASSES = 5

needs_onnx = pytest.mark.usefixtures("onnx_extra")


@pytest.fixture
def onnx_extra() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


def kernel() -> torch.Tensor:
    return torch.randn(CLASSES, 3, 3, 3, generator=torch.Generator().manual_seed(0))


def write_graph(
    path: Path, stride: int = 1, batch: Any = "n", size: tuple[Any, Any] = ("h", "w"), indices: str = "", kind: str = ""
) -> Path:
    """A 3x3 convolution to 5 logits at 1 / stride of the size; `indices`: their largest, `keep`: as (N, 1, h, w)."""
    import onnx
    from onnx import TensorProto as T
    from onnx import helper, numpy_helper

    steps = [helper.make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1], strides=[stride, stride])]
    shape, out = [batch, CLASSES, "oh", "ow"], T.FLOAT
    if indices:
        steps = [
            helper.make_node("Conv", ["x", "k"], ["z"], pads=[1, 1, 1, 1], strides=[stride, stride]),
            helper.make_node("ArgMax", ["z"], ["y"], axis=1, keepdims=int(indices == "keep")),
        ]
        shape, out = ([batch, 1, "oh", "ow"] if indices == "keep" else [batch, "oh", "ow"]), T.INT64
    if kind == "free_channels":
        shape[1] = "k"
    inputs = [helper.make_tensor_value_info("x", T.FLOAT, [batch, 3, *size])]
    outputs = [helper.make_tensor_value_info("y", out, shape)]
    if kind == "two_outputs":
        steps.append(helper.make_node("Identity", ["x"], ["also"]))
        outputs.append(helper.make_tensor_value_info("also", T.FLOAT, [batch, 3, *size]))
    graph = helper.make_graph(steps, "g", inputs, outputs, [numpy_helper.from_array(kernel().numpy(), "k")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def describe_beside(path: Path, **changes: Any) -> Path:
    path.with_name(f"{path.name}.json").write_text(json.dumps({**HOW, **changes}), encoding="utf-8")
    return path


def images(height: int = 12, width: int = 16) -> torch.Tensor:
    return 255 * torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def expected_logits(x: torch.Tensor, stride: int = 1, order: str = "rgb") -> torch.Tensor:
    mean, std = (torch.tensor(HOW[key]).view(3, 1, 1) for key in ("mean", "std"))
    x = x if order == "rgb" else x.flip(1)
    return F.conv2d((x / 255 - mean) / std, kernel(), stride=stride, padding=1)


def agree(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for a tie between two classes, which another runtime may break the other way."""
    return a.shape == b.shape and bool((a == b).float().mean() > 0.99)


@needs_onnx
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("batch", ["n", 1], ids=["free_batch", "batch_of_one"])
def test_the_net_sees_what_the_description_says(tmp_path: Path, order: str, batch: Any) -> None:
    path = describe_beside(write_graph(tmp_path / "net.onnx", batch=batch), order=order)
    segmenter = open_segmenter(f"onnx:{path}", None, "cpu")
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.classes) == ("onnx:net", CLASSES)
    out = segmenter.predict(images())
    assert out.dtype == torch.int64
    assert agree(out, expected_logits(images(), order=order).argmax(dim=1))


@needs_onnx
def test_coarse_logits_are_brought_to_the_image_s_size(tmp_path: Path) -> None:
    segmenter = onnx_segmenter(describe_beside(write_graph(tmp_path / "net.onnx", stride=4)))
    spread = F.interpolate(expected_logits(images(), 4), size=(12, 16), mode="bilinear", align_corners=False)
    assert agree(segmenter.predict(images()), spread.argmax(dim=1))


@needs_onnx
@pytest.mark.parametrize("indices", ["keep", "drop"])
def test_indices_are_taken_as_they_are_and_spread_by_the_nearest(tmp_path: Path, indices: str) -> None:
    path = write_graph(tmp_path / "net.onnx", stride=2, indices=indices)
    with pytest.raises(UserError, match=r'does not tell the number of classes .add "classes"'):
        onnx_segmenter(describe_beside(path))
    segmenter = onnx_segmenter(describe_beside(path, classes=4))
    assert segmenter.classes == 4
    coarse = expected_logits(images(), 2).argmax(dim=1)
    expected = coarse.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    assert agree(segmenter.predict(images()), expected)


@needs_onnx
def test_a_graph_of_one_size_resizes_as_it_says_or_refuses(tmp_path: Path) -> None:
    path = describe_beside(write_graph(tmp_path / "net.onnx", size=(8, 24)))
    with pytest.raises(UserError, match=r"takes images of 24x8, and this one is 16x12 .*\"resize\": \"bilinear\""):
        onnx_segmenter(path).predict(images())
    assert onnx_segmenter(path).predict(images(8, 24)).shape == (2, 8, 24)
    segmenter = onnx_segmenter(describe_beside(path, resize="bilinear"))
    seen = F.interpolate(images(), size=(8, 24), mode="bilinear", align_corners=False)
    logits = F.interpolate(expected_logits(seen), size=(12, 16), mode="bilinear", align_corners=False)
    assert agree(segmenter.predict(images()), logits.argmax(dim=1))


@needs_onnx
def test_metadata_does_as_well_and_other_programs_keys_are_left_alone(tmp_path: Path) -> None:
    import onnx

    path = write_graph(tmp_path / "net.onnx", kind="free_channels")
    model = onnx.load(path)
    values = {**{key: json.dumps(value) for key, value in HOW.items()}, "order": "bgr", "classes": "5", "names": "{x}"}
    onnx.helper.set_model_props(model, values)
    onnx.save(model, path)
    segmenter = onnx_segmenter(path)
    assert segmenter.classes == 5
    assert segmenter.weights == short_digest(path)
    assert agree(segmenter.predict(images()), expected_logits(images(), order="bgr").argmax(dim=1))


@needs_onnx
def test_the_identity_covers_the_file_its_description_and_weights_kept_outside(tmp_path: Path) -> None:
    import onnx

    path = describe_beside(write_graph(tmp_path / "net.onnx"))
    first = onnx_segmenter(path).weights
    assert first.startswith(f"{short_digest(path)}+cfg")
    assert onnx_segmenter(describe_beside(path, scale=1)).weights != first
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    describe_beside(path)
    outside = onnx_segmenter(path)
    assert agree(outside.predict(images()), expected_logits(images()).argmax(dim=1))
    data = bytearray((tmp_path / "net.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "net.data").write_bytes(data)
    assert onnx_segmenter(path).weights != outside.weights


@needs_onnx
def test_without_a_description_the_line_says_what_to_write(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "net.onnx")
    with pytest.raises(UserError, match=r"mean, std, scale, order missing .write net\.onnx\.json beside it") as caught:
        onnx_segmenter(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"mean": [1, 2]}, r"mean cannot be \[1, 2\] .give three numbers"),
        ({"std": [1, 0, 1]}, "std cannot be"),
        ({"std": None}, "std cannot be None"),
        ({"scale": 0}, "scale cannot be 0 .give a number above 0"),
        ({"scale": float("nan")}, "scale cannot be nan"),
        ({"order": "rbg"}, "order cannot be 'rbg' .give rgb or bgr"),
        ({"order": ["rgb"]}, "order cannot be"),
        ({"classes": True}, "classes cannot be True"),
        ({"resize": "area"}, "resize cannot be 'area' .give bilinear or bicubic"),
        ({"meen": [1, 2, 3]}, "unknown key 'meen' .did you mean mean"),
    ],
)
def test_a_wrong_description_is_named_by_its_key(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=rf"net\.json: {what}"):
        describe({**HOW, **changes}, "net.json")


@needs_onnx
@pytest.mark.parametrize(
    ("graph", "changes", "what"),
    [
        ({"kind": "two_outputs"}, {}, "it has 2 outputs, not one"),
        ({}, {"classes": 6}, "its description has 6 classes, its output 5"),
        ({"batch": 2}, {}, r"its input is \[2, 3, 'h', 'w'\]"),
    ],
    ids=["two_outputs", "too_many_classes", "batch_of_two"],
)
def test_a_graph_of_another_kind_is_refused(
    tmp_path: Path, graph: dict[str, Any], changes: dict[str, Any], what: str
) -> None:
    path = describe_beside(write_graph(tmp_path / "net.onnx", **graph), **changes)
    with pytest.raises(UserError, match=rf"net\.onnx: {what}"):
        onnx_segmenter(path)


@needs_onnx
def test_broken_and_missing_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    for name, what in (("broken.onnx", "no ONNX file that runs"), ("absent.onnx", "no such file")):
        with pytest.raises(UserError, match=rf"{name}: .*{what}") as caught:
            onnx_segmenter(tmp_path / name)
        assert "\n" not in str(caught.value)
    path = write_graph(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"net\.onnx\.json: not readable as JSON"):
        onnx_segmenter(path)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r'pip install "spadebench\[onnx\]"'):
        onnx_segmenter(tmp_path / "net.onnx")
