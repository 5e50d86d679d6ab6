"""A trained generator as a file for other programs: safetensors, or ONNX that is checked as it is written."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm

from harness import __version__
from harness.data.base import Classes
from harness.errors import UserError, first_line
from harness.files import atomic_path
from harness.labels import LabelMap, LabelSpec
from harness.official_release import OFFICIAL, Released, origin
from harness.seeding import mixed_seed
from harness.training.checkpoints import Checkpoint, load_into
from harness.training.loop import suite_encoding
from harness.training.networks import build_generator, z_dim_of

FORMAT = 1
FORMATS = ("safetensors", "onnx")
# Largest difference of an image value in [-1, 1] that folding and another runtime may make.
FOLDED_WITHIN = 1e-5
RUNTIME_WITHIN = 1e-4
# An ONNX file is one protocol buffer, which ends at 2 GiB; what is not weights has room in the rest.
LARGEST_ONNX = (2 << 30) - (64 << 20)
_NEEDED = ("onnx", "onnxscript")
_INSTEAD = "export to safetensors"


class Signature(TypedDict):
    """A tensor that a graph takes or makes, as plain values."""

    shape: list[int | str]
    type: str


@dataclass(frozen=True)
class Exported:
    """What an ONNX file takes, and how it did. inputs, output: shape and type, "batch" where any number goes.

    difference: largest absolute difference between its image and torch's; None where onnxruntime is not
    installed.
    """

    inputs: dict[str, Signature]
    output: Signature
    difference: float | None


def format_of(path: Path, asked: str | None) -> str:
    """The format asked for, else the one that the file's ending names. Raises UserError."""
    found = asked or path.suffix.lower().removeprefix(".")
    if found not in FORMATS:
        what = f"unknown format '{asked}'" if asked else f"no format has the ending '{path.suffix}'"
        raise UserError(what, where=str(path), mend="use " + " or ".join(f"--format {each}" for each in FORMATS))
    return found


def metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """What goes with the weights, as words: all of a checkpoint but the networks and optimisers.

    `spadebench_export` is the format's number; config, classes and made are JSON. `official`: of an official
    file alone, its name, content hash and notes as JSON.
    """
    official = {OFFICIAL: json.dumps(origin(checkpoint))} if isinstance(checkpoint, Released) else {}
    return {
        "spadebench_export": str(FORMAT),
        "spadebench": __version__,
        "method": checkpoint.config["method"]["name"],
        "title": checkpoint.config["title"],
        "config": json.dumps(checkpoint.config),
        "classes": json.dumps(checkpoint.classes),
        "iteration": str(checkpoint.iteration),
        "seconds": repr(checkpoint.seconds),
        "peak_memory": str(checkpoint.peak_memory),
        "data": checkpoint.data,
        "perceptual": checkpoint.perceptual,
        "made": json.dumps(checkpoint.made),
        **official,
    }


def export_safetensors(checkpoint: Checkpoint, path: Path) -> None:
    """Write the generator's state dict, under its own names, with `metadata`; by rename."""
    # Each tensor on its own: the format has no views, and no two names for one tensor.
    state = {name: tensor.detach().contiguous().clone() for name, tensor in checkpoint.networks["generator"].items()}
    with atomic_path(path) as temporary:
        try:
            save_file(state, temporary, {"format": "pt", **metadata(checkpoint)})
        except SafetensorError as error:  # a full disk, among others
            raise OSError(str(error)) from error


def check_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Raise UserError where a checkpoint cannot be exported to ONNX here."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {' and '.join(missing)}", where=str(path), mend="pip install 'spadebench[onnx]'")
    size = sum(t.numel() * t.element_size() for t in checkpoint.networks["generator"].values())
    if size > LARGEST_ONNX:
        raise UserError(f"{size / 2**30:.1f} GiB of weights do not fit an ONNX file", where=str(path), mend=_INSTEAD)


def export_onnx(checkpoint: Checkpoint, path: Path) -> Exported:
    """Write the generator as an ONNX graph at the suite's size; by rename, and only if it does as torch does.

    Inputs: `label_map` (N, h, w) int64 class indices; `edges` (N, h, w) bool where the suite has an edge
    mask; `z` (N, z_dim) float32 where the generator starts from one. Output: `image` (N, 3, h, w) float32 in
    [-1, 1]. N is free, or 1 where the generator's code fixes it. One-hot label maps are made in the graph, and
    spectral norm is folded into the weights. Raises UserError where the generator cannot be exported.
    """
    check_onnx(checkpoint, path)
    classes = Classes(tuple(checkpoint.classes["names"]), checkpoint.classes["void"], ())
    encoding = suite_encoding(checkpoint.config, classes)
    generator = build_generator(checkpoint.config, encoding.spec, encoding.size).eval()
    if hasattr(generator, "open_memory"):
        raise UserError(
            "this generator draws on a memory of photos, which an ONNX graph cannot hold", str(path), _INSTEAD
        )
    load_into(generator, checkpoint.networks["generator"], where="checkpoint")
    network = TensorsIn(generator, encoding.spec).eval()
    inputs = network.sample_inputs(encoding.size, 1)
    image = _fold(network, inputs, str(path))
    with _quiet():
        program = _program(network, encoding.size, str(path))
    program.model.metadata_props.update(metadata(checkpoint))
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)
        return _checked(temporary, inputs, image, str(path))


