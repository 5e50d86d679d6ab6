"""`spadebench figure` on tiny records: every kind, its files, its JSON, and what is refused in one line."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_stubs import command

from harness.cells import load_suite, resolve
from harness.metrics.confusion import Confusion, scores

NAMES = ("sky", "road", "never")
ODD = "Ours $x_1$ <script>alert('a')</script>"
ROWS = {"spade": "SPADE", "pix2pixhd": ODD, "crn": "CRN"}
Run = Callable[..., tuple[int, str, str]]


def confusion(share: float) -> Confusion:
    right = round(100 * share)
    matrix = np.array([[150, 0, 0, 0], [100 - right, right, 0, 0], [0] * 4, [0] * 4])
    images = [matrix + np.diag([i, i % 3, 0, 0]) for i in range(8)]
    return Confusion.from_dense(images, [f"image{i}" for i in range(8)], NAMES)


def record(method: str, seed: int | None, share: float, parameters: int | None) -> tuple[dict[str, Any], Confusion]:
    made = confusion(share)
    found = scores(sum(made.dense(i) for i in range(len(made))))  # type: ignore[arg-type]
    identity = f"{method}-{seed}"
    half = {"signature": "seg:toy@12345678 v1", "hash": "aaaa00000000"}
    config = None
    if seed is not None:
        overrides = {"generator.ngf": 4} if method != "crn" else {}
        # Overrides that the config was made with, and none that the grid would have to be asked for.
        config = {**resolve(method, load_suite("toyscapes"), seed, overrides).config, "overrides": {}}
    return {
        "schema": 1,
        "id": identity,
        "cell": None if seed is None else f"cell-{identity}",
        "method": method,
        "title": ROWS.get(method, "real photos"),
        "suite": "toyscapes",
        "seed": seed,
        "status": "done",
        "source": {"kind": "photos" if seed is None else "generator"},
        "config": config,
        "protocol": {
            "name": "native",
            "signature": "all",
            "hash": "cccc00000000",
            "segmentation": half,
            "distance": {"signature": "fd:toyscapes@1 v1", "hash": "bbbb00000000"},
            "fields": {},
        },
        "scores": {
            **{key: found[key] for key in ("miou", "accuracy", "accuracy_void_wrong")},
            "fd_toyscapes": 0.0 if seed is None else 2.0 - share,
            "iou": dict(zip(NAMES, found["iou"], strict=True)),
        },
        "cost": {"parameters": parameters, "multiply_adds": parameters and 20 * parameters},
        "notes": [],
        "provenance": {"spadebench": "0.1.0", "finished": "2026-01-02T03:04:05+00:00"},
        "confusion": f"{identity}.confusion.npz",
    }, made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of three methods by two seeds and of the photos, and the logs of the methods but CRN."""
    out = tmp_path_factory.mktemp("out")
    (out / "records").mkdir()
    made = [record("photos", None, 0.99, None)]
    for i, method in enumerate(ROWS):
        made += [record(method, seed, 0.9 - 0.2 * i - 0.02 * seed, (i + 1) * 10**6) for seed in (0, 1)]
    for found, stack in made:
        (out / "records" / f"{found['id']}.json").write_text(json.dumps(found), encoding="utf-8")
        stack.save(out / "records" / found["confusion"])
        if found["cell"] and found["method"] != "crn":
            folder = out / "cells" / found["cell"]
            folder.mkdir(parents=True)
            (folder / "log.csv").write_text(
                "iteration,gan,rate_factor\n20,1.5,1\n40,0.5,1\n60,inf,1\n", encoding="utf-8"
            )
    return out


