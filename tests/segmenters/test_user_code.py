"""A user's own callable: every documented form scores, and an answer of the wrong kind is no bad score but an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.errors import UserError
from harness.segmenters.base import Segmenter
from harness.segmenters.user_code import UserSegmenter, user_segmenter
from harness.weights import short_digest

CODE = '''
import torch
from torch import nn

def indices(images):
    """Red, green or blue, whichever is largest."""
    return images.argmax(dim=1)

indices.classes = 3

def logits(images):
    return images

logits.classes, logits.name, logits.weights = 2, "my net", "v 3"

class Net(nn.Module):
    classes = 3
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.9)
    def forward(self, images):
        return self.drop(images)

net = Net()

class Made:
    classes, name, weights = 3, "made", "abcd"
    def __init__(self, weights_root, device):
        self.root = weights_root
    def predict(self, images):
        return images.argmax(dim=1).int()

def factory(weights_root, device):
    return Made(weights_root, device)

class Inner:
    found = indices

def no_classes(images):
    return images.argmax(dim=1)

def wordy(images):
    return images
wordy.classes = "three"

number = 3

def floats(images):
    return images[:, 0]
def small(images):
    return images[..., ::2, ::2].argmax(dim=1)
def few(images):
    return images[:, :1]
def array(images):
    return images.argmax(dim=1).numpy()
for bad in (floats, small, few, array):
    bad.classes = 2
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE, encoding="utf-8")
    return path


def images() -> torch.Tensor:
    return 255 * torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["indices", "logits", "net", "Made", "factory", "Inner.found"])
def test_every_form_predicts_as_the_code_does(file: Path, name: str) -> None:
    segmenter = user_segmenter(str(file), name, None)
    assert isinstance(segmenter, Segmenter)
    out = segmenter.predict(images())
    assert out.dtype == torch.int64
    assert torch.equal(out, images().argmax(dim=1))


def test_name_and_weights_are_the_user_s_words_or_the_file_s_digest(file: Path) -> None:
    plain = user_segmenter(str(file), "indices", None)
    assert (plain.name, plain.weights, plain.classes) == ("py:indices", short_digest(file), 3)
    named = user_segmenter(str(file), "logits", None)
    # Spaces separate the parts of a signature.
    assert (named.name, named.weights, named.classes) == ("my_net", "v_3", 2)


def test_a_module_that_can_be_imported_is_opened_by_its_dotted_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(file.parent)
    package = file.parent / "user_package"
    package.mkdir()
    (package / "__init__.py").touch()
    file.rename(package / "nets.py")
    segmenter = user_segmenter("user_package.nets", "indices", None)
    assert segmenter.weights == short_digest(package / "nets.py")
    with pytest.raises(UserError, match=r"py:no\.such: cannot import 'no'"):
        user_segmenter("no.such", "indices", None)
    with pytest.raises(UserError, match="py:sys: this module has no source file"):
        user_segmenter("sys", "path", None)


def test_an_edited_file_is_another_segmenter(file: Path) -> None:
    before = user_segmenter(str(file), "indices", None)
    file.write_text(
        CODE.replace("images.argmax(dim=1)\n\nindices", "images.argmin(dim=1)\n\nindices"), encoding="utf-8"
    )
    after = user_segmenter(str(file), "indices", None)
    assert after.weights != before.weights
    assert torch.equal(after.predict(images()), images().argmin(dim=1))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("indizes", r"mine\.py: there is no 'indizes' in it .did you mean indices"),
        ("no_classes", "has no `classes` and does not take .weights_root, device. .give it an attribute"),
        ("Net", "has no `classes` and does not take"),
        ("wordy", "`classes` is 'three', not a number of classes .set wordy.classes"),
        ("number", "it is a int, no segmenter"),
    ],
)
def test_what_is_no_segmenter_is_told_in_one_line(file: Path, name: str, what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        user_segmenter(str(file), name, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("floats", r"\(2, 4, 6\) of torch\.float32 .answer with indices \(2, 4, 6\), or logits \(2, 2, 4, 6\)"),
        ("small", r"\(2, 2, 3\) of torch\.int64"),
        ("few", r"\(2, 1, 4, 6\) of torch\.float32"),
        ("array", "py:array: it answers with a ndarray, not a tensor"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_refused(file: Path, name: str, what: str) -> None:
    segmenter: UserSegmenter = user_segmenter(str(file), name, None)
    with pytest.raises(UserError, match=what):
        segmenter.predict(images())


@pytest.mark.parametrize(("code", "what"), [("1 / 0", "ZeroDivisionError: division"), ("x = (", "SyntaxError")])
def test_code_that_does_not_load_is_named_and_forgotten(tmp_path: Path, code: str, what: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(code, encoding="utf-8")
    for _ in range(2):  # no half-loaded module stays behind
        with pytest.raises(UserError, match=rf"bad\.py: this code does not load: {what}"):
            user_segmenter(str(path), "f", None)
