"""Images in zip and tar files: the same as in a folder, and nothing that an archive holds does harm."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from named import Names, batch, write
from PIL import Image

from harness.errors import UserError
from harness.evaluation import archives
from harness.evaluation.sources import folder_source, given_source

ENDINGS = ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"]
NAMES = Names("a", "b", "c")


def pack(path: Path, files: dict[str, bytes]) -> Path:
    """An archive with the given members, in the given order."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:] if path.suffix != '.tar' else ''}") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def png(value: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 2), (value, 0, 0)).save(out, "png")
    return out.getvalue()


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_archive_gives_what_its_folder_gives_in_any_order(ending: str, tmp_path: Path) -> None:
    write(tmp_path / "f", "deep/a.png", "b.JPG", "c.webp", ".hidden.png")
    folder = folder_source(tmp_path / "f", NAMES)  # type: ignore[arg-type]
    files = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in sorted((tmp_path / "f").rglob("*.*"))}
    packed = pack(
        tmp_path / f"packed.{ending}", {f"./{name}": files[name] for name in reversed(files)} | {"n.txt": b"x"}
    )
    found = given_source(packed, NAMES)  # type: ignore[arg-type]
    assert (found.kind, found.id, found.names) == ("archive", folder.id, folder.names)
    assert found.describe()["images"] == 3
    for order in (("a", "b", "c"), ("c", "a", "a")):
        for one, other in zip(found.images(batch(*order)), folder.images(batch(*order)), strict=True):
            assert np.array_equal(one, other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", packed.name]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "C:\\x.png", "..\\x.png"])
def test_a_name_that_leads_out_is_refused(ending: str, name: str, tmp_path: Path) -> None:
    packed = pack(tmp_path / f"p.{ending}", {"a.png": png(), name: png()})
    with pytest.raises(UserError, match="leads out of the archive"):
        given_source(packed, Names("a"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        member = tarfile.TarInfo("a.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(UserError, match=r"member 'a\.png' is a link or no plain file"):
        given_source(tmp_path / "p.tar", Names("a"))  # type: ignore[arg-type]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        given_source(tmp_path / "p.zip", Names("a"))  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_broken_image_in_an_archive_is_named(ending: str, tmp_path: Path) -> None:
    found = given_source(pack(tmp_path / f"p.{ending}", {"x/a.png": png()[:40]}), Names("a"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"p\..*:x/a\.png: cannot read this image file"):
        found.images(batch("a"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_truncated_archive_is_refused_in_one_line(ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(2, 20000), dtype=np.uint8)
    packed = pack(tmp_path / f"p.{ending}", {"a.png": noise[0].tobytes(), "b.png": noise[1].tobytes()})
    packed.write_bytes(packed.read_bytes()[:30000])
    with pytest.raises(UserError) as error:
        given_source(packed, Names("a", "b"))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_two_members_of_one_name_are_refused(ending: str, tmp_path: Path) -> None:
    packed = pack(tmp_path / f"p.{ending}", {"./a.png": png(1), "a.png": png(2)})
    with pytest.raises(UserError, match=r"holds 'a\.png' twice"):
        given_source(packed, Names("a"))  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_member_larger_than_any_image_is_refused_unread(ending: str, tmp_path: Path, monkeypatch) -> None:
    packed = pack(tmp_path / f"p.{ending}", {"a.png": bytes(2000)})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"a\.png: 2000 bytes are too many for an image"):
        given_source(packed, Names("a"))  # type: ignore[arg-type]


def test_a_compressed_tar_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_ALLOWED", 1 << 16)
    packed = pack(tmp_path / "p.tar.gz", {f"{i}.png": bytes(1 << 16) for i in range(9)})
    with pytest.raises(UserError, match="unpacks to more than 100 times its size"):
        given_source(packed, Names("a"))  # type: ignore[arg-type]


def test_held_images_beyond_memory_lie_in_a_file_without_a_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "HELD_IN_MEMORY", 10)
    found = given_source(pack(tmp_path / "p.tar.gz", {"b.png": png(2), "a.png": png(1)}), Names("a", "b"))  # type: ignore[arg-type]
    assert [image[0, 0, 0] for image in found.images(batch("a", "b"))] == [1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["p.tar.gz"]


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"p\.zip: this is no archive of images"):
        given_source(tmp_path / "p.zip", Names("a"))  # type: ignore[arg-type]


def test_an_archive_without_images_and_a_partial_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        given_source(pack(tmp_path / "p.zip", {"a.txt": b""}), Names("a"))  # type: ignore[arg-type]
    packed = pack(tmp_path / "q.zip", {"a.png": png()})
    with pytest.raises(UserError, match="no image for b"):
        given_source(packed, Names("a", "b"))  # type: ignore[arg-type]
    assert given_source(packed, Names("a", "b"), allow_partial=True).names == ("a",)  # type: ignore[arg-type]
