"""One look for every figure: sizes, type, colours, and how a figure becomes files.

Figures are made without pyplot, and matplotlib's settings are as they were when a drawing ends. Draw inside of
`with house_style():`; there a `$` in a name is a dollar and not the start of a formula.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from harness.errors import UserError, did_you_mean
from harness.files import atomic_path
from reports.table import clean

WIDTH_COLUMN = 3.3  # inches, a column of a two-column paper
WIDTH_PAGE = 6.9  # inches, both columns
FORMATS = ("pdf", "png", "svg")
_OTHER_FORMATS = ("jpg", "jpeg", "gif", "tif", "tiff", "eps", "webp", "bmp")
TEXT = 8.0  # points: everything in a figure
SMALL = 6.0  # points: notes under it and numbers in cells
INK = "#1c1e21"
FAINT = "#5f6368"  # notes
RULE = "#c8ccd1"  # grid lines
_POINTS = 72.0  # to an inch
_DPI = 300
_EDGE = 0.04  # inches of white around
_LEADING = 1.3  # line height of notes, in type sizes
_FONT = "DejaVu Sans"  # comes with matplotlib, so all machines draw the same

_STYLE: dict[str, Any] = {
    "font.family": [_FONT],
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "figure.titlesize": TEXT,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": _EDGE,
    "figure.constrained_layout.w_pad": _EDGE,
    "savefig.bbox": None,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "spadebench",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Series:
    """How one of several is told from the others: in colour, and without it by marker, dashes or hatch."""

    colour: str
    marker: str
    dash: tuple[int, tuple[float, ...]]
    hatch: str


# Okabe and Ito 2008, in an order in which neighbours differ in lightness; yellow, faint on white, is last.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "*", ">", "p")
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.2), (5, 1.2, 1, 1.2), (7, 2, 2, 2))
_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++", "oo", "||||")


def series(index: int) -> Series:
    """The look of the index-th of several; the first 385 all differ. Without yellow, too faint for a line."""
    dash = _DASHES[index % len(_DASHES)]
    return Series(
        PALETTE[index % (len(PALETTE) - 1)],
        _MARKERS[index % len(_MARKERS)],
        (0, dash),
        _HATCHES[index % len(_HATCHES)],
    )


@cache
def diverging() -> LinearSegmentedColormap:
    """Blue below, white at the middle, orange above; the blue end is much darker, so that grey tells the ends apart."""
    return LinearSegmentedColormap.from_list("spadebench", ["#0a3d7a", "#6c9dcb", "#ffffff", "#fbc27a", "#e07b00"], 255)


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings for the length of a drawing; as they were afterwards."""
    with mpl.rc_context(), warnings.catch_warnings():
        # What a font lacks is drawn as a box; `lacking` names it.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        settings: Any = mpl.rcParams
        # Whatever the user's matplotlibrc says; the backend is the one thing that rc_context does not put back.
        settings.update({key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"})
        settings.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, laid out so that nothing overlaps or is cut."""
    with house_style():
        return Figure(figsize=(width, height), layout="constrained")


def add_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Write notes in small type under a figure, which grows in height for them.

    Each note starts a line and is broken to the figure's width. To be called last, at most once.
    """
    width, height = (float(side) for side in figure.get_size_inches())
    lines = [line for note in notes for line in wrapped(clean(note), width - 2 * _EDGE, SMALL)]
    if not lines:
        return
    step = _LEADING * SMALL / _POINTS
    block = len(lines) * step + 2 * _EDGE
    total = height + block
    figure.set_size_inches(width, total)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, block / total, 1, height / total))
    else:
        for axes in figure.axes:
            left, bottom, wide, high = axes.get_position().bounds
            axes.set_position((left, (block + bottom * height) / total, wide, high * height / total))
    with house_style():
        for i, line in enumerate(lines):
            y = (block - _EDGE - (i + 0.8) * step) / total
            figure.text(_EDGE / width, y, line, size=SMALL, color=FAINT, va="baseline").set_in_layout(False)


def text_width(text: str, size: float = TEXT) -> float:
    """Inches that a line of text takes."""
    with house_style():
        wide, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return wide / _POINTS


def wrapped(text: str, width: float, size: float = TEXT) -> list[str]:
    """The text in lines of at most this width in inches; a word that is wider is broken where it must."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if text_width(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while text_width(word, size) > width and len(word) > 1:
            cut = next((n for n in range(len(word) - 1, 1, -1) if text_width(word[:n], size) <= width), 1)
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    return [*lines, line] if line else lines


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """The text, cut with an ellipsis where it is wider than this in inches."""
    if text_width(text, size) <= width:
        return text
    kept = next((n for n in range(len(text) - 1, 0, -1) if text_width(text[:n].rstrip() + "…", size) <= width), 0)
    return text[:kept].rstrip() + "…"


def lacking(figure: Figure) -> str:
    """The characters in a figure's texts that its font does not have, each once."""
    known = get_font(findfont(FontProperties(family=_FONT))).get_charmap()
    texts = "".join(text.get_text() for text in figure.findobj(Text))
    return "".join(sorted({c for c in texts if not c.isspace() and ord(c) not in known}))


def endings(to: Path, formats: Sequence[str] = FORMATS) -> dict[str, Path]:
    """The file of each format: `to` itself where it ends in one, else `to.<format>` for each of `formats`.

    Raises UserError for a format that is none of FORMATS, for `to` of another kind of picture, and for no format.
    """
    if to.suffix[1:].lower() in FORMATS:
        return {to.suffix[1:].lower(): to}
    if to.suffix[1:].lower() in _OTHER_FORMATS:
        mend = f"end it in {', '.join(f'.{name}' for name in FORMATS)}, or in none"
        raise UserError(f"figures are not written as '{to.suffix}'", where=f"--to {to}", mend=mend)
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"unknown format '{name}'", where="--format", mend=did_you_mean(name, FORMATS))
    if not formats:
        raise UserError("no format", where="--format", mend=f"known: {', '.join(FORMATS)}")
    return {name: to.with_name(f"{to.name}.{name}") for name in dict.fromkeys(formats)}


def save(figure: Figure, to: Path, formats: Sequence[str] = FORMATS, about: str = "") -> dict[str, Path]:
    """Write a figure by rename, each format's file; equal figures give equal bytes.

    to, formats: as in `endings`. about: one line kept in the file's metadata, such as the protocol's signature.
    A figure of more dots an inch than usual keeps them.
    """
    targets = endings(to, formats)
    with house_style():
        for text in figure.findobj(Text):
            text.set_parse_math(False)
        # Laid out once, so that a format looks the same whichever others are written with it.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for name, path in targets.items():
            with atomic_path(path) as temporary:
                figure.savefig(
                    temporary, format=name, dpi=max(_DPI, figure.dpi), metadata=_metadata(name, clean(about))
                )
    return targets


def _metadata(name: str, about: str) -> dict[str, Any]:
    """What a file says of itself: no date, which would make each run's bytes differ."""
    if name == "pdf":
        return {"CreationDate": None, "Subject": about} if about else {"CreationDate": None}
    if name == "svg":
        return {"Date": None, "Description": about} if about else {"Date": None}
    return {"Description": about} if about else {}
