"""A part of a data set is a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from images import camvid_layout, save

from harness.data.base import DataSet
from harness.data.camvid import CamVid
from harness.data.scored import scored_classes, scored_label
from harness.data.subset import Subset
from harness.errors import UserError


@pytest.fixture
def whole(tmp_path: Path) -> CamVid:
    return CamVid(camvid_layout(tmp_path, {"val": 4}), "val")


def test_it_meets_the_contract_in_the_order_of_the_whole(whole: CamVid) -> None:
    part = Subset(whole, ["val_003", "val_001", "val_003"])
    assert isinstance(part, DataSet)
    assert part.names == ("val_001", "val_003")
    assert len(part) == 2
    assert part.load(1).name == "val_003"
    assert part.digests() == [whole.digests()[1], whole.digests()[3]]
    assert scored_classes(part) is whole.classes


def test_scored_classes_are_carried_on(whole: CamVid) -> None:
    whole.scored_classes = type(whole.classes)(("all",), 255, ((0, 0, 0),))
    whole.to_scored = np.zeros(11, np.uint8)
    part = Subset(Subset(whole, whole.names[:3]), whole.names[:2])
    assert scored_classes(part).names == ("all",)
    assert scored_label(part, np.array([[3, 11]])).tolist() == [[0, 255]]


def test_its_fingerprint_follows_the_chosen_samples_alone(whole: CamVid) -> None:
    part = Subset(whole, whole.names[:2])
    before = part.fingerprint()
    assert before != Subset(whole, whole.names[1:3]).fingerprint()
    assert Subset(whole, whole.names).fingerprint() == whole.fingerprint() != before
    photo = whole.pairs[3].photo
    assert photo is not None
    save(photo, np.zeros((36, 48, 3), np.uint8))
    assert part.fingerprint() == before
    photo = whole.pairs[0].photo
    assert photo is not None
    save(photo, np.zeros((36, 48, 3), np.uint8))
    assert part.fingerprint() != before


def test_an_unknown_name_and_no_name_are_refused(whole: CamVid) -> None:
    with pytest.raises(UserError, match=r"no sample 'val_01' \(did you mean val_001"):
        Subset(whole, ["val_01"])
    with pytest.raises(UserError, match="at least one"):
        Subset(whole, [])
