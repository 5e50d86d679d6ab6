"""The benchmark's two sides do the same work, and what it says of their times adds up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import small_cell

from harness.cli import main as command
from harness.data.toyscapes import CLASSES
from harness.errors import UserError
from harness.evaluation.places import Places
from harness.launch.benchmark import compare as timing
from harness.launch.benchmark import programs as programs
from harness.launch.benchmark.compare import Ask, Runner, benchmark
from harness.launch.benchmark.programs import Job
from harness.launch.benchmark.results import Timed, check_scores, summary
from harness.training.checkpoints import Checkpoint, save_checkpoint
from harness.training.loop import suite_encoding
from harness.training.networks import build_networks

CPU = torch.device("cpu")
SMALL = Ask(
    suite="toyscapes", method="spade", overrides={"generator.ngf": 4}, images=5, batch=2, threads=1
)  # a last batch that is short
JOB = Job("folder", "toyscapes", "val", "none.pt", True, 5, "toyscapes", False, 2, 0, 1, "cpu")
# pytorch-fid takes the root of a singular matrix where there are fewer images than dimensions, and scipy says so.
few_images = pytest.mark.filterwarnings("ignore:Matrix is (singular|ill-conditioned)")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Programs are called, not started: imports are most of what they take. The commands they would be."""
    asked: list[list[str]] = []

    def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        assert environment["OMP_NUM_THREADS"] == "1"
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, programs.main(*arguments[2:]), "", "")

    monkeypatch.setattr(timing, "run_python", run)
    return asked


def trained(folder: Path) -> Path:
    """A checkpoint that says it was trained, with weights large enough for images with something on them."""
    config = small_cell("spade_vae").config
    generator = build_networks(config, suite_encoding(config, CLASSES).spec).generator
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(0, 0.3, generator=rng)
    classes = {"names": CLASSES.names, "void": CLASSES.void, "palette": CLASSES.palette}
    states = {"generator": generator.state_dict()}
    return save_checkpoint(folder, Checkpoint(config, 6, states, {}, 1.0, 0, "data", classes, "", {}), keep=1)


@few_images
def test_both_sides_come_to_the_same_scores_with_and_without_a_cached_reference(
    tmp_path: Path, in_this_process: list[list[str]]
) -> None:
    told: list[tuple[str, int, int]] = []
    folder = tmp_path / "work"
    folder.mkdir()
    ask = replace(SMALL, checkpoint=trained(tmp_path), method=None, overrides=None, repeat=2)
    found = benchmark(ask, Places(), CPU, folder, lambda *step: told.append(step))
    json.dumps(found, allow_nan=False)
    once = ["one-pass", "generate", "segment", "photos", "distance", "statistics", "one-pass-cached", "distance-cached"]
    again = [name for name in once if name != "statistics"]
    assert [arguments[2] for arguments in in_this_process] == [*once, *again]
    assert told == [(name, number, 15) for number, name in enumerate([*once, *again])] + [("distance-cached", 15, 15)]
    scores = found["scores"]
    assert scores["distance"] == "fd_toyscapes"
    assert scores["one_pass"] > 1
    assert scores["three_programs"] == pytest.approx(scores["one_pass"], rel=1e-3)
    assert 0 < scores["miou"] < 1
    assert found["protocol"]["signature"].startswith("suite:toyscapes data:val5@")
    assert (found["images"], found["batch"], found["threads"], found["repeat"]) == (5, 2, 1, 2)
    assert (found["features"], found["checkpoint"], found["untrained"]) == ("toyscapes", "iteration_00000006.pt", False)
    assert len(found["runs"]) == 2
    # Photos of toyscapes have the suite's size, so a user of pytorch-fid would not have to write them.
    assert [name for name, part in found["parts"].items() if not part["counted"]] == ["photos", "statistics"]
    assert {path.name for path in (folder / "images").iterdir()} == {f"{number:06d}.png" for number in range(5)}


def test_a_program_is_a_process_of_its_own_whose_start_is_known(tmp_path: Path) -> None:
    job = replace(JOB, folder=str(tmp_path), images=2)
    programs.write_job(job, tmp_path / "job.json")
    photos = Runner(job, dict(os.environ), lambda *step: None, 1)._own("photos")
    assert photos.found == {"photos": 2, "resized": 0}
    assert 0.1 < photos.start < photos.seconds
    assert len(list((tmp_path / "photos").glob("*.png"))) == 2


def run_command(words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["spadebench", "benchmark", "--suite", "toyscapes", *words.split()])
    with pytest.raises(SystemExit) as ended:
        command()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@few_images
