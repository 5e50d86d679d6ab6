"""`spadebench report` and `explain` as they are called: bad input is one line, hostile names stay text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main

MEASURED = Path(__file__).resolve().parents[1] / "results" / "measured" / "toyscapes"
HEAD = "method,title,suite,metric,value,unit,status,source,note\n"
OASIS = 'oasis,OASIS,toyscapes,miou,69.3,%,unverified,"arXiv 2012.04781, Table 1",\n'
HOSTILE = "\"Bob's\" <script>alert('x')</script> & 50% \\input{/etc/passwd} #1_$^~ | `a` *b* [c](http://d)"
# Of a user's own data set, segmenter or net, as much as of a grid: a net's name heads its column.
NET = "fd_<img src=x onerror=alert(1)>&_%"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spadebench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Call the command in this process, in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spadebench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def refused(ended: tuple[int, str, str]) -> str:
    """The one line of a refusal."""
    code, out, err = ended
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("spadebench: error: ")
    return line


def record(folder: Path, **changes: Any) -> Path:
    """One of the records that travel with the project, changed, under `folder`/records."""
    (source,) = MEASURED.glob("records/8b82e6e91842-*.json")
    made = json.loads(source.read_text(encoding="utf-8")) | changes
    path = folder / "records" / source.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "html", "csv", "json"])
def test_a_table_with_no_record_yet_says_what_fills_it(spadebench: Command, form: str) -> None:
    code, out, err = spadebench("report", "table1", "--suite", "toyscapes", "--format", form)
    assert (code, err) == (0, "")
    if form != "csv":
        plain = " ".join(out.replace("-{}-", "--").split())  # LaTeX keeps two hyphens apart
        assert "spadebench run table1 --suite toyscapes" in plain


def test_a_figure_with_no_record_yet_says_what_fills_it(spadebench: Command) -> None:
    code, out, _ = spadebench("explain", "table1", "spade", "miou", "--suite", "toyscapes", "--seeds", "2")
    assert code == 0
    assert "spadebench run table1 --suite toyscapes --methods spade --seeds 2" in out


def test_an_empty_table_of_an_unknown_suite_hints_at_a_slip(spadebench: Command) -> None:
    code, _, err = spadebench("report", "table1", "--suite", "toyscape")
    assert code == 0
    assert "did you mean toyscapes or" in err


def test_an_unknown_method_or_protocol_is_hinted_at_once(spadebench: Command) -> None:
    words = ("report", "table1", "--suite", "toyscapes", "--methods")
    code, _, err = spadebench(*words, "spade,spad,spade_vae", "--protocol", "natve")
    assert code == 0
    method, protocol = err.splitlines()
    assert method.startswith("method 'spad' has no record and is not known here (did you mean spade")
    assert protocol == "protocol 'natve' has no record and is not known here (did you mean native?)"
    assert spadebench(*words, "spade_ngf64", "--protocol", "native")[2] == ""


@pytest.mark.parametrize("command", [("report", "table1"), ("explain", "table1", "spade", "miou")])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "record of schema 2, this version reads 1"),
        ({"scores": []}, "'scores' of this record is a list"),
        ({"scores": {"miou": "high"}}, "'high' under scores.miou is no finite number"),
        (None, "cannot read this record"),
    ],
)
def test_a_record_of_another_version_or_a_broken_one_is_one_line(
    spadebench: Command, tmp_path: Path, command: tuple[str, ...], changes: dict[str, Any] | None, says: str
) -> None:
    path = record(tmp_path / "o", **(changes or {}))
    if changes is None:
        path.write_text("{", encoding="utf-8")
    assert says in refused(spadebench(*command, "--suite", "toyscapes", "--out", "o"))


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "mine.csv: cannot read these figures"), ("a,b\n", "mine.csv: wrong columns"), (HEAD, "no figure in")],
)
def test_a_broken_file_of_published_figures_is_one_line(
    spadebench: Command, tmp_path: Path, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    assert says in refused(spadebench("report", "table1", "--suite", "toyscapes", "--published", "mine.csv"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--intervals", "--no-tests"), "intervals come with the tests"),
        (("--standalone",), "only LaTeX has a standalone file"),
        (("--standalone", "--format", "html"), "only LaTeX has a standalone file"),
        (("--format", "latx"), "unknown format 'latx' (did you mean latex?)"),
    ],
)
def test_options_that_do_not_fit_are_one_line(spadebench: Command, words: tuple[str, ...], says: str) -> None:
    assert says in refused(spadebench("report", "table1", "--suite", "toyscapes", *words))


@pytest.mark.parametrize(
    "words",
    [
        ("run", "table2"),
        ("run", "table2", "--suite", "cityscapes", "--dry-run"),
        ("status", "table2"),
        ("figure", "cost", "table2", "--to", "x"),
    ],
)
def test_a_human_study_has_nothing_to_run(spadebench: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    line = refused(spadebench(*words))
    assert "a human study, published figures alone: nothing to run (see spadebench report table2" in line
    assert list(tmp_path.iterdir()) == []


def test_the_human_study_is_reported_for_its_four_suites_with_na_as_na(spadebench: Command) -> None:
    code, out, _ = spadebench("report", "table2", "--format", "markdown")
    assert code == 0
    assert out.count("**Table 2**") == 4
    assert out.count("| N/A") == 2
    assert "spadebench run" not in out
    assert "63.60" in spadebench("report", "table2", "--suite", "cityscapes", "--format", "latex")[1]


def test_na_is_na_for_programs_too(spadebench: Command) -> None:
    rows = json.loads(spadebench("report", "table2", "--suite", "ade20k", "--json")[1])["rows"]
    published = [row["cells"]["spade_preferred"]["published"] for row in rows]
    assert [(each["text"], each["value"]) for each in published] == [
        ("76.66", 0.7666),
        ("83.74", 0.8374),
        ("N/A", None),
    ]
    lines = spadebench("report", "table2", "--suite", "ade20k", "--format", "csv")[1].splitlines()
    assert [line.split(",")[14] for line in lines] == ["published", "0.7666", "0.8374", "N/A"]


def test_rows_of_other_papers_come_from_several_files(spadebench: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEAD + OASIS)
    (tmp_path / "b.csv").write_text(HEAD + OASIS.replace("OASIS", "USIS").replace("oasis", "usis"))
    (tmp_path / "c.csv").write_text(HEAD + OASIS.replace("toyscapes", "camvid"))
    words = [word for name in "abca" for word in ("--published", f"{name}.csv")]
    code, out, err = spadebench("report", "table1", "--suite", "toyscapes", "--json", *words)
    titles = [row["title"] for row in json.loads(out)["rows"]]
    assert titles[-3:] == ["OASIS", "USIS", "real photos"]
    assert "c.csv: no figure for toyscapes; it has some for camvid" in err
    code, out, _ = spadebench("explain", "table1", "usis", "mIoU", "--suite", "toyscapes", *words)
    assert code == 0
    assert "arXiv 2012.04781, Table 1" in out


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "html"])
def test_intervals_stand_behind_figures_of_one_seed(spadebench: Command, form: str) -> None:
    words = ("report", "table1", "--suite", "toyscapes", "--out", str(MEASURED), "--methods", "spade", "--format", form)
    interval = re.compile(r"59\.6\D{1,20}5\d\.\d\W{1,3}6\d\.\d")
    assert interval.search(spadebench(*words, "--intervals")[1])
    assert not interval.search(spadebench(*words)[1])


class Tags(HTMLParser):
    """The tags and attributes of a page that could run anything."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.live: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.live += [name for name, _ in attrs if name.startswith("on")]
        self.live += [tag] if tag in ("img", "iframe", "object") else []

    def handle_data(self, data: str) -> None:
        if self.inside == "script" and "alert" in data:
            self.live.append("script")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


