"""ADE20K-outdoor: the rule over label maps, the list file, and the data set that reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import photo_array, save

from harness.cells import load_suite
from harness.data import outdoor as outdoor_module
from harness.data.ade20k import CLASSES, SPLITS, Ade20k
from harness.data.ade20k_outdoor import Ade20kOutdoor
from harness.data.base import DataSet
from harness.data.outdoor import build_list, names_digest, outdoor_rule
from harness.data.roots import data_root
from harness.errors import UserError
from harness.registry import DATASETS, lookup

OUTSIDE = {"sky": 0.5, "tree": 0.2, "building": 0.3}
# A bedroom whose window is labelled as what is seen through it.
ROOM = {"sky": 0.15, "wall": 0.6, "bed": 0.2, "ceiling": 0.05}
# A front of a house: no sky, some pavement, curtains in its windows.
FRONT = {"building": 0.8, "sidewalk": 0.15, "curtain": 0.05}
HALL = {"wall": 0.7, "floor": 0.3}


def label_of(shares: dict[str, float], unknown: float = 0.0) -> np.ndarray:
    """(20, 50) class indices with these shares among the labelled pixels."""
    pixels = [255] * round(1000 * unknown)
    for name, share in shares.items():
        pixels += [CLASSES.names.index(name)] * round((1000 - round(1000 * unknown)) * share)
    return np.array(pixels, np.uint8).reshape(20, 50)


def layout(root: Path) -> Path:
    """Four samples a split: outside, a room, a front of a house, a hall."""
    rng = np.random.default_rng(0)
    for folder, beginning in SPLITS.values():
        for number, shares in enumerate((OUTSIDE, ROOM, FRONT, HALL), start=1):
            name = f"{beginning}{number:08d}"
            save(root / "annotations" / folder / f"{name}.png", label_of(shares) + np.uint8(1))
            save(root / "images" / folder / f"{name}.jpg", photo_array(rng, (20, 50)))
    return root


def listed(root: Path, split: str = "val") -> Path:
    path = root / f"outdoor_{split}.txt"
    path.write_text(build_list(root, split).text(), encoding="utf-8")
    return path


def test_the_rules_classes_are_ade20ks_and_no_class_is_on_both_sides():
    rule = outdoor_rule()
    assert set(rule.open) | set(rule.indoor) <= set(CLASSES.names)
    assert not set(rule.open) & set(rule.indoor)
    assert {"sky", "mountain", "earth"} <= set(rule.open)
    assert {"bed", "ceiling", "sofa"} <= set(rule.indoor)
    table = json.loads((Path(outdoor_module.__file__).parent / "classes" / "ade20k_outdoor.json").read_text("utf-8"))
    assert all(table[side]["why"] for side in ("open", "indoor"))
    assert rule.id == "1@" + rule.id[2:]


@pytest.mark.parametrize(("shares", "kept"), [(OUTSIDE, True), (ROOM, False), (FRONT, True), (HALL, False)])
def test_the_rule_keeps_what_lies_open_and_has_no_furniture(shares: dict[str, float], kept: bool):
    rule = outdoor_rule()
    assert rule.keeps(label_of(shares)) is kept
    assert rule.keeps(label_of(shares, unknown=0.5)) is kept  # shares are of the labelled pixels


def test_a_hundredth_of_a_room_is_let_through_and_an_unlabelled_map_is_not():
    rule = outdoor_rule()
    assert rule.keeps(label_of({"sky": 0.99, "ceiling": 0.01}))
    assert not rule.keeps(label_of({"sky": 0.98, "ceiling": 0.02}))
    assert not rule.keeps(np.full((4, 4), 255, np.uint8))


@given(st.integers(0, 2**32 - 1))
def test_the_choice_depends_on_shares_alone(seed: int):
    rng, rule = np.random.default_rng(seed), outdoor_rule()
    label = rng.choice(np.array([0, 2, 5, 255], np.uint8), size=(8, 8), p=[0.6, 0.3, 0.02, 0.08])
    assert rule.keeps(label) == rule.keeps(rng.permutation(label.ravel()).reshape(4, 16))
    assert 0 <= min(rule.shares(label)) <= sum(rule.shares(label)) <= 1


def test_a_list_says_rule_counts_and_hashes_and_is_the_same_every_time(tmp_path: Path):
    layout(tmp_path)
    steps: list[tuple[int, int]] = []
    made = build_list(tmp_path, "val", progress=lambda done, total: steps.append((done, total)))
    assert made.names == ("ADE_val_00000001", "ADE_val_00000003")
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    lines = made.text().splitlines()
    assert lines[0].endswith("split val")
    assert lines[1:3] == [f"# rule: {outdoor_rule().id}", "# kept: 2 of 4"]
    assert lines[4] == f"# names: sha256 {names_digest(made.names)}"
    assert lines[5:] == list(made.names)
    assert build_list(tmp_path, "val") == made
    save(tmp_path / "annotations" / "validation" / "ADE_val_00000004.png", label_of(ROOM) + np.uint8(1))
    changed = build_list(tmp_path, "val")
    assert (changed.digest, changed.labels != made.labels) == (made.digest, True)


def test_a_folder_of_rooms_makes_no_list(tmp_path: Path):
    save(tmp_path / "annotations" / "validation" / "ADE_val_00000001.png", label_of(ROOM) + np.uint8(1))
    with pytest.raises(UserError, match="the rule keeps none of 1 label maps"):
        build_list(tmp_path, "val")


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_data_set_has_the_samples_of_its_list(tmp_path: Path, split: str):
    listed(layout(tmp_path / "ade20k"), split)
    # It shares ADE20K's folder.
    root = data_root("ade20k_outdoor", tmp_path)
    assert root == data_root("ade20k_outdoor", tmp_path / "ade20k") == tmp_path / "ade20k"
    data = lookup(DATASETS, "ade20k_outdoor")(root, split)
    assert isinstance(data, DataSet)
    assert data.names == (f"ADE_{split}_00000001", f"ADE_{split}_00000003")
    assert data.classes is Ade20k.classes
    assert data.load(1).label[0, 0] == CLASSES.names.index("building")
    assert Ade20kOutdoor(root, split, with_photos=False).load(0).photo is None


def test_the_fingerprint_covers_the_list(tmp_path: Path):
    listed(layout(tmp_path))
    before = Ade20kOutdoor(tmp_path, "val").fingerprint()
    (tmp_path / "mine.txt").write_text("ADE_val_00000001\n")
    mine = Ade20kOutdoor(tmp_path, "val", names="mine.txt")
    assert len({before, mine.fingerprint(), Ade20k(tmp_path, "val").fingerprint()}) == 3
    (tmp_path / "mine.txt").write_text("# the same as the rule's\nADE_val_00000003.jpg\n\nADE_val_00000001\n")
    assert Ade20kOutdoor(tmp_path, "val", names="mine.txt").fingerprint() == before


def test_a_list_of_ones_own_may_lie_anywhere_and_name_both_splits(tmp_path: Path):
    layout(tmp_path / "data")
    path = tmp_path / "mine.txt"
    path.write_text("# both\nADE_val_00000002\nADE_train_00000004\n")
    assert Ade20kOutdoor(tmp_path / "data", "val", names=str(path)).names == ("ADE_val_00000002",)
    assert Ade20kOutdoor(tmp_path / "data", "train", names=str(path)).names == ("ADE_train_00000004",)
    path.rename(tmp_path / "mine_val.txt")
    assert len(Ade20kOutdoor(tmp_path / "data", "val", names="../mine_{split}.txt")) == 1


def test_a_missing_list_says_which_command_makes_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"outdoor_val\.txt: no such list .*spadebench outdoor-list --split val"):
        Ade20kOutdoor(layout(tmp_path), "val")


def test_a_list_that_was_changed_is_refused(tmp_path: Path):
    path = listed(layout(tmp_path))
    path.write_text(path.read_text().replace("ADE_val_00000003", "ADE_val_00000002"))
    with pytest.raises(UserError, match=r"outdoor_val\.txt: the names in this list are not those it was made with"):
        Ade20kOutdoor(tmp_path, "val")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "# names" not in line))
    assert len(Ade20kOutdoor(tmp_path, "val")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ADE_val_00000001\nADE_val_7\n", r"mine\.txt:2: split 'val' has no sample 'ADE_val_7'"),
        ("# nothing\n", r"mine\.txt: this list of samples is empty"),
        ("ADE_train_00000001\n", r"mine\.txt: this list names no sample of split 'val'"),
        ("\xff", r"mine\.txt: this list of samples is no UTF-8 text"),
    ],
)
def test_a_wrong_list_is_reported_in_one_line(tmp_path: Path, text: str, message: str):
    layout(tmp_path)
    (tmp_path / "mine.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message) as caught:
        Ade20kOutdoor(tmp_path, "val", names="mine.txt")
    assert "\n" not in str(caught.value)


def test_the_suite_is_ade20ks_but_for_the_data():
    suite, whole = load_suite("ade20k_outdoor"), load_suite("ade20k")
    assert (suite.name, suite.data, suite.title) == ("ade20k_outdoor", "ade20k_outdoor", "ADE20K-outdoor")
    assert (suite.protocol, suite.schedule, suite.size) == (whole.protocol, whole.schedule, whole.size)


def test_the_real_samples_which_are_streets_are_all_kept(shared: Path, tmp_path: Path):
    root = shared / "data" / "ade20k_sample"
    made = build_list(root, "val")
    assert len(made.names) == made.total == 3
    path = tmp_path / "outdoor_val.txt"
    path.write_text(made.text(), encoding="utf-8")
    assert Ade20kOutdoor(root, "val", names=str(path)).names == Ade20k(root, "val").names