@pytest.fixture
def run(kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`spadebench figure KIND table1` on the records, into tmp_path/figure."""

    def call(kind: str, *words: Any, out: Path = kept) -> tuple[int, str, str]:
        rows = ("--methods", ",".join(ROWS), "--seeds", 2, "--suite", "toyscapes")
        given = ("figure", kind, "table1", *rows, "--out", out, "--to", tmp_path / "figure", *words)
        return command(monkeypatch, capsys, *given)

    return call


def drawn(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


KINDS = {
    "cost": ("--against", "multiply_adds"),
    "classes": ("--resamples", 200),
    "bars": ("--metrics", "miou,distance", "--resamples", 200),
    "curves": (),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_writes_all_formats_and_the_same_bytes_again(kind: str, run: Run, tmp_path: Path) -> None:
    code, printed, said = run(kind, *KINDS[kind])
    assert (code, printed) == (0, ""), said
    first = drawn(tmp_path)
    assert list(first) == ["figure.pdf", "figure.png", "figure.svg"]
    assert run(kind, *KINDS[kind])[0] == 0
    assert drawn(tmp_path) == first
    svg = first["figure.svg"].decode()
    assert "<script" not in svg
    if kind != "curves":  # which show no score
        assert "seg:toy@12345678" in svg


def test_cost_says_who_is_on_the_front(run: Run, tmp_path: Path) -> None:
    code, printed, said = run("cost", "--json", "--format", "svg")
    data = json.loads(printed)
    assert code == 0
    assert "Pareto front: SPADE." in said
    points = {point["row"]: point for point in data["points"]}
    assert [row for row, point in points.items() if point["pareto"]] == ["spade"]
    assert points["spade"]["cost"] == 1.0
    assert points["spade"]["seeds"] == [0, 1]
    assert points["spade"]["records"] == ["spade-0", "spade-1"]
    assert data["signatures"][0] == "segmentation: seg:toy@12345678 v1 #aaaa00000000"
    assert "$x_1$ &lt;script&gt;" in (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_latency_is_measured_and_says_where(run: Run) -> None:
    code, printed, said = run("cost", "--against", "latency", "--repeats", 2, "--json", "--quality", "distance")
    data = json.loads(printed)
    assert code == 0, said
    assert data["latency"]["batch"] == 1
    assert data["latency"]["size"] == [64, 64]
    assert [len(times) for times in data["latency"]["seconds"]] == [2, 2, 2]
    assert data["latency"]["hardware"]["threads"] >= 1
    assert "one image of 64x64, batch 1" in " ".join(data["notes"])
    low, high = data["points"][0]["cost_range"]
    assert 0 < low <= data["points"][0]["cost"] <= high
    assert data["quality"]["key"] == "fd_toyscapes"


def test_classes_are_compared_with_the_last_measured_row_or_the_one_named(run: Run) -> None:
    data = json.loads(run("classes", "--resamples", 200, "--json")[1])
    assert data["reference"] == "CRN"
    assert [row["row"] for row in data["rows"]] == ["spade", "pix2pixhd"]
    assert data["order"] == ["sky", "road", "never"]
    road = {one["name"]: one for one in data["rows"][0]["classes"]}
    assert road["road"]["difference"] == pytest.approx(0.4, abs=0.03)
    assert road["never"]["difference"] is None
    assert data["rows"][0]["unit"] == "seeds × images"
    assert any("seeds × images" in note and "Holm" in note for note in data["notes"])
    named = json.loads(run("classes", "--against", "photos", "--sort", "name", "--resamples", 200, "--json")[1])
    assert named["reference"] == "real photos"
    assert named["order"] == ["never", "road", "sky"]
    assert len(named["rows"]) == 3


def test_bars_state_what_their_ends_are(run: Run) -> None:
    data = json.loads(run("bars", "--metrics", "miou,distance", "--resamples", 200, "--json")[1])
    miou, distance = data["panels"]
    first = miou["bars"][0]
    assert first["low"] < first["mean"] < first["high"]
    assert len(first["values"]) == 2
    assert distance["bars"][0]["low"] is None
    assert [bar["ceiling"] for bar in miou["bars"]] == [False, False, False, True]
    assert "95% confidence intervals over seeds × images" in data["notes"][0]
    assert "FD toyscapes: without interval." in data["notes"][0]
    spread = json.loads(run("bars", "--ends", "spread", "--json")[1])
    assert spread["notes"][0] == "Error bars: sample standard deviation over seeds."


def test_curves_name_the_row_without_log_and_keep_json_to_numbers(run: Run) -> None:
    code, printed, said = run("curves", "--smooth", 1, "--json")
    data = json.loads(printed)
    assert code == 0
    assert [row["title"] for row in data["rows"]] == ["SPADE", ODD]
    assert data["rows"][0]["losses"]["gan"]["mean"] == [1.5, 0.5, None]
    lines = [line for line in said.splitlines() if "no log.csv" in line]
    assert len(lines) == 1
    assert lines[0].endswith("CRN")


def test_where_the_record_is_and_the_cell_is_not_another_folder_is_advised(
    kept: Path, run: Run, tmp_path: Path
) -> None:
    shutil.copytree(kept / "records", tmp_path / "other" / "records")
    code, _, said = run("curves", out=tmp_path / "other")
    assert code == 2
    assert said.splitlines()[-1].endswith("--out again; then draw with --out again)")


def test_bars_name_the_rows_without_interval(kept: Path, run: Run, tmp_path: Path) -> None:
    shutil.copytree(kept / "records", tmp_path / "other" / "records")
    (tmp_path / "other" / "records" / "crn-1.confusion.npz").unlink()
    notes = json.loads(run("bars", "--resamples", 200, "--json", out=tmp_path / "other")[1])["notes"]
    assert notes[0].endswith(" CRN: without interval.")
    both = json.loads(
        run("bars", "--metrics", "miou,distance", "--resamples", 200, "--json", out=tmp_path / "other")[1]
    )
    assert both["notes"][0].endswith(" FD toyscapes, CRN (mIoU): without interval.")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (None, "record spade-0 names no confusion beside it"),
        ("../../x.npz", "record spade-0 names no confusion beside it"),
        ("crn-0.confusion.npz", "the confusion is not that of the scores of record spade-0"),
        ("gone.npz", "record spade-0: its per-image confusion is not there"),
    ],
)
def test_classes_draw_no_confusion_but_the_records_own(
    name: str | None, says: str, kept: Path, run: Run, tmp_path: Path
) -> None:
    shutil.copytree(kept / "records", tmp_path / "other" / "records")
    path = tmp_path / "other" / "records" / "spade-0.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "confusion": name}), encoding="utf-8")
    code, _, said = run("classes", "--resamples", 200, out=tmp_path / "other")
    assert code == 2
    assert says in said.splitlines()[-1]
    assert not list(tmp_path.glob("figure*"))


@pytest.mark.parametrize("kind", KINDS)
def test_without_records_one_line_names_the_command_that_makes_them(kind: str, run: Run, tmp_path: Path) -> None:
    code, printed, said = run(kind, "--json", out=tmp_path / "empty")
    assert (code, printed) == (2, "")
    last = said.splitlines()[-1]
    assert last.startswith("spadebench: error: ")
    assert "run: spadebench run table1 --suite toyscapes --methods spade,pix2pixhd,crn --seeds 2 --out" in last
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "a format": (("cost", "--format", "jpg"), "--format: unknown format 'jpg'"),
    "a kind of picture": (("cost", "--to", "q/x.JPG"), "--to q/x.JPG: figures are not written as '.JPG'"),
    "a width": (("cost", "--width", "tiny"), "--width: 'tiny' is no width"),
    "a cost": (("cost", "--against", "latancy"), "--against: unknown value 'latancy' (did you mean latency?)"),
    "a score": (("bars", "--metrics", "mIoU"), "unknown score 'mIoU' (did you mean miou?)"),
    "no score": (("bars", "--metrics", ""), "--metrics: no score"),
    "a row": (("classes", "--against", "spad"), "--against: no row is called 'spad'"),
    "an order": (("classes", "--sort", "size"), "--sort: unknown value 'size'"),
    "a window": (("curves", "--smooth", 4), "--smooth: 4 points have no middle"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_bad_input_is_refused_in_one_line_and_writes_nothing(wrong: str, run: Run, tmp_path: Path) -> None:
    words, expected = WRONG[wrong]
    code, printed, said = run(*words)
    assert (code, printed) == (2, "")
    assert len(said.splitlines()) == 1
    assert expected in said
    assert list(tmp_path.iterdir()) == []


def test_protocols_are_not_mixed_in_a_figure(kept: Path, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "records").mkdir(parents=True)
    for path in (kept / "records").glob("*.json"):
        found = copy.deepcopy(json.loads(path.read_text(encoding="utf-8")))
        if found["method"] == "crn":
            found["protocol"]["segmentation"]["hash"] = "dddd00000000"
        (other / "records" / path.name).write_text(json.dumps(found), encoding="utf-8")
    code, _, said = run("cost", out=other)
    assert code == 2
    assert "column mIoU would mix protocols" in said
