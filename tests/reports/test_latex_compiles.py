"""The standalone LaTeX compiles by a real pdfLaTeX, without an error and with nothing over the margin.

LaTeX is installed where this is root on Debian; elsewhere these tests are skipped, with one line that says why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hand_tables import SCRIPT, compared_table, plain_table, renamed

from ablations.grid import Grid
from reports.build import build_table
from reports.render_latex import render_latex, render_latex_document
from reports.table import Table
from scripts.debian_packages import CannotInstall, install

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("latex")]
PACKAGES = ("texlive-latex-base", "texlive-latex-recommended", "texlive-science")
STYLES = ("booktabs.sty", "siunitx.sty")
ACCEPTED = 2.0  # points over the margin
Compile = Callable[[str], str]
SNIPPET = r"""\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,siunitx,textcomp,graphicx}
\begin{document}
Before.
%s
After.
\end{document}
"""


def missing() -> str | None:
    """What of LaTeX is not here."""
    programs = (name for name in ("pdflatex", "kpsewhich") if shutil.which(name) is None)
    return next(programs, None) or next((style for style in STYLES if not _kpsewhich(style)), None)


def _kpsewhich(style: str) -> str:
    return subprocess.run(["kpsewhich", style], capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compile a document; the log. Fails where LaTeX does, or where a line runs over the margin."""
    try:
        install(PACKAGES, missing)
    except CannotInstall as why:
        pytest.skip(f"no LaTeX here: {why}")

    def run(document: str) -> str:
        (tmp_path / "table.tex").write_text(document, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"]
        # Each log line whole, so that a message can be read.
        environment = {**os.environ, "max_print_line": "10000"}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]
        assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")
        over = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", done.stdout)]
        assert max(over, default=0.0) <= ACCEPTED, done.stdout[-2000:]
        return done.stdout

    return run


def with_paths(table: Table) -> Table:
    """Texts without a space that are longer than a line."""
    path = "/" + "/".join(f"folder_{i}" for i in range(40)) + "/grid.yaml"
    note = f"Missing figures are filled by: spadebench run {path} --out {path}"
    title = "a generator with a rather long name, kernel=5, norm=spade_with_a_name_that_does_not_end, at full width"
    rows = (replace(table.rows[0], title=title), *table.rows[1:])
    return replace(table, rows=rows, notes=(note,), signatures=("x" * 300, "seg:" + "abc_" * 80))


def doubled(table: Table) -> Table:
    """Eighteen columns, too many for a page."""
    rows = tuple(replace(row, cells=row.cells * 2) for row in table.rows)
    return replace(table, columns=table.columns * 2, rows=rows, tests=())


def all_kinds() -> Sequence[Table]:
    table = compared_table()
    intervals = replace(compared_table(paper=False), intervals=True)
    return [table, intervals, plain_table(), with_paths(table), with_paths(intervals), doubled(table)]


def test_tables_with_and_without_marks_seeds_footnotes_and_published_figures_compile(compiled: Compile) -> None:
    log = compiled(render_latex_document(all_kinds()))
    assert "LaTeX Error" not in log
    assert "siunitx Warning" not in log


def test_the_same_document_compiles_with_siunitx_2(compiled: Compile) -> None:
    if not _kpsewhich("siunitx-v2.sty"):
        pytest.skip("this siunitx does not bring its version 2")
    document = render_latex_document(all_kinds())
    compiled(document.replace(r"\usepackage{siunitx}", r"\usepackage{siunitx}[=v2]"))


def test_empty_tables_compile(compiled: Compile) -> None:
    table = replace(compared_table(), signatures=(), notes=(), tests=())
    compiled(render_latex_document([replace(table, rows=()), replace(table, rows=(), columns=())]))


def test_snippets_compile_in_a_paper_of_two_columns(compiled: Compile) -> None:
    compiled(SNIPPET % "\n".join(render_latex(table) for table in (plain_table(), compared_table())))


@pytest.mark.parametrize(
    "names",
    [
        (r"*\a_b^c~d%$#&{e}<f>|g\"h'i`--,,[j]", SCRIPT, "[x] Δ ± é — − γ/β ≥ ×"),
        (r"\input{/etc/passwd}", "日本 ✓ e\u0301 \U0001f600 Ж ế \u202e ŉ", "}{ \\end{document} %"),
    ],
)
def test_any_names_compile(compiled: Compile, names: tuple[str, ...]) -> None:
    compiled(render_latex_document([renamed(compared_table(), name) for name in names]))


def test_a_table_from_records_compiles(compiled: Compile, full: list[dict[str, Any]], table1: Grid) -> None:
    compiled(render_latex(build_table(table1, "cityscapes", full), standalone=True))
