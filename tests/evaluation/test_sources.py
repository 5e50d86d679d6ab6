"""Image sources: quantisation, noise, images as files. Archives and iterables have files of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from named import Names, batch, write
from PIL import Image

from harness.data.matching import UnmatchedError
from harness.errors import UserError
from harness.evaluation.sources import folder_source, given_source, noise_for, truncate


def test_quantisation_truncates_as_the_official_png_route() -> None:
    steps = torch.tensor([-1.0, -0.999, 0.0, 0.9999, 1.0, 3.0]).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    assert truncate(steps)[0, 0, 0].tolist() == [0, 0, 127, 254, 255, 255]


def test_noise_of_an_image_depends_on_its_name_and_the_seed_alone() -> None:
    together = noise_for(["a", "b", "c"], 4, seed=1)
    assert torch.equal(noise_for(["b"], 4, seed=1)[0], together[1])
    assert not torch.equal(noise_for(["b"], 4, seed=2)[0], together[1])
    assert not torch.equal(together[0], together[1])


def test_a_folder_is_matched_by_name_whatever_the_ending(tmp_path: Path) -> None:
    write(tmp_path, "b.PNG", "deep/er/a.jpg")
    found = folder_source(tmp_path, Names("a", "b"))  # type: ignore[arg-type]
    assert [p.name for p in found.places.values()] == ["a.jpg", "b.PNG"]
    assert found.names == ("a", "b")
    assert found.describe() == {"kind": "folder", "id": found.id, "images": 2}
    assert [i[0, 0, 0] for i in found.images(batch("b", "a"))] == [len("b.PNG"), len("deep/er/a.jpg")]


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"])
def test_all_formats_are_read_as_rgb(ending: str, tmp_path: Path) -> None:
    Image.new("L", (6, 4), 90).save(tmp_path / f"a.{ending}")
    [image] = folder_source(tmp_path, Names("a")).images(batch("a"))  # type: ignore[arg-type]
    assert (image.shape, image.dtype) == ((4, 6, 3), np.uint8)
    assert abs(image.astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["a.png"], "no image for b"),
        (["a.png", "b.png", "c.png"], "no sample for c"),
        (["a.png", "b.png", "b.jpg"], r"which for b \(b.jpg or b.png\)"),
        (["input_label/a.png", "synthesized_image/a.png", "b.png"], "point to the folder that holds one image a"),
        ([], "holds no images"),
    ],
)
def test_an_unmatched_folder_is_refused_with_examples(files: list[str], said: str, tmp_path: Path) -> None:
    write(tmp_path, *files)
    with pytest.raises(UserError, match=said):
        folder_source(tmp_path, Names("a", "b"))  # type: ignore[arg-type]


def test_a_partial_set_is_taken_only_when_allowed_and_says_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "c.png", "z.png")
    dataset = Names("a", "b", "c")
    with pytest.raises(UnmatchedError, match="allow a partial set") as error:
        folder_source(tmp_path, dataset)  # type: ignore[arg-type]
    assert error.value.matching.as_dict()["missing"] == ["b"]
    found = folder_source(tmp_path, dataset, allow_partial=True)  # type: ignore[arg-type]
    assert found.names == ("a", "c")
    assert found.describe() == {"kind": "folder", "id": found.id, "images": 2, "missing": 1, "extra": 1}


def test_the_id_of_a_folder_follows_its_content(tmp_path: Path) -> None:
    write(tmp_path / "one", "a.png")
    write(tmp_path / "two", "a.png")
    one, two = (folder_source(tmp_path / n, Names("a")).id for n in ("one", "two"))  # type: ignore[arg-type]
    assert one == two
    Image.new("RGB", (4, 4)).save(tmp_path / "two" / "a.png")
    assert folder_source(tmp_path / "two", Names("a")).id != one  # type: ignore[arg-type]


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    found = folder_source(tmp_path, Names("a", "b"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"b\.png: cannot read this image file, it is broken or no image"):
        found.images(batch("a", "b"))


def test_values_of_more_than_8_bits_are_refused_and_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: an image of mode I;16 has more than 8 bits"):
        folder_source(tmp_path, Names("a")).images(batch("a"))  # type: ignore[arg-type]


def test_a_link_to_nowhere_and_a_missing_folder_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"a\.png: cannot read: No such file"):
        folder_source(tmp_path, Names("a"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no such folder or archive"):
        given_source(tmp_path / "gone", Names("a"))  # type: ignore[arg-type]
