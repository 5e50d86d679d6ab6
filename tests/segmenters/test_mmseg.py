"""mmsegmentation's nets as segmenters: predictions are those of the net itself, and no file's code is run."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from harness.errors import UserError
from harness.segmenters.base import Segmenter
from harness.segmenters.mmseg import config_file, mmseg_segmenter
from harness.segmenters.opening import open_segmenter
from harness.weights import short_digest

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CLASSES = 5


def _missing() -> str:
    """Why the extra is not here, in words; empty where it is."""
    if importlib.util.find_spec("mmcv") and importlib.util.find_spec("mmseg"):
        return ""
    return "the extra mmseg is not installed" + ("" if shutil.which("c++") else ": no C++ compiler to build mmcv with")


needs_mmseg = pytest.mark.skipif(bool(_missing()), reason=_missing() or "the extra mmseg is here")

# Nets of the wheel's own base configs, made small.
ERFNET = """
_base_ = ["{base}/erfnet_fcn.py"]
model = dict(
    backbone=dict(enc_downsample_channels=(4, 8, 12), enc_stage_non_bottlenecks=(1, 2),
        enc_non_bottleneck_dilations=(2, 4), enc_non_bottleneck_channels=(8, 12),
        dec_upsample_channels=(8, 4), dec_non_bottleneck_channels=(8, 4)),
    decode_head=dict(in_channels=4, channels=8, num_classes=5))
"""
UNET = """
_base_ = ["{base}/fcn_unet_s5-d16.py"]
model = dict(
    backbone=dict(base_channels=2),
    decode_head=dict(in_channels=2, channels=4, num_classes=5),
    auxiliary_head=dict(in_channels=4, channels=4, num_classes=5),
    test_cfg=dict(mode="slide", crop_size=(32, 32), stride=(16, 16)))
