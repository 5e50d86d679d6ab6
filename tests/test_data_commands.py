"""The commands that make parts of data sets: instance-maps, outdoor-list, make-labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import photo_array, save
from typer.testing import CliRunner

from harness.cli import app
from harness.data.ade20k import CLASSES
from harness.data.ade20k_outdoor import Ade20kOutdoor
from harness.data.base import read_indices
from harness.data.coco_stuff import CocoStuff
from harness.data.folder import Folder
from harness.errors import UserError

SQUARE = [3.0, 3.0, 6.0, 3.0, 6.0, 6.0, 3.0, 6.0]


def command(*words: Any) -> dict[str, Any]:
    """What a command prints with --json."""
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--json")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("name", ["instance-maps", "outdoor-list", "make-labels"])
def test_help_has_an_example(name: str):
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert f"spadebench {name}" in done.stdout


def coco(root: Path) -> Path:
    """Two photos of val with pixel maps, and COCO's annotations beside them."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        save(root / "stuffthingmaps_trainval2017" / "val2017" / f"{name}.png", np.full((8, 8), 104, np.uint8))
        save(root / "val2017" / f"{name}.jpg", photo_array(rng, (8, 8)))
    tree = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"id": 9, "image_id": 1, "segmentation": [SQUARE], "iscrowd": 0}],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(tree))
    return root


def test_instance_maps_finds_the_official_folders_and_the_data_set_then_opens(tmp_path: Path):
    root = coco(tmp_path / "coco_stuff")
    with pytest.raises(UserError, match="spadebench instance-maps"):
        CocoStuff(root, "val")
    planned = command("instance-maps", "--split", "val", "--data-root", tmp_path, "--dry-run")
    assert planned["annotations"] == str(root / "annotations" / "instances_val2017.json")
    assert not (root / "instancemaps_trainval2017").exists()
    made = command("instance-maps", "--split", "val", "--data-root", tmp_path)
    out = root / "instancemaps_trainval2017" / "val2017"
    assert made == {"to": str(out), "written": 2, "kept": 0}
    sample = CocoStuff(root, "val").load(0)
    assert sample.instance is not None
    assert np.unique(sample.instance).tolist() == [0, 104]
    assert command("instance-maps", "--split", "val", "--data-root", root)["kept"] == 2
    assert command("instance-maps", "--split", "val", "--data-root", root, "--overwrite")["written"] == 2


def test_instance_maps_takes_any_three_folders(tmp_path: Path):
    root = coco(tmp_path)
    labels = root / "stuffthingmaps_trainval2017" / "val2017"
    file = root / "annotations" / "instances_val2017.json"
    words = ("--labels", labels, "--annotations", file, "--to", tmp_path / "maps")
    assert command("instance-maps", *words)["written"] == 2
    assert read_indices(tmp_path / "maps" / "a.png", "instance")[3, 3] == 0
    with pytest.raises(UserError, match="give --split, or all of --labels, --annotations and --to"):
        command("instance-maps", "--labels", labels)
    with pytest.raises(UserError, match=r"no split 'vall' .*did you mean val"):
        command("instance-maps", "--split", "vall", "--data-root", root)


def ade(root: Path) -> Path:
    """A split val of a street and a room, a split train of a street."""
    for folder, beginning, shows in (("validation", "ADE_val_", ("sky", "bed")), ("training", "ADE_train_", ("sky",))):
        for number, name in enumerate(shows, start=1):
            value = np.uint8(CLASSES.names.index(name) + 1)
            save(root / "annotations" / folder / f"{beginning}{number:08d}.png", np.full((8, 8), value, np.uint8))
            save(root / "images" / folder / f"{beginning}{number:08d}.jpg", np.zeros((8, 8, 3), np.uint8))
    return root


def test_outdoor_list_writes_the_lists_that_the_data_set_reads(tmp_path: Path):
    root = ade(tmp_path / "ade20k")
    planned = command("outdoor-list", "--data-root", tmp_path, "--dry-run")
    assert planned["val"] == {"file": str(root / "outdoor_val.txt")}
    assert not (root / "outdoor_val.txt").exists()
    made = command("outdoor-list", "--data-root", tmp_path)
    assert {split: (part["kept"], part["of"]) for split, part in made.items()} == {"train": (1, 1), "val": (1, 2)}
    assert Ade20kOutdoor(root, "val").names == ("ADE_val_00000001",)
    # Again: the same lists, nothing to replace.
    assert command("outdoor-list", "--data-root", tmp_path) == made


def test_outdoor_list_replaces_no_other_list_unasked(tmp_path: Path):
    root = ade(tmp_path)
    mine = root / "outdoor_val.txt"
    mine.write_text("ADE_val_00000002\n")
    with pytest.raises(UserError, match=r"outdoor_val\.txt: another list is here already \(--overwrite"):
        command("outdoor-list", "--split", "val", "--data-root", root)
    assert mine.read_text() == "ADE_val_00000002\n"
    to = tmp_path / "lists" / "{split}.txt"
    assert command("outdoor-list", "--to", to, "--data-root", root)["train"]["file"].endswith("lists/train.txt")
    command("outdoor-list", "--split", "val", "--data-root", root, "--overwrite")
    assert Ade20kOutdoor(root, "val").names == ("ADE_val_00000001",)
    with pytest.raises(UserError, match="one file cannot hold two splits"):
        command("outdoor-list", "--to", tmp_path / "one.txt", "--data-root", root)
    with pytest.raises(UserError, match="ade20k has no split 'validation'"):
        command("outdoor-list", "--split", "validation", "--data-root", root)


def test_make_labels_makes_a_data_set_of_photos(tmp_path: Path):
    rng = np.random.default_rng(0)
    for index in range(2):
        save(tmp_path / "photos" / f"{index}.jpg", photo_array(rng, (16, 24)))
    words = ("make-labels", "--photos", tmp_path / "photos", "--segmenter", "toyscapes", "--to", tmp_path / "set")
    planned = command(*words, "--dry-run")
    assert (planned["photos"], planned["classes"], (tmp_path / "set").exists()) == (2, 9, False)
    made = command(*words, "--split", "val", "--device", "cpu")
    assert (made["written"], made["kept"]) == (2, 0)
    data = Folder(tmp_path / "set", "val")
    assert (len(data), data.labels_by) == (2, made["labels_by"])
    assert data.load(0).label.shape == (16, 24)
    assert command(*words, "--split", "val", "--device", "cpu")["kept"] == 2
    with pytest.raises(UserError, match="segmenter toyscapes has 9 classes, 150 are named"):
        command(*words, "--classes", "ade20k", "--device", "cpu")
