"""What the networks cost, against the figures of the paper's, and the command that prints it."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.cells import load_suite, resolve
from harness.cli import main
from harness.cost import REST, generator_cost, method_cost
from harness.labels import LabelMap, LabelSpec
from harness.registry import DATASETS, GENERATORS, METHODS, lookup, names
from harness.training.networks import build_networks

PAPER = {
    "cityscapes": (LabelSpec(35, edges=True), 93_048_003, 281.3),
    "ade20k": (LabelSpec(151), 96_492_483, 181.2),
    "coco_stuff": (LabelSpec(183, edges=True), 97_480_899, 191.1),
}
TOYSCAPES = LabelSpec(9)


def config(method: str, suite: str = "toyscapes", **changes: Any) -> dict[str, Any]:
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve(method, load_suite(suite), overrides=given).config


@pytest.mark.parametrize("method", names(METHODS))
def test_every_method_has_a_cost_whose_blocks_add_up(method: str) -> None:
    cost = method_cost(config(method), TOYSCAPES)
    assert cost.generator.parameters > 0
    assert cost.generator.multiply_adds > cost.generator.activations > 0
    assert len(cost.blocks) > 1
    for count in ("parameters", "multiply_adds", "activations"):
        assert sum(getattr(block, count) for block in cost.blocks) == getattr(cost.generator, count)


@pytest.mark.parametrize(("method", "depth"), [("spade_vae", 9), ("pix2pixhdpp", 2)])
def test_blocks_add_up_at_every_depth(method: str, depth: int) -> None:
    cost = method_cost(config(method), TOYSCAPES, depth)
    for count in ("parameters", "multiply_adds", "activations"):
        assert sum(getattr(block, count) for block in cost.blocks) == getattr(cost.generator, count)


def test_blocks_are_the_networks_own() -> None:
    spade = [block.name for block in method_cost(config("spade"), TOYSCAPES).blocks]
    assert spade[:3] == ["fc", "head_0", "G_middle_0"]
    assert spade[-1] == "conv_img"
    deeper = [block.name for block in method_cost(config("spade"), TOYSCAPES, 2).blocks]
    assert {"fc", "head_0.conv_0", "head_0.norm_0", "up_3.conv_s"} <= set(deeper)
    body = [block.name for block in method_cost(config("pix2pixhdpp"), TOYSCAPES).blocks]
    assert {"model.1", "model.3", "model.29"} <= set(body)
    assert REST not in {*spade, *deeper, *body}


def test_the_count_is_that_of_the_network_when_it_runs() -> None:
    small = config("spade_vae", generator__ngf=4)
    networks = build_networks(small, TOYSCAPES)
    generator = networks.generator.eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        generator(LabelMap(torch.zeros(1, 64, 64, dtype=torch.int64), TOYSCAPES), torch.zeros(1, 256))
    cost = method_cost(small, TOYSCAPES)
    assert cost.generator.multiply_adds == counted.get_total_flops() // 2
    assert generator_cost(small, TOYSCAPES) == {
        "parameters": sum(p.numel() for p in generator.parameters()),
        "multiply_adds": cost.generator.multiply_adds,
    }
    assert networks.discriminator is not None
    assert networks.encoder is not None
    assert cost.discriminator == sum(p.numel() for p in networks.discriminator.parameters())
    assert cost.encoder == sum(p.numel() for p in networks.encoder.parameters())


class Remembering(nn.Module):
    """A generator that cannot run without its memory, with a shared layer and one that it uses by itself."""

    z_dim = 0

    def __init__(self, labels: LabelSpec, size: tuple[int, int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 1, bias=False) for _ in range(2)])
        self.again = self.blocks[0]
        self.weight = nn.Parameter(torch.zeros(3, 3, 1, 1))

    def forward(self, labels: LabelMap, z: Tensor | None = None) -> Tensor:
        raise RuntimeError("no memory")

    def cost_forward(self, labels: LabelMap, z: Tensor | None) -> Tensor:
        x = torch.zeros(len(labels), 3, *labels.size)
        return nn.functional.conv2d(self.again(self.blocks[1](self.blocks[0](x))), self.weight)


def test_a_generator_with_a_memory_is_counted_by_the_forward_it_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup(GENERATORS, "spade")
    monkeypatch.setitem(GENERATORS.module_dict, "remembering", Remembering)
    given = config("spade")
    given["method"]["generator"] = {"name": "remembering"}
    cost = method_cost(given, TOYSCAPES)
    pixels = 64 * 64
    assert [(b.name, b.parameters, b.multiply_adds, b.activations) for b in cost.blocks] == [
        ("blocks.0", 9, 2 * 9 * pixels, 2 * 3 * pixels),
        ("blocks.1", 9, 9 * pixels, 3 * pixels),
        (REST, 9, 9 * pixels, 3 * pixels),
    ]
    assert (cost.generator.parameters, cost.generator.multiply_adds) == (27, 36 * pixels)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with some words: exit code, standard output, standard error."""

    def ran(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spadebench", *words])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return ran


@pytest.mark.parametrize("suite", PAPER)
def test_spade_costs_what_the_official_network_costs_and_needs_no_data_set(suite: str, run: Any, tmp_path: Any) -> None:
    spec, parameters, giga = PAPER[suite]
    code, out, _ = run("cost", "spade", "--suite", suite, "--data-root", str(tmp_path), "--json")
    found = json.loads(out)
    assert code == 0
    assert found["label_channels"] == spec.channels
    assert found["generator"]["parameters"] == parameters
    assert found["generator"]["multiply_adds"] / 1e9 == pytest.approx(giga, abs=0.05)
    assert found["encoder"] is None


def test_every_data_set_of_a_suite_says_its_classes_before_it_is_opened() -> None:
    for suite in ("toyscapes", "camvid", *PAPER):
        assert len(lookup(DATASETS, load_suite(suite).data).classes) > 1


def test_the_command_prints_blocks_totals_and_what_is_counted(run: Any) -> None:
    code, out, _ = run("cost", "spade_vae", "-s", "toyscapes", "--set", "generator.ngf=4", "--depth", "2")
    assert code == 0
    for word in ("head_0.conv_0", "generator", "discriminator", "encoder", "Multiply-adds: of convolutions"):
        assert word in out


def test_what_a_generator_says_of_its_count_stands_under_the_table(run: Any) -> None:
    words = ("cost", "sims", "-s", "toyscapes", "--set", "generator.ngf=4")
    notes = lookup(GENERATORS, "sims").notes
    assert json.loads(run(*words, "--json")[1])["notes"] == list(notes)
    printed = " ".join(run(*words)[1].split())  # lines are broken at the console's width
    assert all(f"note: {note}" in printed for note in notes)
    assert json.loads(run("cost", "spade", "-s", "toyscapes", "--json")[1])["notes"] == []


def test_bad_words_get_one_line(run: Any) -> None:
    for words, said in (
        (("spad", "--suite", "toyscapes"), "did you mean spade"),
        (("spade", "--suite", "toyscape"), "did you mean toyscapes"),
        (("spade", "--suite", "toyscapes", "--set", "generator.nfg=4"), "generator.ngf"),
        (("spade", "--suite", "toyscapes", "--depth", "0"), "--depth"),
    ):
        code, out, err = run("cost", *words)
        assert (code, out) == (2, "")
        assert said in err
        assert len(err.strip().splitlines()) == 1


def test_the_command_has_help_with_an_example(run: Any) -> None:
    assert "spadebench cost spade --suite" in run("cost", "--help")[1]
