"""Segmenters out of mmsegmentation: any config of it with its checkpoint, as a net that reads images back.

mmsegmentation and its compiled mmcv are the extra `mmseg`, imported here only when a segmenter is asked
for. A checkpoint is read as tensors and plain values, never as code; a config is Python and is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import UserError, first_line
from harness.weights import load_state, short_digest


class MmsegSegmenter:
    """A segmentor of mmsegmentation that meets the contract of harness.segmenters.base.

    name: `mmseg:` and the config's stem. weights: as in the contract; without a checkpoint the digest of
    the weights themselves. classes: the decode head's. config: first 8 hex digits of the sha256 of the
    resolved `model` of the config, which holds mean, std and the way of inference.
    """

    def __init__(self, net: Any, name: str, weights: str, config: str) -> None:
        self.name, self.weights, self.config = name, weights, config
        self.classes = int(net.num_classes)
        self._net = net

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 predictions at the same size.

        The config's data_preprocessor normalises and pads, and its test_cfg says how inference goes
        (whole or sliding); its test pipeline is not used, since sizes are the protocol's business.
        """
        from mmseg.structures import SegDataSample

        size = tuple(images.shape[-2:])
        # mmsegmentation's loaders read BGR, and a data_preprocessor reorders that into what its net was trained on.
        inputs = list(images.flip(1))
        samples = [SegDataSample(metainfo={"ori_shape": size, "img_shape": size, "pad_shape": size}) for _ in inputs]
        results = self._net.test_step({"inputs": inputs, "data_samples": samples})
        return torch.cat([result.pred_sem_seg.data for result in results]).long()


def mmseg_segmenter(config: Path, checkpoint: Path | None, device: torch.device | str = "cpu") -> MmsegSegmenter:
    """The segmenter of an mmsegmentation config and a checkpoint (.pth with a `state_dict`, or .safetensors).

    The config is code: reading it runs the Python in it and in its `_base_` files, so name only what
    you would run. checkpoint None gives the untrained net, the same one on every call. Pretrained
    backbones named in the config are not fetched. Raises UserError where the extra is missing, the
    config does not load, build or normalise, or the checkpoint is broken, unsafe or of another net.
    """
    require_mmseg()
    from mmengine.registry import DefaultScope
    from mmseg.models.segmentors import BaseSegmentor
    from mmseg.registry import MODELS

    model, scope = _model_config(config)
    # Built on the CPU from a seed of its own, so that neither the caller's random state nor the device matters.
    with DefaultScope.overwrite_default_scope(scope), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            net = MODELS.build(model)
        except Exception as error:  # whatever the constructors of its parts raise
            raise UserError(f"cannot build the net: {first_line(error)}", where=str(config)) from error
    if not isinstance(net, BaseSegmentor):
        raise UserError(f"its model is a {type(net).__name__}, no segmentor", where=str(config))
    if checkpoint is not None:
        _load(net, checkpoint)
    weights = _digest_state(net) if checkpoint is None else short_digest(checkpoint)
    resolved = json.dumps(model.to_dict(), sort_keys=True, default=str)
    digest = hashlib.sha256(resolved.encode()).hexdigest()[:8]
    return MmsegSegmenter(net.to(device).eval(), f"mmseg:{config.stem}", weights, digest)


def config_file(name: str) -> Path:
    """The config of a path, or of a name such as `fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py` among those
    that came with mmsegmentation; the path as it is where there is neither."""
    path = Path(name)
    package = importlib.util.find_spec("mmseg")
    if path.is_file() or path.is_absolute() or package is None or package.origin is None:
        return path
    shipped = Path(package.origin).parent / ".mim" / "configs" / path
    return shipped if shipped.is_file() else path


def require_mmseg() -> None:
    """Raise UserError that names the extra where mmsegmentation or the compiled mmcv does not import."""
    try:
        import mmcv._ext  # noqa: F401  the compiled part, which a light build lacks
        import mmseg.models  # noqa: F401  also registers the nets
    except (ImportError, AssertionError) as error:  # mmseg asserts the version of mmcv
        raise UserError(
            f"mmsegmentation does not import: {first_line(error)}", mend='pip install "spadebench[mmseg]"'
        ) from error


def _model_config(path: Path) -> tuple[Any, str]:
    """The `model` of a config, made ready for inference without downloads, and its registry scope."""
    from mmengine.config import Config

    if not path.is_file():
        raise UserError("no such config file", where=str(path), mend="name a config of mmsegmentation")
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a config is code, and may raise anything
        raise UserError(f"this config does not load: {first_line(error)}", where=str(path)) from error
    model = config.get("model")
    if not hasattr(model, "to_dict"):
        raise UserError("this config has no `model`", where=str(path), mend="name a config of a whole net")
    if not model.get("data_preprocessor"):
        raise UserError(
            "its model has no `data_preprocessor`, so mean and std are unknown",
            where=str(path),
            mend="move data_preprocessor into model",
        )
    model.pretrained = None
    model.train_cfg = None
    backbone = model.get("backbone")
    # Some backbones (timm's) fetch weights in their constructor.
    if hasattr(backbone, "to_dict") and "pretrained" in backbone:
        backbone.pretrained = None
    return model, str(config.get("default_scope") or "mmseg")


def _load(net: nn.Module, checkpoint: Path) -> None:
    """Load the weights, every one of them."""
    if not checkpoint.is_file():
        raise UserError("no such checkpoint", where=str(checkpoint))
    if checkpoint.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state: dict[str, Any] = dict(load_file(checkpoint))
        except SafetensorError as error:
            raise UserError(f"cannot read: {first_line(error)}", where=str(checkpoint)) from error
    else:
        loaded = load_state(checkpoint)
        inner = loaded.get("state_dict", loaded)
        state = {str(key): value for key, value in inner.items()} if isinstance(inner, dict) else {}
    # Checkpoints of a distributed training carry the wrapper's prefix.
    state = {key.removeprefix("module."): value for key, value in state.items()}
    wanted = net.state_dict()
    wrong = sorted(wanted.keys() ^ state.keys())
    wrong += sorted(
        key for key in wanted.keys() & state.keys() if getattr(state[key], "shape", None) != wanted[key].shape
    )
    if wrong:
        raise UserError(
            f"not a checkpoint of this config: {len(wrong)} weights differ in name or shape, the first is {wrong[0]}",
            where=str(checkpoint),
            mend="name the config that the checkpoint was trained with",
        )
    net.load_state_dict(state)


def _digest_state(net: nn.Module) -> str:
    total = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        total.update(key.encode() + b"\0" + value.cpu().numpy().tobytes())
    return total.hexdigest()[:8]
