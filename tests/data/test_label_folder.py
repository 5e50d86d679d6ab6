"""Label files of any folder in the values of a known data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from images import photo_array, save

from harness.data.base import DataSet
from harness.data.label_folder import label_folder
from harness.data.scored import scored_classes
from harness.errors import UserError

RNG = np.random.default_rng(0)
SIZE = (8, 12)


def cityscapes(root: Path, photos: int = 3) -> tuple[Path, Path]:
    """labelIds among the other files of gtFine, and photos, with cities as folders."""
    for i in range(3):
        frame = f"lindau/lindau_000000_{i:06d}"
        save(root / "labels" / f"{frame}_gtFine_labelIds.png", np.full(SIZE, 7 + i, np.uint8))
        save(root / "labels" / f"{frame}_gtFine_instanceIds.png", np.full(SIZE, 7 + i, np.uint16))
        save(root / "labels" / f"{frame}_gtFine_color.png", photo_array(RNG, SIZE))
        if i < photos:
            save(root / "photos" / f"{frame}_leftImg8bit.png", photo_array(RNG, SIZE))
    return root / "labels", root / "photos"


def test_a_part_of_cityscapes_is_read_with_its_own_endings_and_scored_classes(tmp_path: Path) -> None:
    data = label_folder("cityscapes", *cityscapes(tmp_path))
    assert isinstance(data, DataSet)
    assert data.names == tuple(f"lindau/lindau_000000_{i:06d}_gtFine_labelIds" for i in range(3))
    assert (data.load(2).label[0, 0], data.load(2).photo is not None) == (9, True)
    assert len(scored_classes(data)) == 19
    assert data.sample_key is not None


def test_the_fingerprint_is_of_content_and_not_of_the_place(tmp_path: Path) -> None:
    labels, photos = cityscapes(tmp_path / "a")
    before = label_folder("cityscapes", labels, photos).fingerprint()
    (tmp_path / "b").mkdir()
    labels, photos = labels.rename(tmp_path / "b" / "l"), photos.rename(tmp_path / "p")
    assert label_folder("cityscapes", labels, photos).fingerprint() == before
    assert label_folder("cityscapes", labels).fingerprint() != before


def test_ade20k_annotations_lose_one_and_need_no_photos(tmp_path: Path) -> None:
    save(tmp_path / "deep" / "er" / "x.png", np.array([[0, 1], [150, 3]], np.uint8))
    sample = label_folder("ade20k", tmp_path).load(0)
    assert (sample.name, sample.photo) == ("deep/er/x", None)
    assert sample.label.tolist() == [[255, 0], [149, 2]]


def test_photos_must_match(tmp_path: Path) -> None:
    labels, photos = cityscapes(tmp_path, photos=2)
    with pytest.raises(UserError, match="1 label file has no photo: no photo for lindau/lindau_000000_000002"):
        label_folder("cityscapes", labels, photos)


def test_two_label_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("x.png", "x.bmp"):
        save(tmp_path / name, np.zeros(SIZE, np.uint8))
    with pytest.raises(UserError, match=r"x\.bmp and x\.png are two label files of one name"):
        label_folder("camvid", tmp_path)


@pytest.mark.parametrize("entry", ["folder", "toyscapes"])
def test_a_data_set_without_label_files_of_its_own_kind_is_refused(entry: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"data set '{entry}' has no label files of its own kind"):
        label_folder(entry, tmp_path)


def test_real_samples_are_read_from_their_plain_folders(shared: Path) -> None:
    root = shared / "data" / "ade20k_sample"
    labels = next(path for path in sorted(root.rglob("*")) if path.is_dir() and path.name == "annotations")
    data = label_folder("ade20k", labels)
    assert len(data) > 0
    assert all(data.load(i).label.max() <= 255 for i in range(len(data)))