"""


def write_config(folder: Path, text: str, extra: str = "") -> Path:
    import mmseg

    base = Path(mmseg.__file__).parent / ".mim" / "configs" / "_base_" / "models"
    path = folder / "net.py"
    path.write_text(text.format(base=base.as_posix()) + extra, encoding="utf-8")
    return path


def reference_net(config: Path) -> Any:
    """The config's net by mmsegmentation's own door, with random weights and running statistics."""
    from mmseg.apis import init_model

    torch.manual_seed(7)
    net = init_model(str(config), None, device="cpu")
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if key.endswith("running_var") else torch.randn_like(value))
    return net


def save(net: Any, path: Path) -> Path:
    torch.save({"meta": {"epoch": 3, "dataset_meta": {"classes": ["a", "b"]}}, "state_dict": net.state_dict()}, path)
    return path


def random_images(height: int, width: int, n: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, height, width), generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture
def erfnet(tmp_path: Path) -> tuple[Path, Any, Path]:
    """Config, net with random weights, checkpoint."""
    config = write_config(tmp_path, ERFNET)
    net = reference_net(config)
    return config, net, save(net, tmp_path / "net.pth")


@needs_mmseg
@pytest.mark.parametrize("rgb", [True, False], ids=["trained_on_rgb", "trained_on_bgr"])
def test_predictions_equal_those_of_the_net_called_directly(tmp_path: Path, rgb: bool) -> None:
    config = write_config(tmp_path, ERFNET, f"model['data_preprocessor'] = dict(bgr_to_rgb={rgb})\n")
    net = reference_net(config)
    segmenter = mmseg_segmenter(config, save(net, tmp_path / "net.pth"), "cpu")
    images = random_images(32, 48)

    # MEAN and STD are in the order of the channels that the net sees.
    seen = images if rgb else images.flip(1)
    normalised = (seen - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        logits = net.decode_head(net.backbone(normalised))
    logits = F.interpolate(logits, size=(32, 48), mode="bilinear", align_corners=False)
    expected = logits.argmax(1)

    assert len(expected.unique()) > 1
    assert torch.equal(segmenter.predict(images), expected)


@needs_mmseg
def test_a_sliding_config_equals_mmsegmentations_own_sliding_inference(tmp_path: Path) -> None:
    config = write_config(tmp_path, UNET)
    net = reference_net(config)
    segmenter = mmseg_segmenter(config, save(net, tmp_path / "net.pth"), "cpu")
    images = random_images(48, 64)
    normalised = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    meta = [{"ori_shape": (48, 64), "img_shape": (48, 64), "pad_shape": (48, 64), "padding_size": [0] * 4}] * 2
    with torch.no_grad():
        expected = net.slide_inference(normalised, meta).argmax(1)
    assert len(expected.unique()) > 1
    assert torch.equal(segmenter.predict(images), expected)


@needs_mmseg
def test_an_image_that_the_config_pads_comes_back_at_its_own_size(tmp_path: Path) -> None:
    config = write_config(tmp_path, ERFNET, "model['data_preprocessor'] = dict(test_cfg=dict(size_divisor=32))\n")
    predictions = mmseg_segmenter(config, None, "cpu").predict(random_images(40, 57))
    assert predictions.shape == (2, 40, 57)
    assert predictions.dtype == torch.int64


@needs_mmseg
def test_it_meets_the_contract_of_a_segmenter(erfnet: tuple[Path, Any, Path]) -> None:
    config, _, checkpoint = erfnet
    segmenter = mmseg_segmenter(config, checkpoint, "cpu")
    assert isinstance(segmenter, Segmenter)
    assert segmenter.classes == CLASSES
    assert segmenter.name == "mmseg:net"
    assert len(segmenter.weights) == 8
    predictions = segmenter.predict(random_images(32, 32, n=1))
    assert 0 <= int(predictions.min()) <= int(predictions.max()) < CLASSES


@needs_mmseg
def test_a_prediction_does_not_depend_on_the_batch(erfnet: tuple[Path, Any, Path]) -> None:
    segmenter = mmseg_segmenter(erfnet[0], erfnet[2], "cpu")
    images = random_images(32, 32, n=3)
    alone = torch.cat([segmenter.predict(image[None]) for image in images])
    # A tie between two classes may fall either way in the last bit of a float; nothing else may differ.
    assert (segmenter.predict(images) != alone).float().mean() < 1e-3


@needs_mmseg
@pytest.mark.parametrize("form", ["safetensors", "bare", "module_prefix"])
def test_other_forms_of_the_same_checkpoint_predict_the_same(
    erfnet: tuple[Path, Any, Path], tmp_path: Path, form: str
) -> None:
    config, net, checkpoint = erfnet
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    other = tmp_path / ("other.safetensors" if form == "safetensors" else "other.pth")
    if form == "safetensors":
        save_file(state, other)
    elif form == "bare":
        torch.save(state, other)
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, other)
    images = random_images(32, 32)
    expected = mmseg_segmenter(config, checkpoint, "cpu").predict(images)
    assert torch.equal(mmseg_segmenter(config, other, "cpu").predict(images), expected)


@needs_mmseg
def test_an_untrained_net_is_the_same_on_every_call_and_leaves_the_random_state(tmp_path: Path) -> None:
    config = write_config(tmp_path, ERFNET)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = mmseg_segmenter(config, None, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    second = mmseg_segmenter(config, None, "cpu")
    assert first.weights == second.weights
    images = random_images(32, 32)
    assert torch.equal(first.predict(images), second.predict(images))


@needs_mmseg
def test_another_mean_is_another_config(tmp_path: Path) -> None:
    plain = mmseg_segmenter(write_config(tmp_path, ERFNET), None, "cpu")
    moved = write_config(tmp_path, ERFNET, "model['data_preprocessor'] = dict(mean=[0.0, 0.0, 0.0])\n")
    assert mmseg_segmenter(moved, None, "cpu").config != plain.config


# A config of the wheel as it is: a whole FCN, named as mmsegmentation names it.
SHIPPED = "fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py"


@needs_mmseg
def test_a_config_of_the_wheel_opens_by_its_name_and_predicts_as_mmsegmentation_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmseg.models.segmentors import EncoderDecoder

    monkeypatch.chdir(tmp_path)
    untrained: Any = open_segmenter(f"mmseg:{SHIPPED}", None, "cpu", random_weights=True)
    assert (untrained.name, untrained.weights) == (f"mmseg:{Path(SHIPPED).stem}", "random")
    save(untrained._net, Path("net.pth"))
    segmenter: Any = open_segmenter(f"mmseg:{SHIPPED}:net.pth", None, "cpu")
    assert isinstance(segmenter._net, EncoderDecoder)
    assert segmenter.classes == 19
    # Mean, std and the way of inference are half of the identity.
    assert segmenter.weights == f"{short_digest(Path('net.pth'))}+cfg{segmenter.config}"
    images = random_images(64, 96, n=1)
    normalised = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        logits = segmenter._net.encode_decode(normalised, [{"img_shape": (64, 96)}])
    assert len(logits.argmax(1).unique()) > 1
    assert torch.equal(segmenter.predict(images), logits.argmax(1))
    assert torch.equal(untrained.predict(images), logits.argmax(1))


@needs_mmseg
def test_a_config_of_the_user_s_own_comes_before_one_of_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_file(SHIPPED).is_absolute()
    Path("fcn").mkdir()
    Path(SHIPPED).touch()
    assert config_file(SHIPPED) == Path(SHIPPED)
    with pytest.raises(UserError, match=r"fcn/no_such\.py: no such config file"):
        open_segmenter("mmseg:fcn/no_such.py:net.pth", None, "cpu")


class Malicious:
    """A pickle whose loading would make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@needs_mmseg
