"""Checkpoints: tensors and plain values only, by rename, never running what a file names."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.errors import UserError
from harness.training.checkpoints import Checkpoint, list_checkpoints, load_checkpoint, load_into, save_checkpoint


def checkpoint(iteration: int = 3) -> Checkpoint:
    network = nn.Linear(2, 2)
    return Checkpoint(
        config={"schedule": {"iterations": 5}},
        iteration=iteration,
        networks={"generator": network.state_dict()},
        optimisers={"generator": torch.optim.Adam(network.parameters()).state_dict()},
        seconds=1.5,
        peak_memory=7,
        data="abc",
        classes={"names": ["a"], "void": None, "palette": [[0, 0, 0]]},
        perceptual="",
        made={"processes": 1},
    )


def test_a_checkpoint_is_read_back_as_written(tmp_path: Path) -> None:
    written = checkpoint()
    read = load_checkpoint(save_checkpoint(tmp_path, written, keep=1))
    assert read.config == written.config
    assert (read.iteration, read.seconds, read.peak_memory, read.data) == (3, 1.5, 7, "abc")
    assert torch.equal(read.networks["generator"]["weight"], written.networks["generator"]["weight"])
    assert not read.finished


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("by", ["pickle", "torch"])
def test_a_malicious_pickle_is_refused_and_its_code_is_not_run(by: str, tmp_path: Path) -> None:
    target, path = tmp_path / "was_run", tmp_path / "evil.pt"
    if by == "pickle":
        path.write_bytes(pickle.dumps(Malicious(target)))
    else:
        torch.save({"spadebench_checkpoint": 1, "x": Malicious(target)}, path)
    with pytest.raises(UserError, match=r"evil\.pt.*nothing in it was run"):
        load_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no checkpoint at all"])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.pt"):
        load_checkpoint(path)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, checkpoint(), keep=1)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="iteration_00000003"):
        load_checkpoint(path)


def test_a_bare_state_dict_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "net.pt")
    with pytest.raises(UserError, match="no spadebench checkpoint"):
        load_checkpoint(tmp_path / "net.pt")


def test_a_full_disk_leaves_the_old_checkpoints_and_no_part_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, checkpoint(1), keep=5)

    def full(content: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left"):
        save_checkpoint(tmp_path, checkpoint(2), keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["iteration_00000001.pt"]
    assert load_checkpoint(list_checkpoints(tmp_path)[0]).iteration == 1


def test_weights_of_another_network_are_refused_with_the_keys_that_differ() -> None:
    with pytest.raises(UserError, match=r"missing bias.*left over scale"):
        load_into(nn.Linear(2, 2), {"weight": torch.zeros(2, 2), "scale": torch.zeros(1)}, "x.pt")
    with pytest.raises(UserError, match=r"weight is \(3, 2\), not \(2, 2\)"):
        load_into(nn.Linear(2, 2), {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, "x.pt")
