"""Scores by other protocols out of a stored confusion: equal to a new pass, honest about what takes one."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import save
from scored_stubs import Bright, Means, bench_of, command, same_confusion, small_suite, timeless

from ablations.grid import load_grid
from harness.data.folder import Folder
from harness.errors import UserError
from harness.evaluation.bench import Bench, photos_id
from harness.evaluation.evaluate import Subject, evaluate
from harness.evaluation.sources import PhotoSource
from harness.launch.scores.rescoring import rescored
from harness.metrics.confusion import Confusion
from harness.protocols.load import load_protocol
from harness.records import Record, Store
from reports.build import build_table
from reports.records import read_records, select

SUITE = small_suite(unknown=True)
OWN = SUITE.protocol
PHOTOS = Subject("photos", "real photos")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Photos whose brightness is their class, but for noise; of 9 classes the labels have 4 and void, an
    answer 5: each class mean is another number, and so is each accuracy."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    (root / "classes.yaml").write_text(f"names: [{', '.join(f'c{i}' for i in range(9))}]\nvoid: 255\n")
    for index in range(5):
        label = rng.integers(0, 4, size=(6, 8)).repeat(6, axis=0).repeat(6, axis=1)
        photo = np.clip(label[..., None] * 28 + rng.normal(20, 14, (*label.shape, 1)), 0, 140).repeat(3, axis=2)
        label[rng.random(label.shape) < 0.1] = 255
        save(root / "labels" / f"{index}.png", label.astype(np.uint8))
        save(root / "photos" / f"{index}.png", photo.astype(np.uint8))
    return Folder(root, "val")


def bench(data: Folder, **changes: Any) -> Bench:
    return bench_of(SUITE, segmenter=Bright(), feature_nets={"toyscapes": Means()}, dataset=data, **changes)


def scored(data: Folder, **changes: Any) -> tuple[Record, Confusion]:
    made = bench(data, **changes)
    return evaluate(made, PhotoSource(photos_id(made)), PHOTOS)


@pytest.fixture
def store(data: Folder, tmp_path: Path) -> Store:
    """A store with the photos' record by the suite's own protocol."""
    made = Store(tmp_path / "runs")
    made.save(*scored(data))
    return made


@pytest.fixture
def record(store: Store) -> dict[str, Any]:
    [found] = read_records(store.root)
    return found


@pytest.mark.parametrize("mean", ["union", "present", "all"])
@pytest.mark.parametrize("void", ["ignore", "wrong"])
def test_a_rescored_record_is_the_one_that_a_new_pass_would_leave(
    mean: Any, void: Any, data: Folder, store: Store, record: dict[str, Any]
) -> None:
    changes: dict[str, Any] = {"name": f"{mean}-{void}", "class_mean": mean, "void": void}
    made, confusion = rescored(record, replace(OWN, **changes), store.records_folder, "spadebench rescore")
    wanted, counted = scored(data, **changes)
    assert made.scores == wanted.scores
    assert list(made.scores) == list(wanted.scores)
    assert timeless(made) == timeless(wanted)
    assert same_confusion(confusion, counted)
    assert made.provenance["rescored_from"] == record["id"]
    assert made.cost == record["cost"]
    path = Store(store.root / "again").save(made, confusion)
    assert json.loads(path.read_text())["id"] == path.stem


def test_the_averages_of_this_data_are_all_different(record: dict[str, Any], store: Store) -> None:
    means, accuracies = set(), set()
    for changes in ({"class_mean": "union"}, {"class_mean": "present"}, {"class_mean": "all", "void": "wrong"}):
        made, _ = rescored(record, replace(OWN, name="x", **changes), store.records_folder, "")  # type: ignore[arg-type]
        means.add(made.scores["miou"])
        accuracies.add(made.scores["accuracy"])
    assert (len(means), len(accuracies)) == (3, 2)


def test_a_rescored_record_can_be_rescored_back(record: dict[str, Any], store: Store) -> None:
    target = replace(OWN, name="mean-all", class_mean="all")
    made, confusion = rescored(record, target, store.records_folder, "")
    store.save(made, confusion)
    back, _ = rescored(made.as_dict(), OWN, store.records_folder, "")
    assert timeless(back) == timeless(record)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"image": "own"}, "image"),
        ({"resize": "bicubic", "class_mean": "all"}, "resize"),
        ({"label": "image"}, "label"),
        ({"fit": "own"}, "fit"),
        ({"segmenter": "other"}, "segmenter"),
        ({"features": ("other",)}, "features"),
        ({"reference": "train"}, "reference"),
        ({"kernel": True}, "kernel"),
    ],
)
def test_what_takes_a_new_pass_is_refused_and_the_field_named(
    changes: dict[str, Any], field: str, record: dict[str, Any], store: Store
) -> None:
    target = replace(OWN, name="mine", **changes)
    with pytest.raises(UserError, match=f"'mine' differs in '{field}', which takes a new pass.*--protocol mine"):
        rescored(record, target, store.records_folder, "")


def test_distances_of_another_protocol_are_carried_over_and_said(record: dict[str, Any], store: Store) -> None:
    target = replace(OWN, name="paper", void="wrong", features=("inception",))
    made, _ = rescored(record, target, store.records_folder, "")
    assert made.scores["fd_toyscapes"] == record["scores"]["fd_toyscapes"]
    assert made.protocol["distance"] == record["protocol"]["distance"]
    assert made.notes[-1] == "distances are not those of protocol 'paper' but by 'native'"


def test_a_record_without_distances_is_rescored_by_a_protocol_with_some(data: Folder, tmp_path: Path) -> None:
    made, confusion = scored(data, features=())
    Store(tmp_path).save(made, confusion)
    target = replace(OWN, name="paper", void="wrong", features=("inception",), kernel=True)
    again, _ = rescored(made.as_dict(), target, tmp_path / "records", "")
    assert "fd:none" in again.protocol["signature"]
    assert again.notes == made.notes


def forged(record: dict[str, Any], how: str) -> dict[str, Any]:
    changed = copy.deepcopy(record)
    protocol = changed["protocol"]
    if how == "no facts":
        del protocol["facts"]
    elif how == "a fact less":
        del protocol["facts"]["data"]
    elif how == "signature":
        protocol["signature"] = protocol["signature"].replace("void:ignore", "void:wrong")
    elif how == "field":
        protocol["fields"]["class_mean"] = "present"
    elif how == "unknown field":
        protocol["fields"]["colour"] = "red"
    else:
        protocol["facts"]["count"] = 500
    return changed


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no facts", "of an older protocol version, which does not say all that it was scored on"),
        ("a fact less", "not all known: data"),
        ("signature", "the signature of this record is not that of its protocol"),
        ("field", "the signature of this record is not that of its protocol"),
        ("fact", "the signature of this record is not that of its protocol"),
        ("unknown field", "a protocol has no field 'colour'"),
    ],
)
def test_a_record_that_does_not_prove_its_protocol_is_refused(
    how: str, said: str, record: dict[str, Any], store: Store
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        rescored(forged(record, how), replace(OWN, class_mean="all"), store.records_folder, "")
    assert record["id"] in str(caught.value) or "not all known" in said


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "no such confusion file"),
        ("broken", "cannot read this confusion file"),
        ("another's", "this is not the confusion of the record's scores"),
    ],
)
def test_a_missing_or_broken_confusion_is_named(
    how: str, said: str, data: Folder, record: dict[str, Any], store: Store
) -> None:
    path = store.records_folder / record["confusion"]
    if how == "missing":
        path.unlink()
    elif how == "broken":
        path.write_bytes(path.read_bytes()[:100])
    else:
        other = evaluate(bench_of(SUITE, segmenter=Bright(told=8), dataset=data, feature_nets={"toyscapes": Means()}),
                         PhotoSource("other"), PHOTOS)[1]  # fmt: skip
        other.save(path)
    with pytest.raises(UserError, match=said) as caught:
        rescored(record, replace(OWN, class_mean="all"), store.records_folder, "")
    assert str(path) in str(caught.value)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any, **more: Any) -> Any:
        raise AssertionError("a network was asked for")

    for name in ("open_segmenter", "open_feature_net", "open_data"):
        monkeypatch.setattr(f"harness.evaluation.bench.{name}", refuse)


@pytest.mark.usefixtures("no_network")
def test_the_command_answers_all_that_the_confusion_does_and_runs_no_network(
    store: Store, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("rescore", "--suite", "toyscapes", "--out", store.root)
    planned = command(monkeypatch, capsys, *words, "--protocol", "all", "--dry-run", "--json")
    assert len(read_records(store.root)) == 1
    code, out, _ = command(monkeypatch, capsys, *words, "--protocol", "all", "--json")
    assert code == 0
    assert out == planned[1]
    rows = {(row["protocol"], row["state"]): row for row in json.loads(out)["rows"]}
    assert set(rows) == {
        ("native", "as it is"),
        ("native", "the same"),
        ("mean-union", "the same"),
        ("mean-present", "new"),
        ("mean-all", "new"),
        ("void-wrong", "new"),
    }
    records = read_records(store.root)
    assert {r["protocol"]["name"] for r in records} == {"native", "mean-present", "mean-all", "void-wrong"}
    assert len(list(store.records_folder.iterdir())) == 8
    for row in rows.values():
        kept = next(r for r in records if r["id"] == row["record"])
        assert row["scores"] == {key: value for key, value in kept["scores"].items() if key != "iou"}

    before = {path: path.stat().st_mtime_ns for path in store.records_folder.iterdir()}
    code, out, _ = command(monkeypatch, capsys, *words, "--protocol", "all")
    assert (code, out.count("there already"), "new" in out) == (0, 3, False)
    assert {path: path.stat().st_mtime_ns for path in store.records_folder.iterdir()} == before

    grid = load_grid("table1")
    ceiling = select(records, grid, "toyscapes")[-1]
    assert [r["id"] for r in ceiling.records] == [record["id"]]
    [by_name] = select(records, grid, "toyscapes", protocol="mean-all")[-1].records
    assert by_name["protocol"]["name"] == "mean-all"
    assert build_table(grid, "toyscapes", records).rows[-1].cells[0].values == (record["scores"]["miou"],)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--protocol", "output-size"), "'output-size' differs in 'image', which takes a new pass"),
        (("--protocol", "nativ"), "did you mean native"),
        (("--mean", "median"), "class_mean cannot be 'median'"),
        (("--void", "right"), "void cannot be 'right'"),
        (("--protocol", "native", "--mean", "all"), "give --protocol NAME, or --mean and --void"),
        ((), "give --protocol NAME, or --mean and --void"),
        (("nobody", "--mean", "all"), "no record 'nobody'"),
        (("--suite", "camvid", "--mean", "all"), "no record to rescore"),
    ],
)
def test_the_command_refuses_in_one_line(
    words: tuple[str, ...], said: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(monkeypatch, capsys, "rescore", *words, "--out", store.root)
    assert (code, out) == (2, "")
    [line] = err.splitlines()
    assert said in line
    assert len(read_records(store.root)) == 1


@pytest.mark.usefixtures("no_network")
def test_images_that_were_fitted_stay_so(
    data: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(tmp_path).save(*scored(data, fit="own"))
    code, out, _ = command(monkeypatch, capsys, "rescore", "--mean", "all", "--void", "wrong", "--out", tmp_path,
                           "--json")  # fmt: skip
    assert code == 0
    row = json.loads(out)["rows"][-1]
    assert (row["protocol"], row["state"]) == ("native-all-void-wrong", "new")
    assert "fake:own>label:bilinear label:native void:wrong mean:all" in row["signature"]
    assert load_protocol("mean-all", SUITE).fit == "exact"
    code, out, _ = command(monkeypatch, capsys, "rescore", "--protocol", "mean-all", "--out", tmp_path, "--json")
    assert json.loads(out)["rows"][-1]["state"] == "new"


@pytest.mark.usefixtures("no_network")
def test_a_segmenter_of_the_user_s_own_stays_the_one_that_read_the_images(
    data: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Bright()
    mine.name = "mine"
    made = bench_of(SUITE, segmenter=mine, feature_nets={"toyscapes": Means()}, dataset=data)
    assert "seg:mine@" in made.signed.signature
    Store(tmp_path).save(*evaluate(made, PhotoSource(photos_id(made)), PHOTOS))
    code, out, _ = command(monkeypatch, capsys, "rescore", "--protocol", "all", "--out", tmp_path, "--json")
    assert code == 0
    new = {row["protocol"]: row for row in json.loads(out)["rows"] if row["state"] == "new"}
    assert set(new) == {"mean-present", "mean-all", "void-wrong"}
    assert all("seg:mine@" in row["signature"] for row in new.values())
    _, out, _ = command(monkeypatch, capsys, "rescore", "--protocol", "all", "--out", tmp_path)
    printed = [line.split()[:4] for line in out.splitlines()]
    assert len(printed) == len({tuple(words) for words in printed})
