"""The spread of Fréchet distances over random halves: by hand, whatever the order and the processes, and on request."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scored_stubs import CPU, Bright, Means, Painted, bench_of, command, same_confusion, small_suite, timeless

import harness
from ablations.grid import load_grid
from harness.commands.scores import print_record, print_records
from harness.data.toyscapes import Toyscapes
from harness.errors import UserError
from harness.evaluation.bench import Bench, Nets, photos_id
from harness.evaluation.evaluate import Subject, evaluate, evaluate_all
from harness.evaluation.one_pass import Settings
from harness.evaluation.places import Places
from harness.evaluation.shards import Team
from harness.evaluation.sources import PhotoSource
from harness.evaluation.spread import Halves, by_name
from harness.launch.scores.rescoring import rescored
from harness.metrics.frechet import FeatureStats, half_distances
from harness.records import Record, Store, read_record, spread_text
from reports.build import build_table

SUBJECT = Subject(method="images", title="painted")
FOUR = Settings(CPU, 4)
TWENTY = Halves(20)


def bench(count: int = 12, **changes: Any) -> Bench:
    return bench_of(small_suite(count=count), segmenter=Bright(), feature_nets={"toyscapes": Means()}, **changes)


def features(of: Bench) -> FeatureStats:
    """The features of the painted images, taken by hand."""
    stats, net, source = FeatureStats(4, keep=True), Means(), Painted()
    for index, name in enumerate(of.dataset.names):
        label = of.dataset.load(index).label
        [image] = source.images(type("Batch", (), {"names": [name], "native": [label]})())
        stats.update(net.extract(torch.from_numpy(image.transpose(2, 0, 1)).float()[None]).numpy())
    return stats


def spread_of(record: Record) -> dict[str, Any]:
    assert record.spread is not None
    return record.spread["fd_toyscapes"]


def test_the_spread_is_that_of_half_distances_called_by_hand() -> None:
    told: list[tuple[int, int]] = []
    made = bench()
    record, _ = evaluate(made, Painted(), SUBJECT, FOUR, Halves(20, lambda *now: told.append(now)))
    wanted = half_distances(features(made), made.reference()["toyscapes"], np.random.default_rng(0), 20)
    found = spread_of(record)
    assert (found["halves"], found["images"]) == (20, 6)
    assert found["mean"] == pytest.approx(wanted.mean(), rel=1e-6)
    assert found["std"] == pytest.approx(wanted.std(ddof=1), rel=1e-6)
    assert found["std"] > 0
    assert told == [(done, 20) for done in range(1, 21)]
    again, _ = evaluate(bench(), Painted(), SUBJECT, FOUR, TWENTY)
    assert again.spread == record.spread


def test_the_record_is_the_same_in_all_else_and_has_no_such_key_unasked(tmp_path: Path) -> None:
    net = Means()
    plain, confusion = evaluate(bench_of(feature_nets={"toyscapes": net}), Painted(), SUBJECT, FOUR)
    asked_net = Means()
    asked, counted = evaluate(bench_of(feature_nets={"toyscapes": asked_net}), Painted(), SUBJECT, FOUR, TWENTY)
    assert "spread" not in plain.as_dict()
    assert same_confusion(confusion, counted)
    whole = timeless(asked)
    assert whole.pop("spread") == asked.spread
    assert whole == timeless(plain)
    assert net.seen == asked_net.seen  # no image is described for it once more
    store = Store(tmp_path)
    for record in (plain, asked):
        assert read_record(store.save(record, confusion)).get("spread") == record.spread


def test_a_reference_of_moments_alone_is_enough(tmp_path: Path) -> None:
    places, nets = Places(cache=tmp_path), {"toyscapes": Means()}
    evaluate(bench_of(places=places, feature_nets=nets), Painted(), SUBJECT, FOUR)
    seen = nets["toyscapes"].seen
    record, _ = evaluate(bench_of(places=places, feature_nets=nets), Painted(), SUBJECT, FOUR, TWENTY)
    assert nets["toyscapes"].seen == seen + 12
    assert record.spread == evaluate(bench_of(feature_nets=nets), Painted(), SUBJECT, FOUR, TWENTY)[0].spread


class Backwards(Toyscapes):
    """The scored split with its last sample first."""

    def __init__(self) -> None:
        super().__init__(None, "val", count=12)
        self.names = self.names[::-1]

    def load(self, index: int) -> Any:
        return super().load(len(self.names) - 1 - index)


def test_the_order_of_the_images_has_no_say() -> None:
    one, _ = evaluate(bench(), Painted(), SUBJECT, FOUR, TWENTY)
    backwards = bench(dataset=Backwards())
    assert backwards.dataset.names[0] == "val_00011"
    other, _ = evaluate(backwards, Painted(), SUBJECT, FOUR, TWENTY)
    for key in ("mean", "std"):
        assert spread_of(other)[key] == pytest.approx(spread_of(one)[key], rel=1e-9)
    stats = FeatureStats(2, keep=True)
    stats.update(np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], np.float32))
    ordered = by_name(stats, ["b", "c", "a"]).kept
    assert ordered is not None
    assert ordered[:, 0].tolist() == [3, 1, 2]
    assert by_name(stats, ["a", "b", "c"]) is stats


@dataclass(frozen=True)
class Thread(Team):
    """One of two processes, as threads."""

    shared: list[Any] = field(default_factory=list)
    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))

    def gathered(self, own: Any) -> list[Any]:
        self.shared[self.rank] = own
        self.barrier.wait(60)
        found = list(self.shared)
        self.barrier.wait(60)
        return found


@pytest.mark.parametrize("batch", [4, 8, 100])
def test_two_processes_find_the_spread_of_one(batch: int) -> None:
    settings = Settings(CPU, batch)
    one, _ = evaluate(bench(13), Painted(), SUBJECT, settings, TWENTY)
    shared, barrier, found = [None, None], threading.Barrier(2), {}

    def process(rank: int) -> None:
        made = evaluate_all([bench(13)], Painted(), SUBJECT, settings, Thread(rank, 2, shared, barrier), TWENTY)
        found[rank] = made[0][0]

    threads = [threading.Thread(target=process, args=(rank,)) for rank in (0, 1)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert spread_of(found[0]) == spread_of(found[1])
    for key in ("halves", "images", "mean", "std"):
        assert spread_of(found[0])[key] == pytest.approx(spread_of(one)[key], rel=1e-6)


def test_protocols_that_share_net_and_reference_share_the_work_and_others_have_their_own() -> None:
    suite, told = small_suite(), []
    nets = Nets(Places(), CPU, _segmenters={"toyscapes": Bright()}, _features={"toyscapes": Means()})
    changes: list[dict[str, Any]] = [{}, {"void": "wrong"}, {"reference": "train"}, {"features": ()}]
    benches = [bench_of(suite, nets=nets, **{"name": str(i), **one}) for i, one in enumerate(changes)]
    made = evaluate_all(benches, Painted(), SUBJECT, FOUR, halves=Halves(5, lambda *now: told.append(now)))
    own, void, train, none = (record for record, _ in made)
    assert own.spread == void.spread
    assert spread_of(own)["mean"] != spread_of(train)["mean"]
    assert none.spread is None
    assert told == [(done, 10) for done in range(1, 11)]


@pytest.mark.parametrize("count", [1, 0, -3])
def test_too_few_halves_are_refused_before_anything_is_scored(count: int) -> None:
    source = Painted()
    with pytest.raises(UserError, match=f"^--halves: {count} random halves have no spread .give 2 or more"):
        evaluate(bench(), source, SUBJECT, FOUR, Halves(count))
    assert source.asked == []


def test_too_few_images_and_no_distance_are_refused_before_anything_is_scored() -> None:
    source = Painted()
    with pytest.raises(UserError, match=r"^--halves: 3 images cannot be halved at random"):
        evaluate(bench(3), source, SUBJECT, FOUR, TWENTY)
    with pytest.raises(UserError, match=r"^--halves: no Fréchet distance is taken"):
        evaluate(bench(features=()), source, SUBJECT, FOUR, TWENTY)
    assert source.asked == []
    record, _ = evaluate(bench(4), source, SUBJECT, FOUR, Halves(2))
    assert (spread_of(record)["halves"], spread_of(record)["images"]) == (2, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--photos", "--halves", 1), "'--halves'"),
        (("--photos", "--halves", -1), "'--halves'"),
        (("--photos", "--halves", 20, "--features", "none"), "no Fréchet distance is taken"),
        (("--photos", "--halves", 20, "--features", "none", "--dry-run"), "no Fréchet distance is taken"),
    ],
)
def test_the_command_refuses_in_one_line(
    words: tuple[Any, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = command(
        monkeypatch, capsys, "evaluate", "--suite", "toyscapes", *words, "--out", tmp_path / "runs"
    )
    assert (code, out) == (2, "")
    [line] = [line for line in err.splitlines() if line.startswith("spadebench: error:")]
    assert said in line
    assert not list(tmp_path.glob("runs/records/*"))


def test_a_partial_set_of_too_few_images_is_refused_and_python_takes_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cells.load_suite", lambda name: small_suite(size=(64, 64)))
    photos = [Toyscapes(None, "val", count=12).load(index).photo for index in range(5)]
    named = {f"val_{index:05d}": photo[:, ::-1].copy() for index, photo in enumerate(photos) if photo is not None}
    few = dict(list(named.items())[:3])
    with pytest.raises(UserError, match="3 images cannot be halved"):
        harness.evaluate(few, "toyscapes", allow_partial=True, halves=20, device="cpu", out=tmp_path)
    assert not list(tmp_path.glob("records/*"))
    record = harness.evaluate(named, "toyscapes", allow_partial=True, halves=3, device="cpu", out=tmp_path)
    assert record["spread"]["fd_toyscapes"]["images"] == 2
    assert read_record(tmp_path / "records" / f"{record['id']}.json")["spread"] == record["spread"]


def test_rescoring_keeps_the_spread_and_needs_none(tmp_path: Path) -> None:
    made, store = bench(), Store(tmp_path)
    target = replace(made.protocol, name="mean-all", class_mean="all")
    for halves in (TWENTY, None):
        record, confusion = evaluate(made, PhotoSource(photos_id(made)), SUBJECT, FOUR, halves)
        store.save(record, confusion)
        again, _ = rescored(record.as_dict(), target, store.records_folder, "")
        assert again.spread == record.spread
        assert ("spread" in again.as_dict()) == (halves is not None)


@pytest.mark.parametrize(
    "spread",
    [
        [],
        {"fid": 0.4},
        {"fid": {"halves": 20, "images": 100, "mean": 60.0}},
        {"fid": {"halves": 20, "images": 100, "mean": 60.0, "std": float("nan")}},
        {"fid": {"halves": True, "images": 100, "mean": 60.0, "std": 0.4}},
        {"fid": {"halves": 20, "images": 100, "mean": 60.0, "std": "0.4"}},
    ],
)
def test_a_record_with_a_broken_spread_is_refused(spread: Any, tmp_path: Path) -> None:
    path = Store(tmp_path).save(*evaluate(bench(), Painted(), SUBJECT, FOUR))
    path.write_text(json.dumps({**json.loads(path.read_text()), "spread": spread}))
    with pytest.raises(UserError, match="'spread' of this record is broken"):
        read_record(path)


def test_the_printed_record_says_what_the_spread_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"halves": 20, "images": 6, "mean": 63.0, "std": 0.4012}
    record = {**evaluate(bench(), Painted(), SUBJECT, FOUR)[0].as_dict(), "spread": {"fd_toyscapes": entry}}
    wanted = "spread: fd_toyscapes ± 0.4 over 20 random halves of 6 images (no interval)"
    print_record(record, tmp_path)
    assert wanted in capsys.readouterr().out.splitlines()
    other = {**record, "protocol": {**record["protocol"], "name": "other"}}
    print_records([record, other], {}, [])
    assert capsys.readouterr().out.splitlines().count(wanted) == 1
    print_records([record, {**other, "spread": {"fd_toyscapes": {**entry, "std": 0.5}}}], {}, [])
    shown = capsys.readouterr().out
    assert f"{wanted} (native)" in shown
    assert "± 0.5 over 20 random halves of 6 images (no interval) (other)" in shown


def test_people_and_tables_are_told_that_it_is_no_interval() -> None:
    entry = {"halves": 20, "images": 100, "mean": 63.0, "std": 0.4012}
    assert spread_text(entry) == "± 0.4 over 20 random halves of 100 images (no interval)"
    assert spread_text({**entry, "std": 123.4}).startswith("± 120 over")
    record, _ = evaluate(bench(), PhotoSource("photos"), Subject("photos", "real photos"), FOUR)
    plain = record.as_dict()
    plain["notes"] = []
    table1 = replace(load_grid("table1"), methods=())
    told = {"spread": {"fd_toyscapes": entry}}
    for asked, wanted in (({}, []), (told, ["spread 0.4 over 20 random halves of the images"])):
        [row] = build_table(table1, "toyscapes", [{**plain, **asked}]).rows
        notes = [note for cell in row.cells if cell.column == "fd_toyscapes" for note in cell.notes]
        assert [note.partition(" (subsampling; no confidence interval)")[0] for note in notes] == wanted
        assert all(not cell.notes for cell in row.cells if cell.column != "fd_toyscapes")
