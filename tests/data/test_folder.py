"""A user's own data: layout, splits and the description's errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import folder_layout

from harness.data.base import DataSet
from harness.data.folder import Folder, distinct_colours, read_description
from harness.errors import UserError


def test_a_folder_with_splits_meets_the_contract(tmp_path: Path):
    root = folder_layout(tmp_path, {"train": 2, "val": 1}, instances=True)
    data = Folder(root, "train")
    assert isinstance(data, DataSet)
    assert data.names == ("train000", "train001")
    assert data.classes.names == ("class0", "class1", "class2", "class3", "class4")
    assert data.classes.void == 255
    assert len(set(data.classes.palette)) == 5
    sample = data.load(0)
    assert sample.photo is not None
    assert sample.instance is not None
    assert sample.instance.max() > 255


def test_a_folder_without_splits_is_every_split(tmp_path: Path):
    root = folder_layout(tmp_path, {"": 3})
    assert Folder(root, "train").names == Folder(root, "whatever").names == ("000", "001", "002")


def test_lists_of_names_make_splits(tmp_path: Path):
    root = folder_layout(tmp_path, {"": 3})
    with (root / "classes.yaml").open("a") as file:
        file.write("splits: {train: lists/a.txt, val: lists/b.txt}\n")
    (root / "lists").mkdir()
    (root / "lists" / "a.txt").write_text("002\n000\n\n")
    (root / "lists" / "b.txt").write_text("001\nnone\n")
    assert Folder(root, "train").names == ("000", "002")
    with pytest.raises(UserError, match=r"b\.txt:2: no sample 'none'"):
        Folder(root, "val")
    with pytest.raises(UserError, match=r"no split 'trian' .*did you mean train"):
        Folder(root, "trian")


def test_label_maps_alone_can_be_opened_without_photos(tmp_path: Path):
    root = folder_layout(tmp_path, {"": 1}, photos=False)
    assert Folder(root, "test", with_photos=False).load(0).photo is None
    with pytest.raises(UserError, match="no such photo folder"):
        Folder(root, "test")


def test_a_missing_split_is_reported_with_the_nearest(tmp_path: Path):
    root = folder_layout(tmp_path, {"train": 1, "val": 1})
    with pytest.raises(UserError, match=r"no split 'vals' .*did you mean val"):
        Folder(root, "vals")


def test_folders_can_be_named_in_the_description_and_the_option_wins(tmp_path: Path):
    root = folder_layout(tmp_path, {"train": 1})
    (root / "deep" / "train").mkdir(parents=True)
    (root / "photos" / "train").rename(root / "deep" / "train" / "rgb")
    with (root / "classes.yaml").open("a") as file:
        file.write("photos: nowhere\n")
    assert len(Folder(root, "train", photos="deep/{split}/rgb")) == 1
    with pytest.raises(UserError, match="nowhere: no such photo folder"):
        Folder(root, "train")
    with pytest.raises(UserError, match="leads out of the data set"):
        Folder(root, "train", photos="../elsewhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a, b]\nviod: 3\n", r"yaml:2: unknown key 'viod' \(did you mean void\?\)"),
        ("void: 3\n", r"yaml:1: names: Field required"),
        ("names: [a, b]\nvoid: many\n", r"yaml:2: void: "),
        ("names: [a, b]\nvoid: 1\n", r"yaml:2: void value 1 is the index of class 'b' \(void must be 2 or above\)"),
        ("names: [a, b]\npalette:\n  - [0, 0, 0]\n  - [0, 0, 256]\n", r"yaml:4: palette\.1\.2: "),
        ("names: [a, b]\npalette: [[0, 0, 0]]\n", r"yaml:2: palette has 1 colours for 2 classes"),
        ("names: [a, a]\n", r"yaml:1: class 'a' stands twice"),
        ("names: [a, b\nvoid: 2\n", r"yaml:\d: not valid YAML"),
        ("names: []\n", r"yaml:1: names: "),
        ("- a\n- b\n", r"must hold keys and values"),
        ("", r"must hold keys and values"),
    ],
)
def test_a_wrong_description_is_reported_in_one_line_with_file_and_line(tmp_path: Path, text, message):
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_description(path)
    assert "\n" not in str(caught.value)


def test_a_missing_description_says_what_it_is_for(tmp_path: Path):
    with pytest.raises(UserError, match="it names the classes"):
        Folder(tmp_path, "train")


def test_a_description_runs_no_code(tmp_path: Path):
    path = tmp_path / "classes.yaml"
    path.write_text("names: !!python/object/apply:os.mkdir ['made']\n")
    with pytest.raises(UserError, match="not valid YAML"):
        read_description(path)
    assert not (Path.cwd() / "made").exists()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2000))
def test_default_colours_are_distinct_stable_and_not_black(count):
    colours = distinct_colours(count)
    assert len({*colours, (0, 0, 0)}) == count + 1
    assert distinct_colours(count + 1)[:count] == colours
    assert np.array(colours, dtype=np.int64).reshape(-1, 3).max(initial=0) <= 255


def test_a_description_may_say_which_net_made_the_labels(tmp_path: Path):
    root = folder_layout(tmp_path, {"": 1})
    assert Folder(root, "train").labels_by is None
    with (root / "classes.yaml").open("a") as file:
        file.write("labels_by: net@0123abcd\n")
    assert Folder(root, "train").labels_by == "net@0123abcd"


def test_classes_are_part_of_the_fingerprint(tmp_path: Path):
    one = Folder(folder_layout(tmp_path / "a", {"": 1}, void=255), "train")
    two = Folder(folder_layout(tmp_path / "a", {"": 1}, void=254), "train")
    assert one.fingerprint() != two.fingerprint()
