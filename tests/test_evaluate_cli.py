"""`spadebench evaluate` on anybody's images: where they lie, what matches, by which protocols, and what is refused."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import photo_array, save
from PIL import Image
from scored_stubs import BRIGHTNESS, Bright, Means, ade_images, ade_labels, command, small_suite

from harness.errors import UserError
from harness.metrics.confusion import Confusion
from reports.records import read_records


class Place:
    """Labels, images and a segmenter on disk, and the command asked about them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.labels = ade_labels(root / "gt")
        self.images = root / "made"
        for name, image in ade_images().items():
            path = self.images / "deep" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        self.segmenter = root / "mine.py"
        self.segmenter.write_text(BRIGHTNESS)
        self.zip, self.tar = root / "made.zip", root / "made.tar.gz"
        with zipfile.ZipFile(self.zip, "w") as packed:
            for path in sorted((self.images / "deep").iterdir()):
                packed.write(path, f"results/{path.name}")
        with tarfile.open(self.tar, "w:gz") as tar:
            tar.add(self.images, "made")

    @property
    def words(self) -> tuple[Any, ...]:
        return ("--suite", "ade20k", "--labels", self.labels, "--segmenter", f"py:{self.segmenter}:brightness")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


class Ask:
    """The command with --out in a folder of the test's own."""

    def __init__(self, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.out, self.tools = out, (monkeypatch, capsys)

    def __call__(self, *words: Any, code: int = 0) -> tuple[str, str]:
        found, out, err = command(*self.tools, "evaluate", *words, "--out", self.out)
        assert found == code, f"{out}\n{err}"
        return out, err

    def record(self, *words: Any) -> dict[str, Any]:
        return json.loads(self(*words, "--json")[0])

    def refused(self, *words: Any) -> str:
        out, err = self(*words, code=2)
        assert out == ""
        [line] = [line for line in err.splitlines() if line.startswith("spadebench: error:")]
        assert not list(self.out.glob("records/*"))
        return line


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(tmp_path / "runs", monkeypatch, capsys)


def test_a_folder_a_zip_and_a_tar_of_the_same_images_have_one_score_and_one_id(place: Place, ask: Ask) -> None:
    records = [ask.record(*place.words, "--images", path) for path in (place.images, place.zip, place.tar)]
    assert [r["source"]["kind"] for r in records] == ["folder", "archive", "archive"]
    assert len({r["id"] for r in records}) == 1
    assert len({json.dumps(r["scores"]) for r in records}) == 1
    first = records[0]
    assert first["source"]["images"] == 5
    assert first["title"] == "made"
    assert "suite:ade20k data:gt5@" in first["protocol"]["signature"]
    assert 0 < first["scores"]["accuracy"] < 1
    [stored] = read_records(ask.out)
    confusion = Confusion.load(ask.out / "records" / stored["confusion"])
    assert len(confusion) == 5
    assert len(confusion.classes) == 150


def test_labels_without_photos_have_no_distance_and_it_is_said(place: Place, ask: Ask) -> None:
    out, err = ask(*place.words, "--images", place.images)
    assert "no Fréchet distance: the label files came without photos" in err
    assert "fd:none" in out


def test_a_feature_net_that_is_asked_for_needs_photos(place: Place, ask: Ask) -> None:
    said = ask.refused(*place.words, "--images", place.images, "--features", "inception")
    assert "feature nets need photos to compare with" in said


def test_where_a_segmenter_s_file_lies_is_no_part_of_the_signature(place: Place, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copied = shutil.copy(place.segmenter, tmp_path / "elsewhere")
    other = (*place.words[:-1], f"py:{copied}:brightness")
    one, two = (ask.record(*words, "--images", place.images)["protocol"] for words in (place.words, other))
    assert (one["signature"], one["hash"]) == (two["signature"], two["hash"])
    assert "seg:py:brightness@" in one["signature"]
    assert str(place.root) not in one["signature"]


def some_images(place: Place, to: Path, count: int, *more: str) -> Path:
    to.mkdir()
    for path in sorted((place.images / "deep").iterdir())[:count]:
        shutil.copy(path, to)
    for name in more:
        Image.new("RGB", (256, 256)).save(to / name)
    return to


def test_unmatched_names_are_reported_and_a_part_is_scored_only_when_allowed(
    place: Place, ask: Ask, tmp_path: Path
) -> None:
    part = some_images(place, tmp_path / "part", 3, "zebra.png")
    line = ask.refused(*place.words, "--images", part)
    assert "2 samples have no image: no image for ADE_val_00000003" in line
    assert "1 image has no sample: no sample for zebra.png" in line
    out, err = ask(*place.words, "--images", part, "--allow-partial", "--json")
    assert {"no image for ADE_val_00000003", "no image for ADE_val_00000004", "no sample for zebra.png"} <= set(
        err.splitlines()
    )
    record = json.loads(out)
    assert record["source"] | {"id": ""} == {"kind": "folder", "id": "", "images": 3, "missing": 2, "extra": 1}
    assert "data:gt3@" in record["protocol"]["signature"]
    assert len(Confusion.load(ask.out / "records" / record["confusion"])) == 3
    whole = ask.record(*place.words, "--images", place.images, "--allow-partial")
    assert "data:gt5@" in whole["protocol"]["signature"]
    assert "missing" not in whole["source"]


def test_an_image_of_another_size_is_refused_by_name_or_fitted_and_said(place: Place, ask: Ask, tmp_path: Path) -> None:
    odd = some_images(place, tmp_path / "odd", 5)
    Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(odd / "ADE_val_00000002.png")
    line = ask.refused(*place.words, "--images", odd)
    assert "image 'ADE_val_00000002' is 300x200, images of this suite are 256x256 (--fit bicubic" in line
    assert (
        "fake:any>256x256:bicubic"
        in ask.record(*place.words, "--images", odd, "--fit", "bicubic")["protocol"]["signature"]
    )
    assert "fake:own>label" in ask.record(*place.words, "--images", odd, "--fit", "own")["protocol"]["signature"]


def test_protocol_all_prints_every_shipped_protocol_side_by_side(place: Place, ask: Ask) -> None:
    out, _ = ask(*place.words, "--images", place.images, "--protocol", "all")
    table = out.split("native: suite:")[0]
    for name in ("native", "bicubic", "output-size", "spade-paper", "mean-union", "mean-present", "void-wrong"):
        assert name in table
    # On this suite these are the same thing without a feature net.
    assert sum(line.rstrip().endswith("as native") for line in table.splitlines()) == 7
    printed = json.loads(ask(*place.words, "--images", place.images, "--protocol", "all", "--json")[0])
    by_name = {record["protocol"]["name"]: record for record in printed["records"]}
    assert printed["same"] == {
        "fid-2019-02": "native",
        "fid-2019-05": "native",
        "fid-clean": "native",
        "fid-train": "native",
        "mean-all": "native",
        "multi-scale": "native",
        "spade-paper": "native",
    }
    assert printed["skipped"] == {}
    assert f"native: {by_name['native']['protocol']['signature']}" in out
    assert f"{100 * by_name['output-size']['scores']['miou']:.2f} %" in table
    assert {r["id"] for r in read_records(ask.out)} == {r["id"] for r in printed["records"]}
    alone = ask.record(*place.words, "--images", place.images, "--protocol", "output-size")
    assert alone["scores"] == by_name["output-size"]["scores"]
    assert alone["id"] == by_name["output-size"]["id"]


def test_photos_by_all_protocols_of_the_built_in_suite(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cells.load_suite", lambda name: small_suite(size=(64, 64)))
    printed = json.loads(ask("--suite", "toyscapes", "--photos", "--protocol", "all", "--json")[0])
    scores = {record["protocol"]["name"]: record["scores"] for record in printed["records"]}
    assert scores["native"]["fd_toyscapes"] == pytest.approx(0, abs=1e-9)
    assert scores["native"]["miou"] == scores["mean-all"]["miou"] > 0.8
    assert all(record["method"] == "photos" for record in printed["records"])


def test_a_user_s_protocol_file_is_scored_beside_the_shipped_ones(place: Place, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("based_on: output-size\nclass_mean: present\n")
    words = (*place.words, "--images", place.images, "--protocol", f"native,{tmp_path / 'ours.yaml'}")
    names = [record["protocol"]["name"] for record in ask.record(*words)["records"]]
    assert names == ["native", "ours"]


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(place: Place, ask: Ask) -> None:
    words = (*place.words, "--images", place.images, "--protocol", "native,output-size", "--dry-run")
    planned = json.loads(ask(*words, "--json")[0])
    assert len(planned) == 2
    _, err = ask(*words)
    assert all(f"record: {plan['record']}" in err for plan in planned)
    assert not ask.out.exists()
    ask(*words[:-1])
    assert all(Path(plan["record"]).is_file() for plan in planned)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fit", "bycubic"), "unknown fit 'bycubic' (did you mean bicubic?)"),
        (("--protocol", "nativ"), "unknown protocol 'nativ' (did you mean native?)"),
        (("--protocol", "none"), "no protocol is named"),
        (("--protocol", "all,nativ"), "unknown protocol 'nativ'"),
        (("--protocol", "missing.yaml"), "cannot read this protocol"),
        (("--protocol", "{ours}"), "--protocol: one pass fits all images in one way"),
        (("--protocol", "{twin}"), "two protocols are named 'native'"),
        (("--photos-of", "{images}", "--features", "incepton"), "unknown feature net 'incepton' (did you mean"),
        (("--segmenter", "upernet"), "unknown segmenter 'upernet'"),
        (("--segmenter", "py:{segmenter}:bright", "--random-weights"), "there is no 'bright' in it"),
        (("--photos",), "give one of --checkpoint FILE, --images FOLDER and --photos"),
        (("--batch", "0"), "--batch"),
        (("--device", "gpu"), "device gpu: "),
    ],
)
def test_bad_words_get_one_line(words: tuple[str, ...], said: str, place: Place, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("fit: own\n")
    (tmp_path / "native.yaml").write_text("class_mean: present\n")
    places = {
        "ours": f"native,{tmp_path / 'ours.yaml'}",
        "twin": f"native,{tmp_path / 'native.yaml'}",
        "images": place.images,
        "segmenter": place.segmenter,
    }
    given = [word.format(**places) for word in words]
    line = ask.refused(*place.words, "--images", place.images, *given)
    assert said in line, line


@pytest.mark.parametrize(
    ("labels", "images", "said"),
    [
        ("gone", "made", "no such label file folder"),
        ("empty", "made", "this folder holds no label files"),
        ("gt", "gone", "no such folder or archive of images"),
        ("gt", "empty", "this folder holds no images"),
        ("gt", "mine.py", "this is no archive of images"),
    ],
)
def test_a_folder_that_is_not_there_is_named(labels: str, images: str, said: str, place: Place, ask: Ask) -> None:
    (place.root / "empty").mkdir(exist_ok=True)
    line = ask.refused("--suite", "ade20k", "--labels", place.root / labels, "--images", place.root / images)
    assert said in line
    assert str(place.root / (images if labels == "gt" else labels)) in line


def test_random_weights_are_asked_for_and_said(place: Place, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def net(known: Any) -> Any:
        def opened(name: str, folder: Any, device: Any, random_weights: bool = False) -> Any:
            if not random_weights:
                raise UserError(f"no weights of {name}", mend="put them in place")
            return known

        return opened

    monkeypatch.setattr("harness.evaluation.bench.open_segmenter", net(Bright(150, "random")))
    monkeypatch.setattr("harness.evaluation.bench.open_feature_net", net(Means("inception", "fd_inception", "random")))
    photos = place.root / "photos"
    for path in sorted(place.labels.iterdir()):
        photo = np.array(Image.open(path))[..., None].repeat(3, axis=2)
        photos.mkdir(exist_ok=True)
        Image.fromarray(photo).save(photos / path.name)
    words = ("--suite", "ade20k", "--labels", place.labels, "--photos-of", photos, "--images", place.images)
    assert "no weights of upernet101_ade20k" in ask.refused(*words)
    out, _ = ask(*words, "--random-weights")
    assert "note: segmenter toyscapes: random weights, so mIoU and accuracy are no scores" in out
    assert "note: feature net inception: random weights, so its distance is no score" in out
    assert "seg:toyscapes@random" in out
    assert "fd_inception" in out
    printed = json.loads(ask(*words, "--protocol", "native,fid-clean", "--random-weights", "--json")[0])
    assert "kd_inception" in printed["records"][-1]["scores"]


def cityscapes_labels(to: Path) -> Path:
    """labelIds in a folder of anybody's, without instance maps and photos."""
    rng = np.random.default_rng(0)
    for frame in range(2):
        blocks = rng.integers(0, 34, size=(4, 8)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        save(to / "lindau" / f"lindau_000000_{frame:06d}_gtFine_labelIds.png", blocks)
    return to


def test_images_on_cityscapes_are_scored_by_label_files_alone(ask: Ask, tmp_path: Path) -> None:
    """Its suite has instance edges, which only a generator is given: who has images needs no instance maps."""
    (tmp_path / "mine.py").write_text(BRIGHTNESS.replace("150", "19"))
    labels = cityscapes_labels(tmp_path / "gt val")
    for frame in range(2):
        rng = np.random.default_rng(frame)
        save(tmp_path / "made" / f"lindau_000000_{frame:06d}_leftImg8bit.png", photo_array(rng, (256, 512)))
    words = ("--suite", "cityscapes", "--labels", labels, "--segmenter", f"py:{tmp_path / 'mine.py'}:brightness")
    record = ask.record(*words, "--images", tmp_path / "made")
    # A signature is split at its spaces.
    assert "data:gt_val2@" in record["protocol"]["signature"]
    assert 0 < record["scores"]["accuracy_void_wrong"] < record["scores"]["accuracy"] < 1


def test_a_protocol_that_is_the_suite_s_own_under_another_name_is_one_record_of_that_name(
    place: Place, ask: Ask
) -> None:
    words = (*place.words, "--images", place.images, "--protocol")
    assert ask.record(*words, "mean-all")["protocol"]["name"] == "mean-all"  # the segmenter is not the suite's
    out, _ = ask(*words, "mean-all,native")
    [row] = [line for line in out.splitlines() if line.rstrip().endswith("as mean-all")]
    assert row.count("%") == 2


def test_a_refused_set_lists_what_does_not_match(place: Place, ask: Ask, tmp_path: Path) -> None:
    part = some_images(place, tmp_path / "part", 3, *(f"zebra{index:02d}.png" for index in range(60)))
    _, err = ask(*place.words, "--images", part, code=2)
    lines = err.splitlines()
    assert "no image for ADE_val_00000004" in lines
    assert "no sample for zebra10.png" in lines
    assert "… and 12 more" in lines
    assert "--allow-partial" in lines[-1]
