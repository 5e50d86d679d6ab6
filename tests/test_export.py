"""Exported generators: the same weights, the same images, in files that other programs read."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from small import SMALL_WIDTHS, fitting
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from harness import export
from harness.cells import load_suite, resolve
from harness.cli import main
from harness.data.toyscapes import CLASSES
from harness.errors import UserError
from harness.labels import LabelMap
from harness.training.checkpoints import Checkpoint, load_into, save_checkpoint
from harness.training.loop import suite_encoding
from harness.training.networks import build_generator, build_networks

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the extra `onnx` is not installed",
)


def checkpoint(method: str, edges: bool = False, **changes: Any) -> Checkpoint:
    """As of a training that has not begun, but for weights under which every pixel of the image has a say."""
    given = {key.replace("__", "."): value for key, value in changes.items()}
    suite = replace(load_suite("toyscapes"), edges=edges)
    config = resolve(method, suite, overrides={**fitting(method, SMALL_WIDTHS), **given}).config
    spec = suite_encoding(config, CLASSES).spec
    generator = build_networks(config, spec).generator
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(0, 1 / max(1, parameter[0].numel()) ** 0.5, generator=rng)
        inputs = export.TensorsIn(generator, spec).sample_inputs((64, 64), 4)
        export.TensorsIn(generator, spec).train()(**inputs)  # the norms' running statistics
    return Checkpoint(
        config=config,
        iteration=3,
        networks={"generator": generator.state_dict()},
        optimisers={},
        seconds=1.5,
        peak_memory=7,
        data="abc",
        classes={"names": CLASSES.names, "void": CLASSES.void, "palette": CLASSES.palette},
        perceptual="",
        made={"processes": 1},
    )


def generator_of(made: Checkpoint, state: dict[str, Tensor]) -> export.TensorsIn:
    encoding = suite_encoding(made.config, CLASSES)
    generator = build_generator(made.config, encoding.spec, encoding.size)
    load_into(generator, state, "test")
    return export.TensorsIn(generator, encoding.spec).eval()


@pytest.mark.parametrize("method", ["spade", "spade_vae", "pix2pixhdpp"])
def test_safetensors_holds_the_weights_and_what_a_generator_is_built_from(method: str, tmp_path: Path) -> None:
    made = checkpoint(method)
    export.export_safetensors(made, tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    assert state.keys() == made.networks["generator"].keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in made.networks["generator"].items())
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        said = file.metadata()
    assert said["spadebench_export"] == "1"
    assert json.loads(said["config"]) == made.config
    assert tuple(json.loads(said["classes"])["names"]) == CLASSES.names
    assert (said["method"], said["iteration"], float(said["seconds"])) == (method, "3", 1.5)


def test_shared_and_strided_tensors_are_written_each_on_its_own(tmp_path: Path) -> None:
    made = checkpoint("spade")
    both = torch.arange(6.0).view(2, 3)
    made.networks["generator"] = {"a": both, "b": both[0], "c": both.T}
    export.export_safetensors(made, tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    assert torch.equal(state["b"], both[0])
    assert torch.equal(state["c"], both.T)


def test_folding_spectral_norm_leaves_plain_weights_and_the_same_output() -> None:
    network = nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 3)), nn.ReLU(), spectral_norm(nn.Linear(4, 2))).train()
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    network[0](x)
    before = network.eval()[:2](x)
    export.fold_spectral_norm(network)
    assert torch.allclose(network[:2](x), before, atol=1e-6)
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} == set(network.state_dict())
    assert {name for name, _ in network.named_parameters()} == set(network.state_dict())


def image_by_onnxruntime(path: Path, inputs: dict[str, Tensor]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0])


@needs_onnx
@pytest.mark.parametrize(
    ("method", "edges", "inputs"),
    [
        ("spade_vae", True, {"label_map": [64, 64], "edges": [64, 64], "z": [8]}),
        ("pix2pixhdpp", False, {"label_map": [64, 64]}),
    ],
)
def test_onnx_makes_the_images_that_torch_makes(
    method: str, edges: bool, inputs: dict[str, list[int]], tmp_path: Path
) -> None:
    import onnx

    made, path = checkpoint(method, edges), tmp_path / "net.onnx"
    done = export.export_onnx(made, path)
    assert {name: of["shape"] for name, of in done.inputs.items()} == {n: ["batch", *s] for n, s in inputs.items()}
    assert [of["type"] for of in done.inputs.values()] == ["int64", "bool", "float32"][: len(inputs)]
    assert done.output == {"shape": ["batch", 3, 64, 64], "type": "float32"}
    assert done.difference is not None
    assert done.difference < 1e-4
    network = generator_of(made, made.networks["generator"])
    for count in (1, 3):
        given = network.sample_inputs((64, 64), count)
        with torch.no_grad():
            expected = network(**given)
        assert expected.std() > 0.05
        assert (image_by_onnxruntime(path, given) - expected).abs().max() < 1e-4
    model = onnx.load(str(path))
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["spadebench_export"] == "1"
    assert json.loads(said["config"]) == made.config
    assert str(Path(export.__file__).parents[1]).encode() not in path.read_bytes()
    assert not any(word in name.name for name in model.graph.initializer for word in ("weight_u", "weight_orig"))
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


class Stubborn(nn.Module):
    """A generator that no graph can be made of: its code asks for values."""

    z_dim = 0

    def forward(self, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        image = labels.indices[:, None].float().expand(-1, 3, -1, -1)
        return image if image.sum().item() > 1 else image.tanh()


class WithMemory(Stubborn):
    def open_memory(self, folder: Path) -> None: ...


@needs_onnx
@pytest.mark.parametrize(("generator", "said"), [(Stubborn, "torch cannot export"), (WithMemory, "memory")])
def test_a_generator_that_cannot_be_a_graph_is_refused_with_one_line(
    generator: type[nn.Module], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = checkpoint("pix2pixhdpp")
    made.networks["generator"] = {}
    monkeypatch.setattr(export, "build_generator", lambda *given: generator())
    with pytest.raises(UserError, match=said) as refused:
        export.export_onnx(made, tmp_path / "net.onnx")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_a_file_that_makes_another_image_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Program:
        model = type("Model", (), {"metadata_props": {}})

        def save(self, path: Path, external_data: bool) -> None:
            from onnx import TensorProto, helper, save

            values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("label_map", "image")]
            node = helper.make_node("Identity", ["label_map"], ["image"])
            save(helper.make_model(helper.make_graph([node], "g", values[:1], values[1:])), str(path))

    monkeypatch.setattr(export, "_program", lambda *given: Program())
    monkeypatch.setattr(export, "_run", lambda written, inputs: torch.full((1, 3, 64, 64), torch.nan))
    (tmp_path / "net.onnx").write_bytes(b"before")
    with pytest.raises(UserError, match=r"net\.onnx: onnxruntime makes another image"):
        export.export_onnx(checkpoint("pix2pixhdpp"), tmp_path / "net.onnx")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("net.onnx", b"before")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with some words: exit code, standard output, standard error."""

    def ran(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spadebench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return ran


def test_without_the_packages_onnx_is_refused_with_the_extra(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save_checkpoint(tmp_path, checkpoint("pix2pixhdpp"), keep=1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, err = run("export", "-c", saved, "--to", tmp_path / "net.onnx")
    assert (code, out) == (2, "")
    assert "pip install 'spadebench[onnx]'" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "net.onnx").exists()


def test_the_command_writes_safetensors_and_says_so_in_json(run: Any, tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path, checkpoint("pix2pixhdpp"), keep=1)
    words = ("export", "--checkpoint", saved, "--to", tmp_path / "out" / "weights", "--format", "safetensors", "--json")
    code, out, _ = run(*words, "--dry-run")
    assert (code, json.loads(out)["format"]) == (0, "safetensors")
    assert not (tmp_path / "out").exists()
    code, out, _ = run(*words)
    found = json.loads(out)
    assert (code, found["method"], found["suite"], found["size"]) == (0, "pix2pixhdpp", "toyscapes", [64, 64])
    assert found["bytes"] == (tmp_path / "out" / "weights").stat().st_size


def test_an_official_file_is_exported_to_onnx_for_its_suite(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnx")
    torch.save(checkpoint("pix2pixhdpp").networks["generator"], tmp_path / "latest_net_G.pth")
    words = ("export", "-c", tmp_path / "latest_net_G.pth", "--to", tmp_path / "net.onnx", "-s", "toyscapes", "--json")
    code, out, err = run(*words)
    assert code == 0, err
    found = json.loads(out)
    assert found["inputs"]["label_map"]["shape"] == ["batch", 64, 64]
    assert found["difference"] is None or found["difference"] < 1e-4
    assert found["notes"]


def test_bad_words_get_one_line(run: Any, tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path, checkpoint("pix2pixhdpp"), keep=1)
    (tmp_path / "broken.pt").write_bytes(b"PK")
    for words, said in (
        (("-c", saved, "--to", "net.bin"), "--format onnx"),
        (("-c", saved, "--to", "net.onnx", "--format", "onyx"), "unknown format 'onyx'"),
        (("-c", tmp_path / "none.pt", "--to", "net.onnx"), "none.pt"),
        (("-c", tmp_path / "broken.pt", "--to", "net.safetensors"), "broken.pt"),
        (("-c", saved), "--to"),
    ):
        code, out, err = run("export", *words)
        assert (code, out) == (2, "")
        assert said in err
        assert len(err.strip().splitlines()) == 1


def test_the_command_has_help_with_an_example(run: Any) -> None:
    assert "spadebench export --checkpoint" in run("export", "--help")[1]
