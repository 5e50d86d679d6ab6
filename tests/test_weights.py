"""Where weight files are looked for, and which ones are refused."""

from __future__ import annotations

import hashlib
import pickle

import pytest
import torch

from harness.errors import UserError
from harness.weights import find_weights, load_state, short_digest

DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The three places, in the order in which they are searched."""
    monkeypatch.setenv("SPADEBENCH_WEIGHTS", str(tmp_path / "named"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    places = [tmp_path / "option", tmp_path / "named", tmp_path / "torch" / "hub" / "checkpoints"]
    for place in places:
        place.mkdir(parents=True)
    return places


def test_the_first_of_the_folders_wins(folders):
    for place in reversed(folders):
        (place / "net.pth").write_bytes(b"weights")
        assert find_weights("net.pth", folders[0], DIGEST[:8], "") == place / "net.pth"


def test_torch_keeps_its_files_under_the_cache_folder_by_default(tmp_path, monkeypatch):
    for variable in ("SPADEBENCH_WEIGHTS", "TORCH_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = tmp_path / "torch" / "hub" / "checkpoints"
    assert str(place) == torch.hub.get_dir() + "/checkpoints"
    place.mkdir(parents=True)
    (place / "net.pth").write_bytes(b"weights")
    assert find_weights("net.pth", None, DIGEST, "") == place / "net.pth"


def test_a_missing_file_names_every_folder_and_the_way_to_get_it(folders):
    with pytest.raises(UserError) as caught:
        find_weights("net.pth", folders[0], None, "download it from somewhere")
    for part in [*map(str, folders), "net.pth", "download it from somewhere"]:
        assert part in str(caught.value)


def test_a_wrong_hash_is_refused_and_named(folders):
    (folders[0] / "net.pth").write_bytes(b"other")
    with pytest.raises(UserError, match=rf"net\.pth: wrong weights.*not {DIGEST[:8]}"):
        find_weights("net.pth", folders[0], DIGEST[:8], "get it")
    assert find_weights("net.pth", folders[0], None, "get it") == folders[0] / "net.pth"


def test_short_digest_is_the_beginning_of_sha256(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"weights")
    assert short_digest(tmp_path / "net.pth") == DIGEST[:8]


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "empty"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, kind):
    path = tmp_path / "net.pth"
    if kind == "torch":
        torch.save({"weight": Malicious()}, path)
    else:
        path.write_bytes({"pickle": pickle.dumps(Malicious()), "text": b"hello", "empty": b""}[kind])
    with pytest.raises(UserError, match=r"net\.pth: (refused|cannot read)"):
        load_state(path)


def test_what_is_no_state_dict_is_told(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "net.pth")
    with pytest.raises(UserError, match="not a state dict but a list"):
        load_state(tmp_path / "net.pth")
