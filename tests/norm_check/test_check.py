"""The checks as a whole: what is named is found, costs are those of the cost command, the command prints them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from harness.cells import load_suite, resolve
from harness.commands.validate_norm import validate_norm
from harness.cost import generator_cost
from harness.errors import UserError
from harness.labels import LabelSpec
from harness.norm_check.check import check_norm
from harness.norm_check.contract import POINTS
from harness.norm_check.contract_running import RUNNING
from harness.norm_check.cost import norm_cost, rounds
from harness.norm_check.layers import built, open_norm
from harness.norm_check.live_bytes import LiveBytes
from harness.registry import METHODS, NORMS

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "harness" / "norm_check" / "template.py"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Registries and modules without what a test has loaded."""
    entries, modules = [dict(r.module_dict) for r in (NORMS, METHODS)], set(sys.modules)
    yield
    for registry, known in zip((NORMS, METHODS), entries, strict=True):
        for name in set(registry.module_dict) - set(known):
            del registry.module_dict[name]
    for name in set(sys.modules) - modules:
        if not name.startswith(("torch", "harness", "baselines")):
            del sys.modules[name]


def file_of(folder: Path, body: str, name: str = "some_norm.py") -> str:
    (folder / name).write_text("from torch import nn\n" + body, encoding="utf-8")
    return str(folder / name)


PLAIN = """
class MyPlain(nn.Module):
    def __init__(self, channels, labels, power=1.0):
        super().__init__()
        self.power = power
    def forward(self, x, labels=None):
        return x * self.power
def made(channels, labels):
    return MyPlain(channels, labels, 2.0)
def empty():
    return None
number = 3
"""


def test_a_class_or_function_of_a_file_is_a_norm_under_its_name_in_snake_case(tmp_path: Path) -> None:
    path = file_of(tmp_path, PLAIN)
    assert open_norm(f"{path}:MyPlain", {"power": 2}) == {"name": "my_plain", "power": 2.0}
    assert open_norm(f"{path}:MyPlain") == {"name": "my_plain", "power": 1.0}
    assert open_norm(f"{path}:made") == {"name": "made"}
    assert built({"name": "made"}, 4, LabelSpec(2), 0).power == 2.0
    assert open_norm("baselines.norms.clade:CLADE")["name"] == "clade"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{path}:MyPlane", "did you mean MyPlain"),
        ("{path}:number", "is a int"),
        ("{path}:empty", r"called with \(channels, labels\)"),
        ("{path}", "the name in the file is missing"),
        ("{path}:", "names no norm"),
        ("no_such.py:MyNorm", "no such file"),
        ("no_such_module:MyNorm", "cannot import"),
        ("spadee", "did you mean spade"),
        ("{broken}:MyNorm", "this code does not load: ZeroDivisionError"),
    ],
)
def test_a_norm_that_is_not_there_is_one_clear_line(tmp_path: Path, spec: str, message: str) -> None:
    path, broken = file_of(tmp_path, PLAIN), file_of(tmp_path, "1 / 0\n", "broken_norm.py")
    with pytest.raises(UserError, match=message) as caught:
        open_norm(spec.format(path=path, broken=broken))
    assert "\n" not in str(caught.value)


def test_a_wrong_option_of_a_norm_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean power"):
        open_norm(f"{file_of(tmp_path, PLAIN)}:MyPlain", {"pover": 2})


def test_costs_are_those_of_the_cost_command_and_of_the_layer() -> None:
    suite, spec, told = load_suite("toyscapes"), LabelSpec(6), []
    norm = open_norm("clade")
    cost = norm_cost(norm, suite, spec, CPU, repeats=1, tick=lambda: told.append(1))
    assert len(told) == rounds(1)
    assert (cost.channels, cost.size) == (32, (64, 64))
    assert (cost.layer.own.parameters, cost.layer.own.multiply_adds) == (2 * 6 * 32, 0)
    # Three convs 3x3 of SPADE: 6 to 32 channels, then twice 32 to 32.
    assert cost.layer.spade.multiply_adds == 64 * 64 * 9 * (6 * 32 + 2 * 32 * 32)
    for run, overrides in ((cost.generator.own, {"generator.norm": norm}), (cost.generator.spade, {})):
        counted = generator_cost(resolve("spade", suite, overrides=overrides).config, spec)
        assert counted == {"parameters": run.parameters, "multiply_adds": run.multiply_adds}
    for run in (cost.layer.own, cost.layer.spade, cost.generator.own, cost.generator.spade):
        assert min(run.forward, run.backward, run.memory) > 0
    assert cost.layer.spade.memory > cost.layer.own.memory
    plain = json.loads(json.dumps(cost.as_dict(), allow_nan=False))
    assert plain["layer"]["ratio"]["multiply_adds"] == 0
    assert 0 < plain["generator"]["ratio"]["multiply_adds"] < 1
    assert plain["spade"]["hidden"] == 32


