"""What is declared of weight files, where they are looked for, and which ones are refused."""

from __future__ import annotations

import hashlib
import pickle
import re
from dataclasses import replace

import pytest
import torch
from releases import light_state, release_keys

from harness.errors import UserError
from harness.features import efficientnet_lite0
from harness.registry import FEATURES, PERCEPTUAL, SEGMENTERS, WEIGHTS, lookup, names
from harness.weights import WeightFile, declare, find_weights, load_state, short_digest, weight_files

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


DECLARED = names(WEIGHTS)
NETS = [(registry, name) for registry in (SEGMENTERS, FEATURES, PERCEPTUAL) for name in names(registry)]
# Names and shapes of the release files of which no hash is known (tests/golden).
KEYS = {
    "deeplabv2_coco_stuff": "deeplabv2_resnet101_msc_coco182",
    "drn_d_105_cityscapes": "drn_d_105_cityscapes19",
    "upernet101_ade20k_decoder": "upernet101_ade150_decoder",
    "upernet101_ade20k_encoder": "upernet101_ade150_encoder",
    "upernet101_ade20k_later_decoder": "upernet101_ade150_decoder",
    "upernet101_ade20k_later_encoder": "upernet101_ade150_encoder",
}


def weight_file(**changes) -> WeightFile:
    return replace(WeightFile("net", "net.pth", "https://example.org", "a test", ("net",)), **changes)


@pytest.fixture
def no_package(monkeypatch):
    """As where the extra with EfficientNet's weights is not installed."""
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package")


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_makes_sense(name):
    file = lookup(WEIGHTS, name)()
    assert file.name == name
    assert file.gives
    assert file.licence
    assert file.keys
    assert re.match(r"https?://|the package ", file.page)
    assert file.address is None or file.address.endswith("/" + file.file.rpartition("/")[2])
    # A file can be checked by its hash or by what is in it.
    assert (file.sha256 is None) == (file.check is not None)
    if suffix := re.search(r"-([0-9a-f]{8})\.pth$", file.file):
        assert file.sha256 is not None
        assert file.sha256.startswith(suffix[1])
    assert file.users
    assert set(file.users) <= {user for _, user in NETS}


def test_no_two_declared_files_have_one_place():
    files = [file.file.lower() for file in weight_files()]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize(("registry", "name"), NETS, ids=[f"{registry.name}-{name}" for registry, name in NETS])
def test_a_net_without_its_file_names_one_that_is_declared(folders, no_package, registry, name):
    try:
        lookup(registry, name)(folders[0], "cpu")
    except UserError as error:
        missing = re.search(r"no weight file (\S+) \(", str(error))
        assert missing is not None
        assert name in {user for file in weight_files() if file.file == missing[1] for user in file.users}
    else:
        assert not any(name in file.users for file in weight_files())


@pytest.mark.parametrize("place", [0, 1, 2], ids=["option", "variable", "hub"])
@pytest.mark.parametrize("name", DECLARED)
def test_a_file_put_in_place_by_hand_is_found_by_the_command_and_by_its_users(folders, no_package, golden, name, place):
    file = replace(lookup(WEIGHTS, name)(), packaged=None)
    path = folders[place] / file.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no weights")
    if name.endswith("_encoder"):
        path.with_name("decoder_epoch_50.pth").touch()
    if name.endswith("_decoder"):  # read after the encoder
        encoder = light_state(release_keys(golden, "upernet101_ade150_encoder"))
        torch.save(encoder, path.with_name("encoder_epoch_50.pth"))
    assert file.path(folders[0]) == path
    with pytest.raises(UserError, match=re.escape(str(path))):
        file.verify(path)
    for registry, user in NETS:
        if user in file.users:
            with pytest.raises(UserError, match=rf"{re.escape(str(path))}: .*(wrong weights|cannot read|refused)"):
                lookup(registry, user)(folders[0], "cpu")


def test_every_file_without_a_hash_has_a_list_of_names_here():
    assert set(KEYS) == {file.name for file in weight_files() if file.sha256 is None}


@pytest.mark.parametrize("name", KEYS)
def test_a_file_without_a_known_hash_is_verified_by_names_and_shapes(tmp_path, golden, name):
    file = lookup(WEIGHTS, name)()
    state = light_state(release_keys(golden, KEYS[name]))
    path = tmp_path / "release.pth"
    torch.save(state, path)
    assert file.verify(path) == (hashlib.sha256(path.read_bytes()).hexdigest(), "names and shapes")
    first = next(iter(state))
    torch.save(state | {first: torch.zeros(1, 2)}, path)
    with pytest.raises(UserError, match=rf"do not fit: {re.escape(first)} is of shape \(1, 2\).*{file.file}"):
        file.verify(path)


def test_a_file_is_verified_by_size_and_hash(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"weights")
    assert weight_file().verify(path) == (DIGEST, None)
    assert weight_file(size=7, sha256=DIGEST[:10]).verify(path) == (DIGEST, "sha256")
    with pytest.raises(UserError, match=r"net\.pth: wrong weights: 7 bytes, not 8.*get net\.pth from https"):
        weight_file(size=8, sha256=DIGEST).verify(path)
    with pytest.raises(UserError, match=f"sha256 begins with {DIGEST[:8]}, not 00000000"):
        weight_file(sha256="0" * 64).verify(path)
    with pytest.raises(UserError, match="cannot read"):
        weight_file().verify(tmp_path / "missing.pth")


def test_a_file_in_a_package_is_found_there(monkeypatch, tmp_path):
    (tmp_path / "some_package" / "models").mkdir(parents=True)
    (tmp_path / "some_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "some_package" / "models" / "net.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    file = weight_file(packaged="some_package/models")
    assert file.path(None) == tmp_path / "some_package" / "models" / "net.pth"
    assert weight_file(packaged="no_such_package/models").path(tmp_path / "some_package" / "models") is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../net.pth"},
        {"file": "/net.pth"},
        {"file": "a/../../net.pth"},
        {"file": ""},
        {"sha256": "1234567"},
        {"sha256": "0123456g"},
        {"size": 0},
        {"address": "file:///net.pth"},
    ],
    ids=str,
)
def test_what_cannot_be_right_is_refused_when_it_is_declared(changes):
    with pytest.raises(UserError, match="weight file net: "):
        weight_file(**changes)


def test_how_to_get_a_file_names_the_command_where_there_is_an_address():
    assert weight_file().get == "get net.pth from https://example.org"
    with_address = weight_file(address="https://example.org/net.pth")
    assert "`spadebench weights download net`, or from https://example.org/net.pth" in with_address.get


def test_a_declared_file_is_listed_under_its_name(monkeypatch):
    monkeypatch.setattr(WEIGHTS, "_module_dict", dict(WEIGHTS.module_dict))
    file = declare(weight_file())
    assert weight_files(["net"]) == [file]
    with pytest.raises(UserError, match=r"unknown weight file 'nett' \(did you mean net\?"):
        weight_files(["nett"])
