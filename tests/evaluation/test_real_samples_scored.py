"""The real COCO-Stuff and ADE20K samples through the whole evaluation, with networks of the real sizes.

The weight files are not at hand, so the networks are drawn at random: what is shown is that every loader,
encoder and way of reading runs, that the record says what it is, and that no table takes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.grid import load_grid
from harness.cells import load_suite
from harness.data.subset import Subset
from harness.errors import UserError
from harness.evaluation.bench import photos_id
from harness.evaluation.evaluate import Subject, evaluate_all
from harness.evaluation.one_pass import Settings
from harness.evaluation.places import Places
from harness.evaluation.sources import PhotoSource
from harness.launch.scores.scoring import Ask, open_benches, scored_data
from reports.build import build_table

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("suite", "folder", "classes", "channels"),
    [("coco_stuff", "coco_stuff_sample", 182, 184), ("ade20k", "ade20k_sample", 150, 151)],
)
def test_real_photos_are_loaded_encoded_read_and_described_at_full_size(
    suite: str, folder: str, classes: int, channels: int, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    places = Places(data=shared / "data" / folder, weights=tmp_path, cache=tmp_path / "cache")
    ask = Ask(load_suite(suite), protocols=("native", "output-size", "fid-clean"), random_weights=True)
    whole = scored_data(ask, places)
    samples = [whole.load(index) for index in range(len(whole))]
    assert all(sample.photo is not None and sample.photo.shape[:2] == sample.label.shape for sample in samples)
    part = Subset(whole, whole.names[:2])
    opened = open_benches(ask, part, places, CPU, lambda line: None)
    assert [bench.protocol.name for bench in opened.benches] == ["native", "output-size", "fid-clean"]
    assert opened.benches[0].encoding.spec.channels == channels
    made = evaluate_all(
        opened.benches, PhotoSource(photos_id(opened.benches[0])), Subject("photos", "real photos"), Settings(CPU, 2)
    )
    for record, confusion in made:
        assert len(confusion.classes) == classes
        assert "@random" in record.protocol["signature"]
        assert any("random weights" in note for note in record.notes)
        assert np.isfinite(record.scores["miou"])
    native, output_size, clean = (confusion for _, confusion in made)
    assert native.total().sum() == sum(sample.label.size for sample in samples[:2])
    assert output_size.total().sum() == 2 * 256 * 256
    assert clean.total().tolist() == native.total().tolist()
    # Unbiased, a set's kernel distance from itself is not 0 but a little below.
    assert made[2][0].scores["kd_inception_clean"] < 0.1
    with pytest.raises(UserError, match="random weights"):
        build_table(load_grid("table1"), suite, [made[0][0].as_dict()])