@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_gives_ratios_scores_and_the_machine(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if as_json:
        words = f"-c {trained(tmp_path)} --images 4 --json"
    else:
        words = "--method spade --set generator.ngf=4 --images 2 --features none"
    code = run_command(f"{words} --threads 1 --device cpu --to {tmp_path / 'b.json'}", monkeypatch)
    said = capsys.readouterr()
    assert code == 0, said.err
    found = json.loads((tmp_path / "b.json").read_text())
    assert {"hardware", "versions", "git_commit", "spadebench"} <= set(found["provenance"])
    one, three = found["one_pass"]["uncached"], found["three_programs"]["uncached"]
    assert one["images_per_s"] == pytest.approx(found["images"] / one["seconds"], rel=0.1)
    assert found["ratio"]["uncached"] == pytest.approx(three["seconds"] / one["seconds"], rel=0.1)
    if as_json:
        assert json.loads(said.out) == found
        assert found["ratio"]["cached"] is not None
    else:
        assert (found["method"], found["checkpoint"]) == ("spade", None)
        assert found["overrides"] == {"generator.ngf": 4}
        assert found["notes"][0] == "the generator is untrained, so the scores say nothing"
        assert found["ratio"]["cached"] is None
        assert list(found["parts"]) == ["one-pass", "generate", "segment"]
        assert f"protocol: {found['protocol']['signature']}" in said.out
        assert f"{100 * found['scores']['miou']:.4f} % on both sides" in said.out
        assert f"{found['ratio']['uncached']:.2f}" in said.out


def timed(seconds: float, start: float = 1.0, **found: Any) -> Timed:
    return Timed(seconds, start, found)


def full_run(**changes: Timed) -> dict[str, Timed]:
    same = {"miou": 0.5, "accuracy": 0.75}
    return {
        "one-pass": timed(10, **same, distance=20.0, key="fid"),
        "generate": timed(6, images=40),
        "segment": timed(8, **same),
        "photos": timed(3, photos=40, resized=40),
        "distance": timed(16, 3, distance=20.001),
        "statistics": timed(9, 3),
        "one-pass-cached": timed(5, **same, distance=20.0, key="fid"),
        "distance-cached": timed(7, 3, distance=20.001),
        **changes,
    }


def test_seconds_are_added_up_as_they_are_counted() -> None:
    found = summary([full_run()])
    assert found["one_pass"]["uncached"] == {"seconds": 10, "seconds_without_start": 9, "images_per_s": 4.0}
    assert found["three_programs"]["uncached"]["seconds"] == 6 + 8 + 3 + 16
    assert found["three_programs"]["cached"]["seconds"] == 6 + 8 + 7
    assert found["ratio"] == {"uncached": 3.3, "cached": 4.2}
    assert found["ratio_without_start"] == {"uncached": 3.0, "cached": 4.0}
    assert [name for name, part in found["parts"].items() if not part["counted"]] == ["statistics"]


def test_photos_of_the_suites_size_and_single_slow_runs_do_not_count() -> None:
    ready = {"photos": timed(3, photos=40, resized=0)}
    runs = [full_run(**ready), full_run(**ready, segment=timed(800, miou=0.5, accuracy=0.75)), full_run(**ready)]
    found = summary(runs)
    assert found["three_programs"]["uncached"]["seconds"] == 6 + 8 + 16
    assert found["parts"]["photos"] == {"seconds": 3, "start": 1, "counted": False}


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": timed(8, miou=np.nextafter(0.5, 1), accuracy=0.75)},
        {"segment": timed(8, miou=0.5, accuracy=0.76)},
        {"distance": timed(16, distance=20.03)},
        {"distance-cached": timed(16, distance=19.97)},
        {"one-pass-cached": timed(5, miou=0.5, accuracy=0.7, distance=20.0, key="fid")},
    ],
)
def test_sides_that_do_not_agree_get_no_ratio(changes: dict[str, Timed]) -> None:
    check_scores(full_run())
    with pytest.raises(UserError, match=r"the two sides do not do the same work: (miou|accuracy|fid) is .*no ratio"):
        check_scores(full_run(**changes))


def test_pytorch_fid_itself_measures_inception_and_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        home = tmp_path / "torch" if "pytorch_fid" in arguments else None
        assert environment.get("TORCH_HOME") == (None if home is None else str(home))
        return subprocess.CompletedProcess(arguments, 0, "Saving …\nFID:  12.5\n", "100%")

    monkeypatch.setattr(timing, "run_python", run)
    job = replace(JOB, folder=str(tmp_path), features="inception")
    runner = Runner(job, {}, lambda *step: None, 1)
    assert runner._fid("distance").found == {"distance": 12.5}
    runner._fid("statistics")
    runner._fid("distance-cached")
    fid = ["-m", "pytorch_fid", "--device", "cpu"]
    images, photos, kept = (str(tmp_path / name) for name in ("images", "photos", "statistics.npz"))
    assert asked == [
        ["-c", "import pytorch_fid.fid_score"],
        [*fid, images, photos],
        [*fid, "--save-stats", photos, kept],
        [*fid, images, kept],
    ]


def test_photos_are_written_at_the_suites_size_and_counted_where_they_had_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(JOB, folder=str(tmp_path), images=2)
    whole = job.opened_suite()
    monkeypatch.setattr(Job, "opened_suite", lambda self: replace(whole, size=(32, 64)))
    assert programs.photos(job) == {"photos": 2, "resized": 2}
    with Image.open(tmp_path / "photos" / "000001.png") as image:
        assert image.size == (64, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": None}, "nothing to generate with"),
        ({"images": 1}, "needs 2 images or more"),
        ({"features": ["toyscapes", "inception_clean"], "random_weights": True}, "one feature net at a time"),
        ({"suite": "toyscape"}, "unknown suite"),
    ],
)
def test_what_cannot_be_timed_is_said_first(
    changes: dict[str, Any], message: str, tmp_path: Path, in_this_process: list[list[str]]
) -> None:
    with pytest.raises(UserError, match=message):
        benchmark(replace(SMALL, **changes), Places(), CPU, tmp_path)
    assert in_this_process == []


def test_a_program_that_fails_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess(
        [], 2, "", "Traceback …\nspadebench: error: no such file (images/000000.png)\n"
    )
    monkeypatch.setattr(timing, "run_python", lambda arguments, environment: failed)
    runner = Runner(replace(JOB, folder=str(tmp_path)), {}, lambda *step: None, 1)
    with pytest.raises(UserError, match=r"^one-pass: a program failed: no such file"):
        runner.once(0)


@pytest.mark.parametrize(
    ("words", "message"), [("", "give --checkpoint FILE or --method NAME"), ("-c a.pt --set a.b=1", "--set goes with")]
)
def test_the_command_refuses_what_does_not_go_together(
    words: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(words, monkeypatch) == 2
    assert message in capsys.readouterr().err
