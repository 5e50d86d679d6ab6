"""A report on disk: one table in every format."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from harness.errors import UserError
from harness.files import write_text
from reports.render_csv import render_csv
from reports.render_html import render_html
from reports.render_json import render_json
from reports.render_latex import render_latex
from reports.render_markdown import render_markdown
from reports.table import Table

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": render_markdown,
    "tex": render_latex,
    "html": render_html,
    "csv": render_csv,
    "json": render_json,
}


def write_report(table: Table, out_dir: Path, stem: str) -> dict[str, Path]:
    """Write `out_dir/stem.<format>` for every format, each by rename; the paths by format.

    Everything is rendered before the first file is written. Raises UserError for a stem that is no
    plain file name, or where a file cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*", stem):
        raise UserError(f"'{stem}' cannot name a report", mend="use letters, digits and . _ + - only")
    texts = {name: render(table) for name, render in FORMATS.items()}
    paths = {name: out_dir / f"{stem}.{name}" for name in texts}
    for name, text in texts.items():
        write_text(paths[name], text)
    return paths
