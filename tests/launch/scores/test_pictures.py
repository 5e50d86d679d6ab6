"""Images and readings for pictures: they are those that were scored, and what is missing is said with its mend."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scored_stubs import CPU, Bright, Painted, bench_of, small_suite
from small import small_cell

from harness.cells import Cell
from harness.data.base import Classes
from harness.data.encode import resized_label
from harness.errors import UserError
from harness.evaluation.bench import Bench, Nets
from harness.evaluation.evaluate import Subject, evaluate
from harness.evaluation.one_pass import Settings
from harness.evaluation.places import Places
from harness.evaluation.sources import GeneratorSource
from harness.files import write_json
from harness.launch.cells.cell import load_generator
from harness.launch.cells.out_of_memory import NOTE, in_parts
from harness.launch.scores import pictures
from harness.metrics.confusion import Confusion
from harness.records import Store
from harness.stored_confusion import stored_confusion
from harness.training.checkpoints import Checkpoint, save_checkpoint
from harness.training.loop import suite_encoding
from harness.training.networks import build_generator

COMMAND = "spadebench run table1"
SUITE = small_suite((64, 64))


@cache
def checkpoint(cell_id: str = "", iteration: int = 6) -> Checkpoint:
    """That of a small cell whose generator was not trained."""
    cell, classes = small_cell(), bench().dataset.classes
    torch.manual_seed(0)
    encoding = suite_encoding(cell.config, classes)
    state = build_generator(cell.config, encoding.spec, encoding.size).state_dict()
    stored = {"names": list(classes.names), "void": classes.void, "palette": [list(c) for c in classes.palette]}
    made = {"processes": 1}
    return Checkpoint(cell.config, iteration, {"generator": state}, {}, 1.0, 0, "", stored, "", made)


@cache
def bench() -> Bench:
    return bench_of(SUITE, features=())


@cache
def scored() -> tuple[dict[str, Any], Confusion, GeneratorSource]:
    """A record of that generator by the real segmenter of toyscapes, in batches of eight, and what made it."""
    source = GeneratorSource(load_generator(checkpoint(), CPU, Places()), "c" * 12, CPU, 0)
    record, confusion = evaluate(bench(), source, Subject("spade", "SPADE", 0, "c" * 12), Settings(CPU, 8))
    return record.as_dict(), confusion, source


def place(cell: Cell, store: Store, iteration: int = 6) -> None:
    save_checkpoint(store.cell_folder(cell.id) / "checkpoints", checkpoint(iteration=iteration), keep=1)


def test_readings_have_the_very_confusion_of_the_record() -> None:
    _, confusion, source = scored()
    said: list[str] = []
    names = list(confusion.names)
    found = pictures.read_as_scored(bench(), source, confusion, names, said.append)
    assert list(found) == names
    for index, name in enumerate(names):
        np.testing.assert_array_equal(found[name].confusion, confusion.dense(index))
    assert said == []
    # And the images are those that a comparison draws.
    made = pictures.made(source, bench().dataset, bench().encoding, names[:2])
    for name, image in zip(names, made, strict=False):
        assert np.abs(image.astype(int) - found[name].image).max() <= 1


@pytest.mark.parametrize("changes", [{}, {"label": "image"}, {"image": "own", "label": "image"}, {"resize": "bicubic"}])
def test_readings_are_at_the_size_at_which_the_protocol_compares(changes: dict[str, str]) -> None:
    small = bench_of(small_suite((32, 32)), segmenter=Bright(), features=(), **changes)
    source = Painted((32, 32))
    _, confusion = evaluate(small, source, Subject("m", "M"), Settings(CPU, 4))
    names = list(confusion.names)[3:5]
    found = pictures.read_as_scored(small, source, confusion, names, pytest.fail)
    side = 32 if changes.get("label") == "image" else 64
    for name in names:
        assert found[name].label.shape == found[name].reading.shape == (side, side)
        np.testing.assert_array_equal(found[name].confusion, confusion.dense(confusion.names.index(name)))


def test_a_batch_that_rounds_otherwise_is_made_as_it_was_scored() -> None:
    class ByBatch(Painted):
        def images(self, batch: Any) -> list[Any]:
            return [image // len(batch.names) for image in super().images(batch)]

    small = bench_of(small_suite((64, 64)), segmenter=Bright(), features=())
    source = ByBatch((64, 64))
    _, confusion = evaluate(small, source, Subject("m", "M"), Settings(CPU, pictures.SCORE_BATCH))
    said: list[str] = []
    found = pictures.read_as_scored(small, source, confusion, ["val_00009", "val_00002"], said.append)
    for name, one in found.items():
        np.testing.assert_array_equal(one.confusion, confusion.dense(confusion.names.index(name)))
    assert said == []
    _, other = evaluate(small, source, Subject("m", "M"), Settings(CPU, 3))
    pictures.read_as_scored(small, source, other, ["val_00009"], said.append)
    assert len(said) == 1
    assert "val_00009" in said[0]
    assert "pixels are read differently" in said[0]


def test_the_bench_of_a_record_is_the_one_that_scored_it(monkeypatch: pytest.MonkeyPatch) -> None:
    record, _, _ = scored()
    monkeypatch.setattr("harness.evaluation.bench.open_data", lambda *_: bench().dataset)
    opened = pictures.record_bench(record, SUITE, Places(), CPU)
    assert opened.signed.segmentation == record["protocol"]["segmentation"]["signature"]
    other = Nets(Places(), CPU, _segmenters={"toyscapes": Bright(weights="ffff0000")})
    with pytest.raises(UserError, match=r"record c+-.*seg:toyscapes@.*here is.*toyscapes@ffff0000.*score it again"):
        pictures.record_bench(record, SUITE, Places(), CPU, nets=other)


def test_the_confusion_must_be_there_and_that_of_the_scores(tmp_path: Path) -> None:
    record, confusion, _ = scored()
    with pytest.raises(UserError, match=r"record .*: its per-image confusion is not there \(put .*npz back"):
        stored_confusion(record, tmp_path)
    confusion.save(tmp_path / record["confusion"])
    assert stored_confusion(record, tmp_path).names == confusion.names
    wrong = {**record, "scores": {**record["scores"], "miou": record["scores"]["miou"] + 0.001}}
    with pytest.raises(UserError, match="not that of the scores of record"):
        stored_confusion(wrong, tmp_path)


def test_a_cell_without_a_checkpoint_is_refused_with_the_command_that_trains_it(tmp_path: Path) -> None:
    cell = small_cell()
    with pytest.raises(UserError, match=rf"cell {cell.id} .* has no checkpoint \(train it: {COMMAND}\)"):
        pictures.trained_source(cell, Store(tmp_path), Places(), CPU, COMMAND)


def test_the_network_is_that_of_the_record_or_of_the_training_in_micro_batches(tmp_path: Path) -> None:
    cell, store = small_cell(), Store(tmp_path)
    parts = in_parts(cell, 2)
    place(parts, store, iteration=4)
    write_json(store.cell_folder(cell.id) / NOTE, {"micro_batches": 2, "cell": parts.id, "error": ""})
    source, said = pictures.trained_source(cell, store, Places(), CPU, COMMAND)
    assert source.id == parts.id
    assert said == [f"{cell.name}: training not finished, iteration 4"]
    record = {"id": "r", "cell": cell.id, "source": {"iteration": 6}}
    with pytest.raises(UserError, match=f"cell {cell.id}"):
        pictures.trained_source(cell, store, Places(), CPU, COMMAND, record)
    place(cell, store)
    assert pictures.trained_source(cell, store, Places(), CPU, COMMAND, record)[0].id == cell.id
    early = {**record, "source": {"iteration": 3}}
    with pytest.raises(UserError, match="record r: its record is of iteration 3, its last checkpoint of 6"):
        pictures.trained_source(cell, store, Places(), CPU, COMMAND, early)


def test_samples_are_named_or_counted_and_spread_over_the_split() -> None:
    dataset = bench().dataset
    assert pictures.chosen_names(dataset, "4") == [f"val_{i:05d}" for i in (0, 3, 6, 9)]
    assert pictures.chosen_names(dataset, "val_00007, val_00002") == ["val_00007", "val_00002"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("val_0007", "no sample 'val_0007' .did you mean val_0000"),
        ("val_00001,", "no sample ''"),
        ("0", "choose 1 to 12"),
        ("13", "13 samples of 12"),
    ],
)
def test_samples_that_are_not_there_are_refused(wanted: str, says: str) -> None:
    with pytest.raises(UserError, match=f"--samples: .*{says}|{says}"):
        pictures.chosen_names(bench().dataset, wanted)


def test_shown_samples_are_at_the_size_of_the_images() -> None:
    (one,) = pictures.shown(bench().dataset, (16, 32), ["val_00003"])
    assert one.photo is not None
    assert (one.label.shape, one.photo.shape) == ((16, 32), (16, 32, 3))
    np.testing.assert_array_equal(one.label, resized_label(bench().dataset.load(3).label, (16, 32)))


def test_classes_without_colours_cannot_be_painted() -> None:
    pictures.check_palette(bench().dataset.classes, "")
    with pytest.raises(UserError, match=r"0 colours for 2 classes.*add --generated-only"):
        pictures.check_palette(Classes(("a", "b"), None, ()), "add --generated-only")
