"""The records that travel with the project: whole, consistent, and what the README says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.cells import load_suite, resolve
from harness.evaluation.bench import open_bench
from harness.evaluation.evaluate import Subject, evaluate
from harness.evaluation.places import Places
from harness.evaluation.sources import GeneratorSource
from harness.metrics.confusion import Confusion, scores
from harness.records import read_record
from harness.training.networks import build_networks

MEASURED = Path(__file__).resolve().parents[1] / "results" / "measured"
RECORDS = sorted(MEASURED.glob("*/records/*.json"))
SHARE_OF_CEILING = 0.6


def records_of(suite: str) -> list[Path]:
    """Those of the suite's own length of training."""
    return [path for path in RECORDS if path.parts[-3] == suite]


def miou(suite: str, method: str) -> float:
    found = [r for r in map(read_record, records_of(suite)) if (r["suite"], r["method"]) == (suite, method)]
    assert len(found) == 1
    return float(found[0]["scores"]["miou"])


def test_both_suites_have_records_of_trained_methods_and_of_the_photos() -> None:
    methods: dict[str, set[str]] = {}
    for path in RECORDS:
        record = read_record(path)
        methods.setdefault(record["suite"], set()).add(record["method"])
    assert {"spade", "pix2pixhdpp", "pix2pixhd", "photos"} <= methods["toyscapes"]
    assert {"spade", "pix2pixhdpp", "photos"} <= methods["camvid"]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_measured_record_follows_from_its_confusion(path: Path) -> None:
    record = read_record(path)
    confusion = Confusion.load(path.parent / record["confusion"])
    found = scores(confusion.total(), record["protocol"]["fields"]["class_mean"])
    assert found["miou"] == record["scores"]["miou"]
    assert found["accuracy"] == record["scores"]["accuracy"]
    assert found["accuracy_void_wrong"] == record["scores"]["accuracy_void_wrong"]
    assert found["iou"] == list(record["scores"]["iou"].values())
    assert record["id"] == path.stem
    json.dumps(record, allow_nan=False)


def test_a_trained_spade_reached_its_share_of_the_ceiling_on_toyscapes() -> None:
    assert miou("toyscapes", "spade") >= SHARE_OF_CEILING * miou("toyscapes", "photos")


def test_an_untrained_spade_does_not_reach_that_share() -> None:
    suite = load_suite("toyscapes")
    bench = open_bench(suite, Places(), torch.device("cpu"), features=[])
    generator = build_networks(resolve("spade", suite).config, bench.encoding.spec).generator
    source = GeneratorSource(generator, "untrained", bench.device)
    record, _ = evaluate(bench, source, Subject("spade", "untrained"))
    assert record.scores["miou"] < SHARE_OF_CEILING * miou("toyscapes", "photos") / 2
