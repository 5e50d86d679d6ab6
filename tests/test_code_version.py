"""The code version follows code and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.code_version import code_version

BEFORE = '''
"""A layer."""
from user_pkg.inner import width

def layer(x):
    """Doubles."""
    return x * 2
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user_pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "inner.py").write_text("width = 3\n")
    (folder / "layer.py").write_text(BEFORE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [n for n in sys.modules if n.split(".")[0] == "user_pkg"]:
        del sys.modules[name]


def test_comments_docstrings_and_layout_do_not_change_the_version(package: Path) -> None:
    before = code_version(["user_pkg.layer"])
    (package / "layer.py").write_text(
        BEFORE.replace("Doubles.", "Doubles x.\n\n    Twice.").replace("return", "# by two\n\n    return")
    )
    assert code_version(["user_pkg.layer"]) == before


@pytest.mark.parametrize(
    ("file", "old", "new"), [("layer.py", "x * 2", "x * 3"), ("inner.py", "width = 3", "width = 4")]
)
def test_code_of_a_module_and_of_what_it_imports_of_its_package_counts(
    package: Path, file: str, old: str, new: str
) -> None:
    before = code_version(["user_pkg.layer"])
    path = package / file
    path.write_text(path.read_text().replace(old, new))
    assert code_version(["user_pkg.layer"]) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return x * 2", "    y = x\n    return y * 2"),
        ("if x:\n        x = 1\n    x = 2", "if x:\n        x = 1\n        x = 2"),
    ],
)
def test_a_statement_more_or_another_indentation_is_other_code(package: Path, old: str, new: str) -> None:
    path = package / "layer.py"
    path.write_text(path.read_text().replace("    return", "    if x:\n        x = 1\n    x = 2\n    return"))
    before = code_version(["user_pkg.layer"])
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert code_version(["user_pkg.layer"]) != before


def test_our_layers_and_files_beside_a_users_file_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user_file.py").write_text("import user_helper\nfrom baselines.norms.spade import SPADE\n")
    (tmp_path / "user_helper.py").write_text("width = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = code_version(["user_file"])
    assert before != code_version(["user_file", "baselines.pix2pixhd"])
    (tmp_path / "user_helper.py").write_text("width = 2\n")
    changed = code_version(["user_file"])
    assert changed != before
    (tmp_path / "user_file.py").write_text("import user_helper\n")
    assert code_version(["user_file"]) != changed


def test_the_order_of_modules_does_not_count(package: Path) -> None:
    assert code_version(["user_pkg.layer", "harness.labels"]) == code_version(["harness.labels", "user_pkg.layer"])


def test_an_unrelated_new_method_does_not_change_the_version_of_spade() -> None:
    names = code_version(["baselines.spade"])
    assert names != code_version(["baselines.spade", "baselines.pix2pixhd"])
