"""From image source to record, on rendered photos and small nets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from images import folder_layout

from harness.cells import load_suite
from harness.data.loading import ScoreBatch
from harness.data.toyscapes import Toyscapes
from harness.errors import UserError
from harness.evaluation.bench import Bench, check_disjoint, open_bench, open_data, photos_id
from harness.evaluation.evaluate import Subject, evaluate
from harness.evaluation.one_pass import Settings
from harness.evaluation.places import Places
from harness.evaluation.sources import PhotoSource
from harness.metrics.confusion import Confusion, scores
from harness.records import Store
from harness.registry import DATASETS, lookup
from harness.suites.base import Suite

CPU = torch.device("cpu")


def small_suite(**changes: object) -> Suite:
    suite = load_suite("toyscapes")
    return replace(suite, threads=1, data_options={**suite.data_options, "count": 12}, **changes)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return open_bench(small_suite(), Places(), CPU)


class Spoilt:
    """The photos with noise: images that are neither perfect nor constant."""

    kind, id = "photos", "spoilt"

    def images(self, batch: ScoreBatch) -> list[np.ndarray]:
        assert batch.photos is not None
        rngs = [np.random.default_rng(int(name[-5:])) for name in batch.names]
        return [
            np.clip(photo + rng.normal(0, 25, photo.shape), 0, 255).astype(np.uint8)
            for photo, rng in zip(batch.photos, rngs, strict=True)
        ]

    def describe(self) -> dict[str, str]:
        return {"kind": self.kind}


SUBJECT = Subject(method="images", title="spoilt")


def test_the_photos_against_themselves_have_distance_zero(bench: Bench) -> None:
    record, _ = evaluate(bench, PhotoSource(photos_id(bench)), Subject("photos", "real photos"))
    assert record.scores["fd_toyscapes"] == pytest.approx(0.0, abs=1e-6)
    assert record.scores["miou"] > 0.8
    assert "fid" not in record.scores


@pytest.mark.parametrize("workers", [0, 2])
def test_scores_are_bit_equal_at_one_batch_size_whatever_the_workers(bench: Bench, workers: int) -> None:
    first, _ = evaluate(bench, Spoilt(), SUBJECT, Settings(CPU, 4))
    again, _ = evaluate(bench, Spoilt(), SUBJECT, Settings(CPU, 4, workers))
    assert first.scores == again.scores


@pytest.mark.parametrize("batch", [1, 5, 12])
def test_scores_agree_across_batch_sizes(bench: Bench, batch: int) -> None:
    first, _ = evaluate(bench, Spoilt(), SUBJECT, Settings(CPU, 4))
    other, _ = evaluate(bench, Spoilt(), SUBJECT, Settings(CPU, batch))
    for key in ("miou", "accuracy", "fd_toyscapes"):
        assert other.scores[key] == pytest.approx(first.scores[key], rel=1e-5)


def test_all_scores_come_out_of_the_stored_confusion_again(bench: Bench, tmp_path: Path) -> None:
    record, confusion = evaluate(bench, Spoilt(), SUBJECT)
    Store(tmp_path).save(record, confusion)
    stored = Confusion.load(tmp_path / "records" / record.confusion)
    found = scores(stored.total())
    assert found["miou"] == record.scores["miou"]
    assert found["accuracy"] == record.scores["accuracy"]
    assert list(stored.names) == list(bench.dataset.names)
    assert stored.total().sum() == 12 * 64 * 64


def test_noise_lowers_the_scores_and_raises_the_distance(bench: Bench) -> None:
    clean, _ = evaluate(bench, PhotoSource("p"), SUBJECT)
    noisy, _ = evaluate(bench, Spoilt(), SUBJECT)
    assert noisy.scores["miou"] < clean.scores["miou"]
    assert noisy.scores["fd_toyscapes"] > 0.01


def test_a_record_carries_protocol_cost_and_provenance(bench: Bench) -> None:
    record, _ = evaluate(bench, Spoilt(), SUBJECT)
    assert record.id == f"spoilt-{record.protocol['hash']}"
    assert record.protocol["signature"] == bench.signed.signature
    assert record.provenance["data"]["scored"] == bench.dataset.fingerprint()
    assert record.provenance["versions"]["torch"] == torch.__version__
    assert record.cost["seconds_scoring"] > 0
    assert record.cost["peak_memory_bytes"] > 1 << 20


@pytest.mark.parametrize(
    ("perceptual", "flags"),
    [
        ("", 0),
        ("vgg19@dcbb9e9d", 0),
        ("toyscapes@00000000", 2),
        ("renamed@{weights}", 2),
    ],
)
def test_a_net_that_was_a_loss_and_scores_is_flagged_by_name_or_weights(
    bench: Bench, perceptual: str, flags: int
) -> None:
    perceptual = perceptual.format(weights=bench.segmenter.weights)
    record, _ = evaluate(bench, Spoilt(), replace(SUBJECT, perceptual=perceptual))
    assert len([note for note in record.notes if "was a loss of the training" in note]) == flags, record.notes


def test_a_feature_net_that_is_not_at_hand_is_said_and_leaves_the_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    suite = small_suite()
    protocol = replace(suite.protocol, features=("toyscapes", "inception"))
    said: list[str] = []
    bench = open_bench(suite, Places(weights=tmp_path), CPU, protocol=protocol, say=said.append)
    assert [net.name for net in bench.nets] == ["toyscapes"]
    assert len(said) == len(bench.missing) == 1
    assert "inception" not in bench.signed.signature
    with pytest.raises(UserError, match="pt_inception"):
        open_bench(suite, Places(weights=tmp_path), CPU, features=["inception"])


def test_reference_statistics_come_out_of_the_cache_unchanged(tmp_path: Path) -> None:
    places = Places(cache=tmp_path)
    first = open_bench(small_suite(), places, CPU).reference()["toyscapes"]
    assert len(list(tmp_path.iterdir())) == 1
    again = open_bench(small_suite(), places, CPU).reference()["toyscapes"]
    np.testing.assert_array_equal(first.moments.mean, again.moments.mean)


def test_a_segmenter_of_other_classes_is_refused(bench: Bench, tmp_path: Path) -> None:
    folder_layout(tmp_path, {"val": 2}, classes=4)
    other = replace(bench, dataset=lookup(DATASETS, "folder")(tmp_path, "val"))
    with pytest.raises(UserError, match="9 classes, the data set has 4"):
        evaluate(other, Spoilt(), SUBJECT)


def test_overlapping_splits_are_refused_by_content_whatever_the_names(tmp_path: Path) -> None:
    folder_layout(tmp_path, {"train": 3, "val": 2})
    train, val = (lookup(DATASETS, "folder")(tmp_path, split) for split in ("train", "val"))
    check_disjoint(train, val)
    for kind in ("labels", "photos"):
        source = sorted((tmp_path / kind / "train").iterdir())[0]
        (tmp_path / kind / "val" / f"another{source.suffix}").write_bytes(source.read_bytes())
    with pytest.raises(UserError, match=r"1 samples .*'another'"):
        check_disjoint(train, lookup(DATASETS, "folder")(tmp_path, "val"))


def test_toyscapes_splits_do_not_overlap() -> None:
    check_disjoint(Toyscapes(None, "train", count=30), Toyscapes(None, "val", count=30))


def test_a_suite_without_a_segmenter_trains_but_does_not_score() -> None:
    suite = small_suite()
    bare = replace(suite, protocol=replace(suite.protocol, segmenter=None))
    assert len(open_data(bare, "val", Places())) == 12
    with pytest.raises(UserError, match="no segmenter"):
        open_bench(bare, Places(), CPU)


def test_tf32_is_off_while_scoring_and_as_before_afterwards(bench: Bench) -> None:
    class Watching(Spoilt):
        seen: list[bool]

        def images(self, batch: ScoreBatch) -> list[np.ndarray]:
            self.seen = [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]
            return super().images(batch)

    source = Watching()
    before = torch.backends.cudnn.allow_tf32
    assert before
    evaluate(bench, source, SUBJECT)
    assert source.seen == [False, False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_naming_a_feature_net_twice_changes_nothing(bench: Bench) -> None:
    twice = open_bench(small_suite(), Places(), CPU, features=["toyscapes", "toyscapes"])
    assert twice.signed == bench.signed
