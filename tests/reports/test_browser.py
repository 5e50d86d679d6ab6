"""The page in headless Chromium: nothing on the console, something on the screen, and no name that runs.

Chromium is installed where this is root on Debian; elsewhere these tests are skipped, with one line that says why.
"""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_tables import SCRIPT, compared_table, plain_table, renamed
from PIL import Image

from reports.render_html import render_html
from scripts.debian_packages import CannotInstall, install

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("browser")]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DARK = "--blink-settings=preferredColorScheme=0"
# What a run of a page gives: its output (the page's source with --dump-dom), and what it said on the console.
Open = Callable[[str, list[str]], tuple[str, list[str]]]


def missing() -> str | None:
    return None if any(shutil.which(name) for name in PROGRAMS) else "chromium"


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Open a page and close the browser."""
    try:
        install(("chromium",), missing)
    except CannotInstall as why:
        pytest.skip(f"no browser here: {why}")
    program = next(path for name in PROGRAMS if (path := shutil.which(name)))

    def run(page: str, options: list[str]) -> tuple[str, list[str]]:
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        log = ["--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'profile'}"]
        command = [program, *fixed, *log, *options, file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]

    return run


def picture() -> tuple[str, str]:
    """A red square."""
    data = io.BytesIO()
    Image.new("RGB", (40, 40), (220, 20, 20)).save(data, "PNG")
    return SCRIPT, f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def page() -> str:
    named = replace(renamed(compared_table(), SCRIPT), suite="ade20k")
    return render_html([plain_table(), named], [picture()])


def test_a_console_message_would_be_seen(opened: Open) -> None:
    _, said = opened("<script>console.error('seen')</script>", ["--dump-dom"])
    assert len(said) == 1
    assert "seen" in said[0]


def test_no_name_runs_and_the_console_stays_silent(opened: Open) -> None:
    source, said = opened(page(), ["--dump-dom"])
    assert said == []
    assert "<script" not in source
    assert "onerror" not in source
    assert source.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


@pytest.mark.parametrize(("scheme", "background"), [([], 255), ([DARK], 21)], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_is_drawn_in_both_schemes_wide_and_narrow(
    opened: Open, tmp_path: Path, width: int, scheme: list[str], background: int
) -> None:
    to = tmp_path / "screen.png"
    _, said = opened(page(), [f"--screenshot={to}", f"--window-size={width},1800", *scheme])
    assert said == []
    with Image.open(to) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert abs(pixels[0, 0, 0] - background) <= 2
    ink = np.abs(pixels - pixels[0, 0]).sum(axis=2) > 100
    assert 0.005 < ink.mean() < 0.4
    # The tables keep to the page: they scroll inside their own frame.
    assert not ink[:, -6:].any()
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    assert red.sum() >= 1500