class TensorsIn(nn.Module):
    """A generator as a function of tensors alone, which is what a graph can take."""

    def __init__(self, generator: nn.Module, spec: LabelSpec) -> None:
        super().__init__()
        self.generator, self.spec = generator, spec

    def forward(self, label_map: Tensor, edges: Tensor | None = None, z: Tensor | None = None) -> Tensor:
        """(N, h, w) int64, (N, h, w) bool or None, (N, z_dim) or None -> (N, 3, h, w)."""
        return self.generator(LabelMap(label_map, self.spec, edges), z)

    def sample_inputs(self, size: tuple[int, int], count: int) -> dict[str, Tensor]:
        """Random arguments of `forward` at a size (h, w), the same ones each time."""
        rng = torch.Generator().manual_seed(mixed_seed(0, count))
        inputs = {"label_map": torch.randint(self.spec.classes, (count, *size), generator=rng)}
        if self.spec.edges:
            inputs["edges"] = torch.rand(count, *size, generator=rng) < 0.1
        if z_dim := z_dim_of(self.generator):
            inputs["z"] = torch.randn(count, z_dim, generator=rng)
        return inputs


def fold_spectral_norm(network: nn.Module) -> None:
    """Divide weights with spectral norm by their norm, as in eval mode, and make plain weights of them; in place."""
    for module in network.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)


@torch.no_grad()
def _fold(network: TensorsIn, inputs: dict[str, Tensor], where: str) -> Tensor:
    """Fold spectral norm; the image of `inputs` after it, which must be the image before."""
    before = network(**inputs)
    fold_spectral_norm(network)
    image: Tensor = network(**inputs)
    difference = float((image - before).abs().max())
    if not difference <= FOLDED_WITHIN:
        raise UserError(
            f"with spectral norm folded into the weights the image differs by {difference:.2g}", where, _INSTEAD
        )
    return image


def _program(network: TensorsIn, size: tuple[int, int], where: str) -> Any:
    """The torch.onnx.ONNXProgram of a network, for any number of images where its code allows that."""
    last: Exception | None = None
    for count in (2, 1):
        inputs = network.sample_inputs(size, count)
        # A free axis is traced with more than one image: torch takes a 1 for a constant.
        shapes: Any = {name: {0: torch.export.Dim("batch")} for name in inputs} if count > 1 else None
        try:
            graph = torch.export.export(network, (), inputs, dynamic_shapes=shapes)
            names = {"input_names": list(inputs), "output_names": ["image"], "dynamic_shapes": shapes}
            program = torch.onnx.export(graph, dynamo=True, verbose=False, **names)
        except Exception as error:  # of many kinds, for code that cannot be traced or has no ONNX operator
            last = error
            continue
        assert program is not None
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # the lines of code it came from, with this machine's paths
        return program
    assert last is not None
    raise UserError(f"torch cannot export this generator to ONNX: {first_line(last)}", where, _INSTEAD) from last


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter tells its developers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*The axis name: batch will not be used", category=UserWarning)
        yield


def _checked(written: Path, inputs: dict[str, Tensor], image: Tensor, where: str) -> Exported:
    """What the written file takes and makes. Raises UserError where onnxruntime makes of `inputs` another image."""
    import onnx

    graph = onnx.load(str(written)).graph
    difference = None
    if importlib.util.find_spec("onnxruntime") is not None:
        try:
            difference = float((_run(written, inputs) - image).abs().max())
        except Exception as error:  # onnxruntime's own kinds share no base class of its own
            raise UserError(f"onnxruntime cannot run it: {first_line(error)}", where, _INSTEAD) from error
        if not difference <= RUNTIME_WITHIN:
            raise UserError(f"onnxruntime makes another image of it: they differ by {difference:.2g}", where, _INSTEAD)
    return Exported({value.name: _signature(value) for value in graph.input}, _signature(graph.output[0]), difference)


def _signature(value: Any) -> Signature:
    import onnx

    tensor = value.type.tensor_type
    shape = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return {"shape": shape, "type": kind}


def _run(written: Path, inputs: dict[str, Tensor]) -> Tensor:
    """The image that onnxruntime makes, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    (image,) = session.run(["image"], {name: tensor.numpy() for name, tensor in inputs.items()})
    return torch.from_numpy(image)
