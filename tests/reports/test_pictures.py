"""Pictures on the HTML page."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import UserError
from reports.pictures import page_picture

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


def test_a_picture_is_part_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "front.png").write_bytes(PNG)
    (tmp_path / "front.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ["report", "table2", "--suite", "cityscapes", "--format", "html"]
    monkeypatch.setattr(sys, "argv", ["spadebench", *words, "--picture", "front.png", "--picture", "front.svg"])
    with pytest.raises(SystemExit):
        main()
    page = capsys.readouterr().out
    found = re.findall(r'src="data:(image/[a-z+]+);base64,([^"]+)"', page)
    assert [kind for kind, _ in found] == ["image/png", "image/svg+xml"]
    assert base64.b64decode(found[0][1]) == PNG


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("front.pdf", b"%PDF", "PNG and SVG"),
        ("front.png", b"<html>", "this is no PNG"),
        ("front.png", None, "cannot read this picture"),
    ],
)
def test_what_is_no_picture_is_one_line(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        page_picture(path)
    assert str(path) in str(caught.value)