def test_live_bytes_are_those_of_the_tensors_that_live_together() -> None:
    x = torch.ones(1000, requires_grad=True)
    with LiveBytes() as live:
        y = x * 2  # 4,000 bytes
        z = y.view(10, 100).exp()  # as many; exp keeps its result
        assert live.now == 8000
        del y
        assert live.now == 4000
        z.sum().backward()
        del z
    assert live.now == 4000  # the gradient
    assert 12000 <= live.peak < 13000


def test_the_template_passes_every_check_and_is_found_to_be_clade(tmp_path: Path) -> None:
    (tmp_path / "my_norm.py").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    told: list[tuple[int, int]] = []
    found = check_norm(
        f"{tmp_path / 'my_norm.py'}:MyNorm",
        "toyscapes",
        progress=lambda done, total, _: told.append((done, total)),
        compiler="aot_eager",
        repeats=1,
    )
    assert found.ok
    assert {point.outcome for point in found.contract if point.name != "cuda"} == {"ok"}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert set(plain["kept"]) == {"norm", "spade", "batch", "instance"}
    assert plain["reductions"][0]["rival"] == "clade (base instance)"
    assert resolve("spade_my_norm", load_suite("toyscapes")).config["method"]["generator"]["norm"]["name"] == "my_norm"


WRONG = """
class Halved(nn.Module):
    def __init__(self, channels, labels):
        super().__init__()
    def forward(self, x, labels=None):
        return x[:, ::2]
"""


def test_a_layer_that_does_not_run_is_a_finding_and_no_crash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"{file_of(tmp_path, WRONG, 'halved_norm.py')}:Halved"
    with pytest.raises(typer.Exit) as ended:
        validate_norm(words, checks_only=True, repeats=1, compiled=False, device="cpu")
    assert ended.value.exit_code == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "output has the shape (2, 16, 12, 20), not (2, 32, 12, 20)" in shown
    assert "output (2, 16, 12, 20) float32 on cpu" in shown
    assert "cost left out: " in shown


NARROW = """
class Narrow(nn.BatchNorm2d):
    def __init__(self, channels, labels):
        if channels > 32:
            raise ENDS
        super().__init__(channels)
    def forward(self, x, labels=None):
        return super().forward(x)
"""


@pytest.mark.parametrize("ends", ["ValueError('too wide')", "SystemExit(0)"])
def test_a_part_that_fails_after_the_contract_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ends: str
) -> None:
    words = f"{file_of(tmp_path, NARROW.replace('ENDS', ends), 'narrow_norm.py')}:Narrow"
    with pytest.raises(typer.Exit) as ended:
        validate_norm(words, against="batch", seeds=1, repeats=1, compiled=False, device="cpu", out=tmp_path / "out")
    assert ended.value.exit_code == 1
    printed = capsys.readouterr()
    assert "here cost failed" in printed.err
    assert f"cost left out: {ends.split('(')[0]}" in printed.out
    assert not (tmp_path / "out").exists()


def test_the_command_prints_tables_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"checks_only": True, "repeats": 1, "compiled": False, "device": "cpu"}
    validate_norm("spade", overrides=["kernel=1", "generator.norm.hidden=8"], **given)  # type: ignore[arg-type]
    shown = capsys.readouterr().out
    assert "spade (kernel=1, hidden=8, base=sync_batch)" in shown
    assert re.search(r"instance +0\.125 +0\.125", shown)
    assert "it equals clade (base batch)" in " ".join(shown.split())
    validate_norm("instance", as_json=True, **given)  # type: ignore[arg-type]
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] is None
    plain = printed["checks"]
    assert plain["ok"] is True
    assert plain["norm"] == {"name": "instance", "affine": False}


def test_the_command_prints_the_template(capsys: pytest.CaptureFixture[str]) -> None:
    validate_norm(template=True)
    assert capsys.readouterr().out == TEMPLATE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("norm", "given", "said"),
    [
        (None, {"checks_only": True}, r"no norm is named \("),
        ("spade", {}, "'spade' stands there twice"),
        ("clade", {"against": "spad"}, "no norm or method 'spad'"),
        ("clade", {"against": "spade_concat,concat"}, "'spade_concat' and 'concat' are the same training"),
        ("spade", {"against": "spade", "overrides": ["hidden=32"]}, "'spade, hidden=32' and 'spade' are the same"),
        ("clade", {"budget": "long"}, "long"),
        ("clade", {"launcher": "slrm"}, "unknown launcher 'slrm'"),
        ("clade", {"launcher": "slurm", "time": "soon"}, "'soon' is no time limit"),
    ],
)
def test_the_command_says_what_it_lacks_before_it_checks_anything(
    norm: str | None, given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.norm_check.check.check_norm", None)
    with pytest.raises(UserError, match=said):
        validate_norm(norm, **given)


def test_the_tutorial_names_every_point_and_its_commands_exist() -> None:
    page = (ROOT / "docs" / "norm-tutorial.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)[1:]
    assert [name for row in rows for name in row.split(", ")] == [name for name, _, _ in (*POINTS, *RUNNING)]
    assert set(re.findall(r"^spadebench ([\w-]+)", page, re.MULTILINE)) == {"validate-norm", "train", "run"}
