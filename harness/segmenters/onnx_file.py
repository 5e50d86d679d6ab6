"""A segmenter out of an ONNX file, run by onnxruntime (the extra `onnx`).

A graph does not say how its input is to be normalised, and a guess would give a wrong score rather than an
error. So the file has to say it: in its metadata, or in a JSON file beside it, net.onnx.json:

    {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": 255, "order": "rgb"}

The net sees (image / scale - mean) / std, channels in `order` (rgb or bgr; mean and std in the same order).
Beside these four, `classes`: the number of classes, needed where the output does not tell (it is indices, or
has a free dimension), and to leave out the last outputs as void; `resize`: `bilinear` or `bicubic`, how an
image is brought to the size of a graph that takes one size only (no smoothing, pixel centres). In the metadata
each key is an entry of its own, its value written as JSON.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.errors import UserError, did_you_mean, first_line
from harness.segmenters.resnet import normaliser

NEEDED = ("mean", "std", "scale", "order")
KEYS = (*NEEDED, "classes", "resize")
ORDERS = ("rgb", "bgr")
RESIZES = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Description:
    """How a graph is fed: the keys that the module's first lines explain."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float
    order: str
    classes: int | None = None
    resize: str | None = None


class OnnxSegmenter:
    """An ONNX graph that meets the contract of harness.segmenters.base.

    name: `onnx:` and the file's stem. weights: first 8 hex digits of the sha256 of the file and the files that
    it keeps weights in, `+cfg` and those of the description where that stands beside it.
    """

    def __init__(
        self, session: Any, how: Description, name: str, weights: str, device: torch.device | str, where: str
    ) -> None:
        self.name, self.weights, self.device, self._where = name, weights, device, where
        self._session, self._how = session, how
        self._input, self._fixed = _input(session, where)
        self.classes = _classes(session, how, where)
        self._mean, self._std = normaliser(how.mean, device), normaliser(how.std, device)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 in 0 .. 255, RGB -> (N, H, W) int64 predictions at the same size.

        Logits of another size are brought to it bilinearly, indices by the nearest. Raises UserError for a
        size that the graph does not take.
        """
        # One by one: a graph may be of batch 1, and a score must not depend on the batch.
        return torch.cat([self._one(image[None]) for image in images.to(self.device)])

    def _one(self, image: Tensor) -> Tensor:
        size = (image.shape[-2], image.shape[-1])
        x = self._resized(image)
        x = ((x.flip(1) if self._how.order == "bgr" else x) / self._how.scale - self._mean) / self._std
        try:
            (found,) = self._session.run(None, {self._input: np.ascontiguousarray(x.cpu().numpy())})
        except Exception as error:  # onnxruntime's errors have no base of their own
            h, w = x.shape[-2:]
            raise UserError(
                f"the graph fails on an image of {w}x{h}: {first_line(error)}", where=self._where
            ) from error
        output = torch.from_numpy(np.asarray(found)).to(self.device)
        if output.is_floating_point() and output.dim() == 4 and output.shape[1] >= max(2, self.classes):
            logits = output.float()
            if tuple(logits.shape[2:]) != size:
                logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            return logits.argmax(dim=1)
        if not output.is_floating_point() and output.dim() in (3, 4) and output.shape[:-2].numel() == 1:
            # Whole numbers up to 2^24 are exact in float32.
            indices = output.reshape(1, 1, *output.shape[-2:]).float()
            return F.interpolate(indices, size=size, mode="nearest-exact")[0].long()
        raise UserError(
            f"its output is {tuple(output.shape)} of {output.dtype}",
            where=self._where,
            mend=f"it should be logits (1, {self.classes} or more, h, w) of floats, or indices (1, h, w) of integers",
        )

    def _resized(self, image: Tensor) -> Tensor:
        have = tuple(image.shape[-2:])
        want = tuple(fixed or side for fixed, side in zip(self._fixed, have, strict=True))
        if want == have:
            return image
        if self._how.resize is None:
            raise UserError(
                f"the graph takes images of {want[1]}x{want[0]}, and this one is {have[1]}x{have[0]}",
                where=self._where,
                mend='say how to resize in its description ("resize": "bilinear"), or export it with free sizes',
            )
        return F.interpolate(image, size=want, mode=self._how.resize, align_corners=False).clamp(0, 255)


def onnx_segmenter(path: Path, device: torch.device | str = "cpu") -> OnnxSegmenter:
    """The segmenter of an ONNX file; it runs on the GPU where `device` is one and onnxruntime has it too.

    Raises UserError where the extra is missing, the file is missing or broken or takes and gives something
    else, and where it is not said how images are normalised.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{error.name} is not installed", mend='pip install "spadebench[onnx]"') from error
    if not path.is_file():
        raise UserError("no such file", where=str(path), mend="give onnx:FILE")
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(str(path))
        session = onnxruntime.InferenceSession(path, _options(), providers=_providers(device))
    except Exception as error:  # each of the three has errors of its own
        raise UserError(f"this is no ONNX file that runs: {first_line(error)}", where=str(path)) from error
    weights = _digest([path, *_kept_outside(model, path)])
    beside = path.with_name(f"{path.name}.json")
    if beside.is_file():
        how = describe(_read(beside), str(beside))
        written = json.dumps(asdict(how), sort_keys=True).encode()
        weights += f"+cfg{hashlib.sha256(written).hexdigest()[:8]}"
    else:
        how = describe(_metadata(model, path), str(path), f"write {beside.name} beside it, or its metadata, with")
    return OnnxSegmenter(session, how, f"onnx:{'_'.join(path.stem.split())}", weights, device, str(path))


