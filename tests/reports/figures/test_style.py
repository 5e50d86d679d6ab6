"""The look of figures: files of each format, equal bytes, and names that mean nothing to matplotlib."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from harness.errors import UserError
from reports.figures import style

MAGIC = {"pdf": b"%PDF-", "png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}
ODD = "$x_1$ \\frac{a}{b} <script>alert('a')</script> & 100% #1 ~^"


def a_figure(label: str = ODD, notes: tuple[str, ...] = ("a note",)) -> Figure:
    figure = style.new_figure(style.WIDTH_COLUMN, 1.5)
    with style.house_style():
        axes = figure.subplots()
        look = style.series(1)
        axes.plot([0, 1], [1, 2], color=look.colour, marker=look.marker, linestyle=look.dash, label=label)
        axes.set_title(label)
        axes.legend()
    style.add_notes(figure, notes)
    return figure


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return style.save(a_figure(), tmp_path_factory.mktemp("figure") / "stem", about="seg:drn ↑ v1")


def test_each_format_is_what_its_name_says(written: dict[str, Path]) -> None:
    assert {kind: path.name for kind, path in written.items()} == {kind: f"stem.{kind}" for kind in style.FORMATS}
    for kind, path in written.items():
        assert path.read_bytes().startswith(MAGIC[kind])


@pytest.mark.parametrize("kind", style.FORMATS)
def test_equal_figures_give_equal_bytes_alone_or_with_other_formats(
    kind: str, written: dict[str, Path], tmp_path: Path
) -> None:
    again = style.save(a_figure(), tmp_path / f"alone.{kind}", about="seg:drn ↑ v1")
    assert list(again) == [kind]
    assert again[kind].read_bytes() == written[kind].read_bytes()


def test_names_stay_text_and_are_never_read_as_formulas(written: dict[str, Path]) -> None:
    drawn = written["svg"].read_text(encoding="utf-8")
    assert drawn.count("$x_1$ \\frac{a}{b} &lt;script&gt;alert('a')&lt;/script&gt; &amp; 100% #1 ~^") == 2
    assert "<script" not in drawn
    assert "<text" in drawn
    assert b"/CIDFontType2" in written["pdf"].read_bytes()  # outlines that a reader can search, no Type 3
    assert b"/Type3" not in written["pdf"].read_bytes()


def test_what_a_figure_is_about_stands_in_the_files(written: dict[str, Path]) -> None:
    assert "seg:drn ↑ v1" in written["svg"].read_text(encoding="utf-8")
    assert b"seg:drn" in written["png"].read_bytes()
    assert b"Subject" in written["pdf"].read_bytes()
    assert b"CreationDate" not in written["pdf"].read_bytes()


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    code = (
        "import sys, matplotlib as mpl\n"
        "mpl.rcParams['font.size'] = 31\n"
        "before = mpl.rcParams.copy()\n"
        "from pathlib import Path\n"
        "from reports.figures import style, cost, classes, bars, curves\n"
        "figure = style.new_figure(3, 2)\n"
        "with style.house_style():\n"
        "    axes = figure.subplots()\n"
        "assert axes.title.get_size() == style.TEXT\n"
        f"style.save(figure, Path({str(tmp_path / 'x')!r}))\n"
        "assert mpl.rcParams.copy() == before\n"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False False"


def test_the_settings_are_put_back_where_a_drawing_fails() -> None:
    before = mpl.rcParams.copy()
    with pytest.raises(ValueError, match="half"), style.house_style():
        raise ValueError("half")
    assert mpl.rcParams.copy() == before


def test_notes_make_the_figure_higher_and_leave_the_plot_its_size() -> None:
    bare, noted = a_figure(notes=()), a_figure(notes=("word " * 60, "second"))
    heights = []
    for figure in (bare, noted):
        with style.house_style():
            figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height / figure.dpi)
    assert noted.get_size_inches()[1] > bare.get_size_inches()[1] + 0.4
    assert heights[1] == pytest.approx(heights[0], abs=0.02)
    lowest = min(text.get_window_extent().y0 for text in noted.texts)
    assert lowest >= 0


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=120), st.floats(0.3, 5))
def test_wrapped_lines_fit_and_lose_no_character(text: str, width: float) -> None:
    lines = style.wrapped(text, width)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(style.text_width(line) <= width for line in lines if len(line) > 1)


def test_a_shortened_text_fits_and_says_that_it_is_cut() -> None:
    assert style.shortened("SPADE", 2.0) == "SPADE"
    cut = style.shortened("a method of a very long name indeed", 1.0)
    assert cut.endswith("…")
    assert style.text_width(cut) <= 1.0


def test_characters_that_the_font_lacks_are_named() -> None:
    assert style.lacking(a_figure("道路 road")) == "路道"
    assert style.lacking(a_figure()) == ""


def test_neighbouring_series_differ_without_colour() -> None:
    looks = [style.series(i) for i in range(385)]
    assert len({(look.colour, look.marker, look.dash) for look in looks}) == 385
    for i in range(10):
        one, other = looks[i], looks[i + 1]
        assert (one.marker, one.dash, one.hatch) != (other.marker, other.dash, other.hatch)
        assert abs(_grey(one.colour) - _grey(other.colour)) > 0.04


def test_the_ends_of_the_diverging_map_differ_in_grey_and_its_middle_is_white() -> None:
    low, middle, high = (style.diverging()(x) for x in (0.0, 0.5, 1.0))
    assert _grey(middle) > 0.99
    assert _grey(high) - _grey(low) > 0.2
    assert _grey(middle) - _grey(high) > 0.3


def _grey(colour: str | tuple[float, ...]) -> float:
    red, green, blue = to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize(("formats", "what"), [(["jpg"], "unknown format 'jpg'"), ([], "no format")])
def test_a_format_that_cannot_be_written_is_refused(formats: list[str], what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=what):
        style.save(a_figure(), tmp_path / "stem", formats)
    assert list(tmp_path.iterdir()) == []


def test_a_dot_in_the_stem_is_no_ending(tmp_path: Path) -> None:
    assert style.endings(tmp_path / "spade_v1.2", ["svg"]) == {"svg": tmp_path / "spade_v1.2.svg"}
