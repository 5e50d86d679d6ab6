"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import camvid_layout
from PIL import Image
from small import SMALL_SET

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100", "PYTHONWARNINGS": "default"}


def spadebench(*words: Any, cwd: Path | None = None, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", *map(str, words)]
    done = subprocess.run(
        command, cwd=cwd or ROOT, env={**ENVIRONMENT, **env}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    return done


def refused(*words: Any, **env: str) -> str:
    """The one line that bad input gets."""
    done = spadebench(*words, code=2, **env)
    lines = [line for line in done.stderr.splitlines() if line.startswith("spadebench: error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which a small cell was trained and scored by `run`."""
    out = tmp_path_factory.mktemp("store")
    spadebench("run", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET, "--out", out, "--json")
    return out


def checkpoint_of(store: Path) -> Path:
    return next(store.glob("cells/*/checkpoints/iteration_00000006.pt"))


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_help_answers_within_a_second_and_imports_no_torch() -> None:
    # Processor time, which other tests running beside this one do not stretch as they do the clock's.
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        spadebench("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 1.0
    code = "import sys; sys.argv = ['spadebench', '--help']\nimport harness.cli\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_list_names_methods_and_suites() -> None:
    found = json.loads(spadebench("list", "--json").stdout)
    assert {"spade", "pix2pixhdpp", "pix2pixhd"} <= set(found["methods"])
    assert {"toyscapes", "camvid"} <= set(found["suites"])


def test_run_prints_records_with_the_documented_keys(trained: Path) -> None:
    done = spadebench(
        "run", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET, "--out", trained, "--json"
    )
    printed = json.loads(done.stdout)
    spade, photos = printed["records"]
    assert (spade["method"], photos["method"]) == ("spade", "photos")
    assert {"miou", "accuracy", "accuracy_void_wrong", "fd_toyscapes", "iou"} <= set(spade["scores"])
    assert "fid" not in spade["scores"]
    cost = spade["cost"]
    assert set(cost) == {
        "parameters",
        "multiply_adds",
        "seconds_training",
        "seconds_scoring",
        "images_per_s_training",
        "images_per_s_scoring",
        "peak_memory_bytes",
    }
    assert all(value > 0 for value in cost.values())
    assert spade["config"]["method"]["generator"]["ngf"] == 4
    assert spade["protocol"]["signature"].startswith("suite:toyscapes data:val")
    assert Path(printed["files"]["tex"]).is_file()
    assert photos["scores"]["miou"] >= 0.85
    assert "done already" in done.stderr


def test_report_reads_the_records_without_torch(trained: Path) -> None:
    words = ["report", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET, "--out", str(trained)]
    code = (
        f"import sys; sys.argv = ['spadebench', *{words!r}, '--format', 'markdown']\n"
        "from harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SPADE" in done.stdout
    assert "seg:toyscapes@" in done.stdout


def test_saved_images_score_as_the_pass_that_saved_them(trained: Path, tmp_path: Path) -> None:
    words = ("--suite", "toyscapes", "--out", trained, "--json")
    made = spadebench("evaluate", *words, "-c", checkpoint_of(trained), "--save-images", tmp_path / "images")
    again = spadebench("evaluate", *words, "--images", tmp_path / "images")
    first, second = json.loads(made.stdout), json.loads(again.stdout)
    assert first["scores"] == second["scores"]
    assert first["protocol"] == second["protocol"]


def test_evaluating_twice_gives_identical_bytes_of_scores(trained: Path) -> None:
    words = ("evaluate", "--suite", "toyscapes", "--photos", "--out", trained, "--json")
    one, two = (json.dumps(json.loads(spadebench(*words).stdout)["scores"]) for _ in range(2))
    assert one == two


def test_generate_needs_label_maps_only(trained: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) % 9).save(labels / f"{name}.png")
    done = spadebench("generate", "-c", checkpoint_of(trained), "--labels", labels, "--to", tmp_path / "made", "--json")
    images = json.loads(done.stdout)["images"]
    assert [Path(i).name for i in images] == ["a.png", "b.png"]
    assert size_of(Path(images[0])) == (64, 64)


def test_figure_comparison_draws_label_map_photo_and_method(trained: Path, tmp_path: Path) -> None:
    words = ("figure", "comparison", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET)
    words = (*words, "--out", trained)
    spadebench(*words, "--samples", "val_00003,val_00007", "--to", tmp_path / "a.png")
    spadebench(*words, "--samples", 2, "--generated-only", "--to", tmp_path / "b.png")
    assert size_of(tmp_path / "a.png")[0] > 2 * size_of(tmp_path / "b.png")[0]
    assert "val_9" in refused(*words, "--samples", "val_9", "--to", tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()


def test_dry_run_trains_nothing(tmp_path: Path) -> None:
    words = ("--suite", "toyscapes", *SMALL_SET, "--out", tmp_path / "store", "--dry-run")
    spadebench("train", "spade", *words)
    planned = json.loads(spadebench("run", "table1", *words[:2], "--methods", "spade", *words[2:], "--json").stdout)
    assert [(c["done"], c["name"].split("-")[0]) for c in planned["cells"]] == [
        (False, "spade"),
        (False, "real photos of toyscapes"),
    ]
    assert not (tmp_path / "store" / "cells").exists()
    assert not (tmp_path / "store" / "records").exists()


def test_unknown_names_are_refused_with_the_nearest() -> None:
    assert "did you mean spade" in refused("train", "spad", "--suite", "toyscapes")
    assert "did you mean toyscapes" in refused("train", "spade", "--suite", "toyscape")
    assert "table1" in refused("run", "tabel1", "--suite", "toyscapes")
    assert "--sute" in refused("train", "spade", "--sute", "toyscapes")


def test_a_checkpoint_of_another_suite_or_with_code_is_refused(trained: Path, shared: Path, tmp_path: Path) -> None:
    line = refused(
        "evaluate",
        "--suite",
        "camvid",
        "-c",
        checkpoint_of(trained),
        "--out",
        tmp_path,
        "--data-root",
        shared / "data",
        "--weights-root",
        shared / "weights",
        "--features",
        "none",
    )
    assert "trained on suite 'toyscapes'" in line


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.target),))


def test_a_malicious_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Malicious(tmp_path / "was_run")))
    assert "refused" in refused("evaluate", "--suite", "toyscapes", "-c", tmp_path / "evil.pt", "--out", tmp_path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("label out of range", "label value 77 is out of range"),
        ("different size", "label is"),
        ("missing partner", "test_001"),
        ("truncated", "broken"),
        ("empty folder", "in this folder"),
    ],
)
def test_faulty_data_is_refused_with_the_file_and_nothing_is_written(fault: str, said: str, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    camvid_layout(root, {"train": 2, "val": 2, "test": 3}, size=(48, 64))
    label, photo = sorted((root / "testannot").iterdir())[1], sorted((root / "test").iterdir())[1]
    if fault == "label out of range":
        Image.fromarray(np.full((48, 64), 77, np.uint8)).save(label)
    elif fault == "different size":
        Image.fromarray(np.zeros((24, 64), np.uint8)).save(label)
    elif fault == "missing partner":
        photo.unlink()
    elif fault == "truncated":
        label.write_bytes(label.read_bytes()[:40])
    else:
        for path in (*(root / "test").iterdir(), *(root / "testannot").iterdir()):
            path.unlink()
    suite = tmp_path / "suite.py"
    suite.write_text(
        "from dataclasses import replace\n"
        "from harness.registry import SUITES, SEGMENTERS\n"
        "from harness.suites.camvid import camvid\n"
        "from harness.evaluation.protocol import Protocol\n"
        "import torch\n"
        "class Zero:\n"
        "    name, weights, classes = 'zero', '00000000', 11\n"
        "    def predict(self, images):\n"
        "        return torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.int64)\n"
        "@SEGMENTERS.register_module(name='zero')\n"
        "def zero(weights_root, device):\n"
        "    return Zero()\n"
        "@SUITES.register_module(name='camvid_zero')\n"
        "def camvid_zero():\n"
        "    return replace(camvid(), name='camvid_zero', protocol=Protocol(name='n', segmenter='zero'))\n"
    )
    line = refused(
        "evaluate", "--suite", "camvid_zero", "--import", suite, "--photos",
        "--data-root", tmp_path / "data", "--out", tmp_path / "store",
    )  # fmt: skip
    assert said in line
    assert str(root) in line
    assert not list(tmp_path.glob("store/records/*"))


def test_nonsense_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    (tmp_path / "taken.py").write_text(
        "from harness.registry import NORMS\n"
        "import baselines.norms.spade\n"
        "@NORMS.register_module(name='spade')\n"
        "class Mine: pass\n"
    )
    words = ("train", "spade", "--suite", "toyscapes", "--dry-run")
    for line in ("schedule.iterations=null", "losses.kld=.nan", "losses.gan=hinje", "generator.ngf=-4", "threads=null"):
        assert "--set" in refused(*words, "--set", line) or "losses" in line or "ngf" in line
    assert "schedule.batch" in refused(*words, "--set", "schedule.batch=0", "--budget", "5ep")
    assert "not supported" in refused(*words[:-1], *SMALL_SET, "--device", "meta", "--out", tmp_path / "x")
    assert "a_file" in refused(*words[:-1], *SMALL_SET, "--out", tmp_path / "a_file")
    assert "already registered" in refused(*words, "--import", tmp_path / "taken.py")


def test_a_checkpoint_does_not_score_on_what_it_was_trained_on(trained: Path, tmp_path: Path) -> None:
    words = ("--suite", "toyscapes", "--split", "train", "--out", tmp_path, "--features", "none", "--dry-run")
    assert "trained and in the scored split" in refused("evaluate", "-c", checkpoint_of(trained), *words)


def test_another_spelling_of_a_done_cell_fills_its_row(trained: Path) -> None:
    words = ("run", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET, "--out", trained)
    done = spadebench(*words, "--set", "schedule.flat=0.5")
    assert "done already" in done.stderr
    assert "Missing" not in done.stdout


def test_the_printed_signature_is_the_records(trained: Path) -> None:
    words = ("evaluate", "--suite", "toyscapes", "--photos", "--out", trained)
    record = json.loads(spadebench(*words, "--json").stdout)
    assert f"protocol: {record['protocol']['signature']}\n" in spadebench(*words).stdout


def test_a_missing_data_set_says_what_is_expected_where(tmp_path: Path) -> None:
    line = refused("train", "spade", "--suite", "camvid", "--data-root", tmp_path)
    assert str(tmp_path / "camvid") in line
    assert "trainannot" in line


def long_training(store: Path) -> list[str]:
    words = ["train", "spade", "--suite", "toyscapes", *SMALL_SET, "--set", "schedule.iterations=40"]
    return [*words, "--checkpoint-every", "3", "--out", str(store)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the long training, never stopped."""
    out = tmp_path_factory.mktemp("undisturbed")
    spadebench(*long_training(out))
    return out


def wait_for_checkpoint(store: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while not list(store.glob("cells/*/checkpoints/*.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def final_weights(store: Path) -> dict[str, torch.Tensor]:
    path = next(store.glob("cells/*/checkpoints/iteration_00000040.pt"))
    return torch.load(path, weights_only=True)["networks"]["generator"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_killed_training_resumes_and_ends_with_the_same_weights(
    sent: int, code: int, undisturbed: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *long_training(killed)],
        cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_checkpoint(killed, process)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    if code == 130:
        assert "goes on from" in said
    assert not list(killed.glob("cells/*/checkpoints/iteration_00000040.pt"))
    before = {path.name: path.stat().st_mtime_ns for path in killed.glob("cells/*/checkpoints/*.pt")}
    spadebench(*long_training(killed), "--keep", 99)
    # It went on from the last checkpoint: that one still stands, and no earlier step was done again.
    after = {path.name: path.stat().st_mtime_ns for path in killed.glob("cells/*/checkpoints/*.pt")}
    assert after[max(before)] == before[max(before)]
    assert min(after) >= min(before)
    one, two = final_weights(undisturbed), final_weights(killed)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_two_processes_that_finish_one_cell_at_once_leave_one_whole_record(tmp_path: Path) -> None:
    words = ["run", "table1", "--suite", "toyscapes", "--methods", "spade", *SMALL_SET, "--out", str(tmp_path)]
    both = [
        subprocess.Popen([sys.executable, "-m", "harness.cli", *words, "--json"], cwd=ROOT, env=ENVIRONMENT,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    printed = []
    for process in both:
        out, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
        printed.append(json.loads(out)["records"])
    assert printed[0][0]["scores"] == printed[1][0]["scores"]
    assert len(list(tmp_path.glob("cells/*"))) == 1
    names = sorted(p.name for p in (tmp_path / "records").iterdir())
    assert len(names) == 4, names
    assert not [n for n in names if n.startswith(".")]


def test_a_full_disk_while_a_record_is_written_leaves_nothing_half_written(tmp_path: Path) -> None:
    words = ["evaluate", "--suite", "toyscapes", "--photos", "--features", "none", "--out", str(tmp_path)]
    code = (
        "import errno, os, sys\n"
        "import harness.files as files\n"
        "def full(fd):\n"
        "    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "files.os.fsync = full\n"
        f"sys.argv = ['spadebench', *{words!r}]\n"
        "from harness.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