@pytest.mark.parametrize("bare_pickle", [True, False], ids=["pickle", "torch_file"])
def test_a_malicious_checkpoint_is_refused_and_its_code_not_run(tmp_path: Path, bare_pickle: bool) -> None:
    config, marker, checkpoint = write_config(tmp_path, ERFNET), tmp_path / "was_run", tmp_path / "evil.pth"
    content = {"state_dict": {}, "meta": Malicious(marker)}
    if bare_pickle:
        checkpoint.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, checkpoint)
    with pytest.raises(UserError, match=r"evil\.pth: .*more than tensors"):
        mmseg_segmenter(config, checkpoint, "cpu")
    assert not marker.exists()
    # The bait is real: a loader that runs code does make the file.
    if bare_pickle:
        pickle.loads(checkpoint.read_bytes())
    else:
        torch.load(checkpoint, weights_only=False)
    assert marker.exists()


@needs_mmseg
def test_a_checkpoint_of_another_net_is_refused_by_name(erfnet: tuple[Path, Any, Path], tmp_path: Path) -> None:
    config, net, _ = erfnet
    state = dict(net.state_dict())
    state["decode_head.conv_seg.bias"] = torch.zeros(CLASSES + 1)
    torch.save({"state_dict": state}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: .*1 weights differ.*decode_head\.conv_seg\.bias"):
        mmseg_segmenter(config, tmp_path / "other.pth", "cpu")


@needs_mmseg
@pytest.mark.parametrize("name", ["absent.pth", "broken.pth", "broken.safetensors"])
def test_a_missing_or_broken_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    config = write_config(tmp_path, ERFNET)
    if name.startswith("broken"):
        (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(UserError, match=name.replace(".", r"\.")) as caught:
        mmseg_segmenter(config, tmp_path / name, "cpu")
    assert "\n" not in str(caught.value)


@needs_mmseg
@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "no such config file"),
        ("model = dict(", "does not load"),
        ("raise RuntimeError('mine')", "does not load: mine"),
        ("optimizer = dict()", "has no `model`"),
        ("model = dict(type='EncoderDecoder')", "no `data_preprocessor`"),
        ("model = dict(type='Nonsense', data_preprocessor=dict(mean=[0.0]))", "cannot build"),
    ],
)
def test_a_bad_config_is_named_in_one_line(tmp_path: Path, text: str | None, what: str) -> None:
    config = tmp_path / "bad.py"
    if text is not None:
        config.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=what) as caught:
        mmseg_segmenter(config, None, "cpu")
    assert str(config) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    for module in ("mmcv", "mmcv._ext", "mmseg", "mmseg.models"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r'pip install "spadebench\[mmseg\]"'):
        mmseg_segmenter(tmp_path / "net.py", None, "cpu")