@pytest.fixture
def hostile(spadebench: Command, tmp_path: Path) -> Callable[[str], str]:
    """The report, in a format, of a table all of whose names are hostile."""
    (tmp_path / "g.yaml").write_text(json.dumps({"title": HOSTILE, "caption": HOSTILE, **_grid()}))
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    (tmp_path / "p.csv").write_text(HEAD + f"x,{quoted},toyscapes,miou,1.5,%,unverified,{quoted},{quoted}\n")
    record(tmp_path / "o", title=HOSTILE, notes=[HOSTILE], scores={"miou": 0.5, NET: 1.5, "iou": {HOSTILE: 0.5}})

    def report(form: str) -> str:
        code, out, _ = spadebench("report", "g.yaml", "--out", "o", "--published", "p.csv", "--format", form)
        assert code == 0
        return out

    return report


def _grid() -> dict[str, Any]:
    other = {"name": "crn", "label": HOSTILE}
    return {"methods": ["spade", other], "suites": ["toyscapes"], "columns": ["miou", "distance"]}


def test_no_name_is_live_html(hostile: Callable[[str], str]) -> None:
    page = hostile("html")
    assert Tags(page).live == []
    assert page.count("&lt;script&gt;alert(") >= 5


def test_no_name_is_live_latex(hostile: Callable[[str], str]) -> None:
    text = hostile("latex").replace(r"\allowbreak{}", "")
    assert not re.search(r"\\input\b", text)
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    assert r"\& 50\%" in text
    assert r"\#1\_\$\textasciicircum{}\textasciitilde{}" in text


def test_no_name_is_live_markdown(hostile: Callable[[str], str]) -> None:
    text = hostile("markdown")
    assert not re.search(r"(?<!\\)<(script|img)", text)
    assert r"\<script\>" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows}) == 1


def test_json_and_the_terminal_show_names_as_they_are(hostile: Callable[[str], str]) -> None:
    assert json.loads(hostile("json"))["rows"][1]["title"] == HOSTILE
    assert "<script>" in hostile("terminal")