def describe(values: dict[str, Any], where: str, mend: str = "it needs") -> Description:
    """A description of plain values, each checked. Raises UserError that names what is missing or wrong."""
    for key in values:
        if key not in KEYS:
            raise UserError(f"unknown key '{key}'", where=where, mend=did_you_mean(key, KEYS))
    missing = [key for key in NEEDED if key not in values]
    if missing:
        raise UserError(
            f"it is not said how images are normalised: {', '.join(missing)} missing",
            where=where,
            mend=f'{mend} "mean": [x, x, x], "std": [x, x, x], "scale": 255 (divides 0..255), "order": "rgb" or "bgr"',
        )
    legal = {
        "mean": _three(values["mean"]),
        "std": _three(values["std"]) and all(values["std"]),
        "scale": _number(values["scale"]) and values["scale"] > 0,
        "order": values["order"] in ORDERS,
        "classes": values.get("classes") is None or (type(values["classes"]) is int and values["classes"] > 0),
        "resize": values.get("resize") in (None, *RESIZES),
    }
    for key, fine in legal.items():
        if not fine:
            choices = {"order": " or ".join(ORDERS), "resize": " or ".join(RESIZES), "classes": "a number of classes"}
            wanted = choices.get(key, "three numbers" if key in ("mean", "std") else "a number above 0")
            raise UserError(f"{key} cannot be {values[key]!r}", where=where, mend=f"give {wanted}")
    mean, std = (tuple(float(v) for v in values[key]) for key in ("mean", "std"))
    assert len(mean) == len(std) == 3
    return Description(mean, std, float(values["scale"]), values["order"], values.get("classes"), values.get("resize"))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _three(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(_number(v) for v in value)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"not readable as JSON: {first_line(error)}", where=str(path)) from error
    if not isinstance(values, dict):
        raise UserError("not a JSON object", where=str(path))
    return values


def _metadata(model: Any, path: Path) -> dict[str, Any]:
    """Our keys among the metadata; whatever else programs write there is theirs."""
    found: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key not in KEYS:
            continue
        try:
            found[entry.key] = json.loads(entry.value)
        except ValueError as error:
            if entry.key not in ("order", "resize"):
                raise UserError(f"its metadata '{entry.key}' is no JSON", where=str(path)) from error
            found[entry.key] = entry.value
    return found


def _kept_outside(model: Any, path: Path) -> list[Path]:
    """The files beside an ONNX file in which it keeps its weights; exporters write one by default."""
    places = {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
    return [path.parent / place for place in sorted(places)]


def _digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()[:8]


def _input(session: Any, where: str) -> tuple[str, tuple[int | None, int | None]]:
    """The name of the only input, and its height and width where they are fixed."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UserError(f"it takes {len(inputs)} inputs, not one image", where=where)
    shape, kind = inputs[0].shape, inputs[0].type
    fixed = [side if isinstance(side, int) else None for side in shape]
    if kind != "tensor(float)" or len(shape) != 4 or fixed[0] not in (None, 1) or fixed[1] not in (None, 3):
        raise UserError(
            f"its input is {shape} of {kind}", where=where, mend="it should be (N or 1, 3, H, W) of float32"
        )
    return inputs[0].name, (fixed[2], fixed[3])


def _classes(session: Any, how: Description, where: str) -> int:
    outputs = session.get_outputs()
    if len(outputs) != 1:
        raise UserError(f"it has {len(outputs)} outputs, not one", where=where, mend="keep the logits or indices alone")
    shape, kind = outputs[0].shape, outputs[0].type
    channels = shape[1] if len(shape) == 4 and "float" in kind and isinstance(shape[1], int) else None
    if how.classes is None and channels is None:
        raise UserError(
            f"its output {shape} of {kind} does not tell the number of classes",
            where=where,
            mend='add "classes" to its description',
        )
    if how.classes is not None and channels is not None and how.classes > channels:
        raise UserError(f"its description has {how.classes} classes, its output {channels}", where=where)
    return how.classes or channels or 0


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # As many threads as torch has, since the bits of a sum depend on them.
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors, which are raised too
    return options


def _providers(device: torch.device | str) -> list[Any]:
    import onnxruntime

    target = torch.device(device)
    if target.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": target.index or 0}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]
