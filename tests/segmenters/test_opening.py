"""What a user writes after --segmenter: each form opens its net, and each mistake is one line that mends it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from harness.errors import UserError
from harness.registry import SEGMENTERS, names
from harness.segmenters.onnx_file import describe
from harness.segmenters.opening import open_segmenter
from harness.weights import short_digest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "segmenters.md").read_text(encoding="utf-8")
CODE = """
def halves(images):
    return (images[:, 0] > 127).long()

halves.classes = 2
"""


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_a_name_opens_the_registry_s_entry() -> None:
    assert open_segmenter("toyscapes", None, "cpu").name == "toyscapes"


def test_code_opens_by_file_and_name_even_with_a_colon_in_the_path(in_tmp: Path) -> None:
    for name in ("mine.py", "of:mine.py"):
        (in_tmp / name).write_text(CODE, encoding="utf-8")
        segmenter = open_segmenter(f"py:{name}:halves", None, "cpu")
        assert (segmenter.name, segmenter.classes) == ("py:halves", 2)
        assert segmenter.weights == short_digest(in_tmp / name)
        assert segmenter.predict(torch.full((1, 3, 2, 2), 200.0)).tolist() == [[[1, 1], [1, 1]]]


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("drn_d_105", "unknown segmenter 'drn_d_105' .did you mean drn_d_105_cityscapes"),
        ("drn_d_105_cityscapes", "no weight file drn-d-105_ms_cityscapes"),
        ("tf:net.pb", "no kind 'tf:' of segmenters.*mmseg:CONFIG:CHECKPOINT, onnx:FILE"),
        ("mmseg:net.py", "expected mmseg:CONFIG:CHECKPOINT .give the config and its checkpoint"),
        ("mmseg::net.pth", "expected mmseg:CONFIG:CHECKPOINT"),
        ("mmseg:c:net.py:d:net.pth", "expected mmseg:CONFIG:CHECKPOINT.*':' in it has to be renamed"),
        ("onnx:", "no file is named .give onnx:FILE"),
        ("onnx:net.onnx", "net.onnx: no such file"),
        ("py:mine.py", "the name in the file is missing .give py:FILE.py:NAME"),
        ("py:", "the name in the file is missing"),
        ("py:mine.py:", "the name in the file is missing"),
        ("py:mine.py:f", "mine.py: no such file"),
    ],
)
def test_a_bad_spec_is_one_clear_line(in_tmp: Path, spec: str, what: str) -> None:
    if spec.startswith("onnx:n"):
        pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match=what) as caught:
        open_segmenter(spec, None, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("onnx:net.onnx", "no form with random weights"),
        ("py:mine.py:f", "no form with random weights .*espnet_camvid"),
        ("mmseg:net.py:net.pth", "expected mmseg:CONFIG with random weights .give the config"),
        ("no_such", "unknown segmenter 'no_such'"),
        ("inception", "unknown segmenter 'inception'"),  # a feature net, which has one
    ],
)
def test_random_weights_are_refused_where_there_are_none(in_tmp: Path, spec: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        open_segmenter(spec, None, "cpu", random_weights=True)


def part(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_s_own_code_and_description_work_as_written(in_tmp: Path) -> None:
    Path("mine.py").write_text(part("python"), encoding="utf-8")
    spec = re.search(r"--segmenter (\S+)", part("sh"))
    assert spec is not None
    segmenter = open_segmenter(spec[1], None, "cpu")
    assert (segmenter.name, segmenter.weights, segmenter.classes) == ("tiny", "v1", 9)
    assert segmenter.predict(torch.zeros(1, 3, 8, 8)).shape == (1, 8, 8)
    assert describe(json.loads(part("json")), "page").scale == 255


def test_the_page_lists_what_is_shipped() -> None:
    ours = [name for name in names(SEGMENTERS) if f"`{name}`" not in PAGE]
    assert ours == []
