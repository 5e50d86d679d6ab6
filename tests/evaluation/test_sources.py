"""Image sources: quantisation, noise, folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import UserError
from harness.evaluation.sources import folder_source, noise_for, truncate


def test_quantisation_truncates_as_the_official_png_route() -> None:
    steps = torch.tensor([-1.0, -0.999, 0.0, 0.9999, 1.0, 3.0]).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    assert truncate(steps)[0, 0, 0].tolist() == [0, 0, 127, 254, 255, 255]


def test_noise_of_an_image_depends_on_its_name_and_the_seed_alone() -> None:
    together = noise_for(["a", "b", "c"], 4, seed=1)
    assert torch.equal(noise_for(["b"], 4, seed=1)[0], together[1])
    assert not torch.equal(noise_for(["b"], 4, seed=2)[0], together[1])
    assert not torch.equal(together[0], together[1])


class Names:
    def __init__(self, *names: str) -> None:
        self.names = names


def write(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.full((4, 4, 3), len(name), np.uint8)).save(folder / name)


def test_a_folder_is_matched_by_name_whatever_the_ending(tmp_path: Path) -> None:
    write(tmp_path, "b.png", "a.jpg")
    found = folder_source(tmp_path, Names("a", "b"))  # type: ignore[arg-type]
    assert [p.name for p in found.files.values()] == ["a.jpg", "b.png"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["a.png"], "no image for b"),
        (["a.png", "b.png", "c.png"], "no sample for c"),
        ([], "holds no images"),
    ],
)
def test_an_unmatched_folder_is_refused_with_examples(files: list[str], said: str, tmp_path: Path) -> None:
    write(tmp_path, *files)
    with pytest.raises(UserError, match=said):
        folder_source(tmp_path, Names("a", "b"))  # type: ignore[arg-type]


def test_the_id_of_a_folder_follows_its_content(tmp_path: Path) -> None:
    write(tmp_path / "one", "a.png")
    write(tmp_path / "two", "a.png")
    one, two = (folder_source(tmp_path / n, Names("a")).id for n in ("one", "two"))  # type: ignore[arg-type]
    assert one == two
    Image.new("RGB", (4, 4)).save(tmp_path / "two" / "a.png")
    assert folder_source(tmp_path / "two", Names("a")).id != one  # type: ignore[arg-type]
