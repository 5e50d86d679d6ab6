"""Files ↔ samples by name: which rule finds what, and that nothing is lost or counted twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import save

from harness.data.cityscapes import Cityscapes
from harness.data.matching import SampleNames, UnmatchedError, check_matching, find_files, match_names
from harness.errors import UserError

STEMS = st.text("abc._ü-", min_size=1, max_size=5).filter(lambda s: s.strip("._ "))
FOLDERS = st.lists(st.sampled_from(["one", "two", "val.d"]), max_size=2).map(
    lambda parts: "".join(f"{p}/" for p in parts)
)
ENDINGS = st.sampled_from([".png", ".JPG", ".jpeg", ".WebP", ".tif", ".tiff", ".bmp"])


@given(st.dictionaries(STEMS, st.tuples(FOLDERS, ENDINGS), min_size=1))
def test_every_sample_finds_its_file_in_whatever_folder_and_format(placed: dict[str, tuple[str, str]]) -> None:
    files = {stem: f"{folder}{stem}{ending}" for stem, (folder, ending) in placed.items()}
    found = match_names(reversed(files.values()), list(files))
    assert found.complete
    assert found.matched == files
    assert list(found.matched) == list(files)
    names = SampleNames(list(files))
    assert all(names.find(file) == stem for stem, file in files.items())


@given(
    st.lists(st.tuples(FOLDERS, STEMS, ENDINGS).map("".join), unique=True),
    st.lists(st.tuples(FOLDERS, STEMS).map("".join), unique=True),
    st.sampled_from([None, Cityscapes.sample_key, lambda stem: stem[:1]]),
)
def test_every_name_is_in_one_place_and_no_file_has_two_samples(files, samples, key) -> None:
    found = match_names(files, samples, key)
    used = [*found.matched.values(), *found.extra, *{f for group in found.ambiguous.values() for f in group}]
    assert sorted(used) == sorted(files)
    assert sorted([*found.matched, *found.missing, *found.ambiguous]) == sorted(samples)
    assert json.loads(json.dumps(found.as_dict()))["matched"] == len(found.matched)
    assert len(found.lines()) == len(found.missing) + len(found.extra) + len(found.ambiguous)
    assert "\n" not in found.summary()


@pytest.mark.parametrize(
    "ending",
    ["_leftImg8bit", "_gtFine_labelIds", "_gtFine_color", "", "_gtFine_labelIds_synthesized_image", "_fake_B"],
)
def test_cityscapes_is_matched_by_frame_whatever_stands_behind_it(ending: str) -> None:
    samples = [f"lindau_000000_{i:06d}_leftImg8bit" for i in range(3)]
    files = [f"lindau/lindau_000000_{i:06d}{ending}.png" for i in range(3)]
    assert list(match_names(files, samples, Cityscapes.sample_key).matched.values()) == files
    assert SampleNames(samples, Cityscapes.sample_key).find(files[1]) == samples[1]


def test_inputs_beside_the_outputs_are_not_taken_for_them() -> None:
    found = match_names(["a_input_label.jpg", "a_synthesized_image.jpg"], ["a"])
    assert (found.matched, found.extra) == ({"a": "a_synthesized_image.jpg"}, ("a_input_label.jpg",))


def test_the_exact_name_wins_over_the_same_name_deeper_down() -> None:
    found = match_names(["old/a.png", "a.png"], ["a"])
    assert (found.matched, found.extra) == ({"a": "a.png"}, ("old/a.png",))


def test_samples_in_folders_are_told_apart_below_the_folder_of_all() -> None:
    found = match_names(["out/x/1.png", "out/y/1.png"], ["x/1", "y/1"])
    assert found.matched == {"x/1": "out/x/1.png", "y/1": "out/y/1.png"}


def test_names_that_a_program_gives_may_be_whole_paths() -> None:
    assert match_names(["/out/x/1.png", "/out/y/1.png"], ["x/1", "y/1"]).complete
    assert match_names(["/out/a.png", "b.png"], ["a", "b"]).complete


def test_an_accent_is_one_name_however_it_is_written() -> None:
    assert match_names(["u\u0308ber.png"], ["\u00fcber"]).complete


def test_two_files_for_a_sample_are_ambiguous_and_never_passed_over() -> None:
    found = match_names(["in/a.png", "out/a.png", "b.png", "b.jpg", "c.png"], ["a", "b", "c"])
    assert found.ambiguous == {"a": ("in/a.png", "out/a.png"), "b": ("b.png", "b.jpg")}
    assert found.matched == {"c": "c.png"}
    with pytest.raises(UnmatchedError, match=r"2 samples have no image of their own: which for a \(in/a.png or out/a"):
        check_matching(found, "x", allow_partial=True)


def test_the_error_is_one_line_with_counts_and_carries_the_whole_lists() -> None:
    found = match_names([f"x{i}.png" for i in range(5)] + ["s0.png"], [f"s{i}" for i in range(6)])
    with pytest.raises(
        UnmatchedError, match=r"place: 5 samples have no image: no image for s1, .*, …; 5 images"
    ) as error:
        check_matching(found, "place")
    assert error.value.matching.missing == ("s1", "s2", "s3", "s4", "s5")
    check_matching(found, "place", allow_partial=True)


def test_a_part_of_nothing_is_refused() -> None:
    with pytest.raises(UnmatchedError, match=r"such as s\.png"):
        check_matching(match_names(["x.png"], ["s"]), "place", allow_partial=True)


def test_files_are_found_in_nested_folders_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    grey = np.zeros((2, 2), np.uint8)
    for name in ("b.PNG", "x/y/a.JPeG", ".hidden.png", ".cache/a.png", "__MACOSX/._a.png", "x/notes.bmp"):
        save(tmp_path / name, grey)
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    assert list(find_files(tmp_path, "image")) == ["b.PNG", "x/notes.bmp", "x/y/a.JPeG"]
    with pytest.raises(UserError, match="holds no images"):
        find_files(tmp_path / "folder.png", "image")
    with pytest.raises(UserError, match="no such image folder"):
        find_files(tmp_path / "gone", "image")
