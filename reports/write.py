"""A report on disk: tables in every format.

Every entry of FORMATS takes one table or several: `write_report(tables, folder, stem, pictures)` writes
`stem.<format>` for each, one HTML page, one CSV under one header, one JSON (a list where there are several tables),
and `stem.standalone.tex`, which compiles as it is, beside `stem.tex`, which is for \\input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import UserError
from harness.files import write_text
from reports.layout import several
from reports.render_csv import render_csv
from reports.render_html import render_html
from reports.render_json import render_json
from reports.render_latex import render_latex, render_latex_document
from reports.render_markdown import render_markdown
from reports.table import Table

Tables = Table | Sequence[Table]


def _latex(tables: Tables) -> str:
    return "\n".join(render_latex(table) for table in several(tables))


def _latex_document(tables: Tables) -> str:
    return render_latex_document(several(tables))


FORMATS: dict[str, Callable[[Tables], str]] = {
    "md": render_markdown,
    "tex": _latex,
    "standalone.tex": _latex_document,
    "html": render_html,
    "csv": render_csv,
    "json": render_json,
}


def write_report(tables: Tables, out_dir: Path, stem: str, pictures: Sequence[tuple[str, str]] = ()) -> dict[str, Path]:
    """Write `out_dir/stem.<format>` for every format, each by rename; the paths by format.

    pictures: of the HTML page, as reports.render_html takes them. Everything is rendered before the first file
    is written. Raises UserError for a stem that is no plain file name, or where a file cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*", stem):
        raise UserError(f"'{stem}' cannot name a report", mend="use letters, digits and . _ + - only")
    texts = {name: render(tables) for name, render in FORMATS.items()}
    if pictures:
        texts["html"] = render_html(tables, pictures)
    paths = {name: out_dir / f"{stem}.{name}" for name in texts}
    for name, text in texts.items():
        write_text(paths[name], text)
    return paths
