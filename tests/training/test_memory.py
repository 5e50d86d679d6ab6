"""The memory of a generator is built once, whole, and only for what it is made of."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.data.encode import Encoding
from harness.data.toyscapes import CLASSES, Toyscapes
from harness.errors import UserError
from harness.method import MemorySample
from harness.training import memory
from harness.training.memory import MemorySamples, attach_memory, record_notes

SIZE = (32, 32)
ENCODING = Encoding(CLASSES, SIZE, False, False)


def toyscapes(count: int = 3) -> Toyscapes:
    return Toyscapes(None, "train", size=SIZE, count=count)


class Toy(nn.Module):
    """A generator whose memory is a list of names; `slow`: seconds that building takes; `fails`: it does not end."""

    def __init__(self, own: int = 0, slow: float = 0.0, fails: bool = False) -> None:
        super().__init__()
        self.own, self.slow, self.fails = own, slow, fails
        self.opened: Path | None = None
        self.built = 0

    def memory_key(self) -> dict[str, Any]:
        return {"own": self.own}

    def build_memory(
        self, samples: Sequence[MemorySample], folder: Path, progress: Callable[[int, int], None] | None = None
    ) -> None:
        assert not list(folder.iterdir())
        self.built += 1
        names = []
        for number, sample in enumerate(samples, start=1):
            names.append(sample.name)
            (folder / "names.txt").write_text("\n".join(names))
            time.sleep(self.slow)
            if self.fails:
                raise RuntimeError("killed")
            if progress is not None:
                progress(number, len(samples))
        with (folder.parent / "builds.log").open("a") as log:
            log.write("built\n")

    def open_memory(self, folder: Path) -> None:
        self.opened = folder
        self.names = (folder / "names.txt").read_text().split("\n")


def attach(generator: nn.Module, count: int = 3, **given: Any) -> Path | None:
    data = toyscapes(count)
    words: dict[str, Any] = {"encoding": ENCODING, "data": data.fingerprint(), "training_split": lambda: data, **given}
    return attach_memory(generator, dataset_name="toyscapes", **words)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the memories are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "spadebench" / "memory"


def refuse() -> Toyscapes:
    raise AssertionError("the training split was opened")


def test_a_memory_is_built_once_and_then_opened_without_the_data(cache: Path) -> None:
    first, second = Toy(), Toy()
    folder = attach(first)
    assert folder is not None
    assert folder.parent == cache
    assert first.opened == folder
    assert first.names == list(toyscapes().names)
    assert attach(second, training_split=refuse) == second.opened == folder
    assert (first.built, second.built) == (1, 0)


def test_a_generator_without_memory_gets_none(cache: Path) -> None:
    assert attach(nn.Identity(), training_split=refuse) is None
    assert not cache.exists()
    assert record_notes(nn.Identity()) == ()


def test_a_build_that_ends_early_leaves_nothing_that_is_used(cache: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        attach(Toy(fails=True))
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []
    whole = Toy()
    attach(whole)
    assert whole.names == list(toyscapes().names)


def test_what_a_killed_process_left_is_dropped(cache: Path) -> None:
    folder = attach(Toy())
    assert folder is not None
    stale = folder.with_name(f"{folder.name}.unfinished")
    folder.rename(stale)
    (stale / "names.txt").write_text("half")
    again = Toy()
    assert attach(again) == folder
    assert (again.built, again.names) == (1, list(toyscapes().names))
    assert not stale.exists()


def test_other_data_are_refused_where_the_memory_must_be_built(cache: Path) -> None:
    wanted = toyscapes(3).fingerprint()
    with pytest.raises(UserError, match="another than this generator's") as caught:
        attach(Toy(), data=wanted, training_split=lambda: toyscapes(4))
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    # What is cached is whole without the data, whatever became of them.
    attach(Toy())
    assert attach(Toy(), data=wanted, training_split=lambda: toyscapes(4)) is not None


def test_other_options_other_data_and_other_label_maps_have_another_folder() -> None:
    folders = [
        attach(Toy()),
        attach(Toy(own=1)),
        attach(Toy(), count=4),
        attach(Toy(), encoding=replace(ENCODING, size=(64, 32))),
        attach(Toy(), encoding=replace(ENCODING, unknown=True)),
        attach(Toy(), encoding=replace(ENCODING, classes=replace(CLASSES, names=("x", *CLASSES.names[1:])))),
    ]
    assert len(set(folders)) == len(folders)
    assert None not in folders


def test_samples_are_those_of_the_split_at_the_suites_size_byte_for_byte() -> None:
    data = toyscapes()
    samples = MemorySamples(data, ENCODING)
    assert len(samples) == 3
    one = samples[1]
    own = data.load(1)
    assert own.photo is not None
    assert one.name == own.name == samples[1:][0].name
    assert torch.equal(one.photo, torch.from_numpy(own.photo.transpose(2, 0, 1)))
    assert torch.equal(one.indices, torch.from_numpy(own.label).long())
    with pytest.raises(IndexError):
        samples[3]
    bare = Toyscapes(None, "train", size=SIZE, count=3, with_photos=False)
    with pytest.raises(UserError, match="no photo"):
        MemorySamples(bare, ENCODING)[0]


def test_a_long_build_says_how_far_it_is_by_tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    attach(Toy(), count=4, say=said.append)
    assert said == []
    monkeypatch.setattr(memory, "LARGE", 20)
    attach(Toy(own=1), count=25, say=said.append)
    assert len(said) == 11
    assert said[-1] == "building the memory: 25/25 photos"


def test_a_second_thread_waits_says_so_and_builds_nothing() -> None:
    first, second = Toy(slow=0.2), Toy()
    builder = threading.Thread(target=attach, args=(first,))
    builder.start()
    while not first.built:
        time.sleep(0.01)
    said: list[str] = []
    attach(second, say=said.append)
    builder.join()
    assert (first.built, second.built) == (1, 0)
    assert first.opened == second.opened
    assert said == ["waiting: another process is building the memory"]


# Another process, with this file under the name that it has here: the name is part of a memory's key.
CHILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location(sys.argv[1], sys.argv[2])
module = sys.modules[sys.argv[1]] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
generator = module.Toy(slow=float(sys.argv[3]))
module.attach(generator)
print(generator.opened, generator.names)
"""


def child(slow: float) -> subprocess.Popen[str]:
    """A process that attaches a memory, each of whose samples takes `slow` seconds to build."""
    environment = {**os.environ, "PYTHONPATH": str(Path(memory.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", CHILD, __name__, __file__, str(slow)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.system
def test_two_processes_build_once(cache: Path) -> None:
    with child(0.5) as one, child(0.5) as two:
        said = [process.communicate(timeout=120)[0] for process in (one, two)]
    generator = Toy()
    attach(generator, training_split=refuse)
    assert said == [f"{generator.opened} {generator.names}\n"] * 2
    assert (cache / "builds.log").read_text() == "built\n"


@pytest.mark.system
def test_a_killed_process_holds_no_lock_and_its_half_is_not_used(cache: Path) -> None:
    with child(60) as process:
        until = time.monotonic() + 120
        while not list(cache.glob("*.unfinished/names.txt")) and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    assert list(cache.glob("*.unfinished/names.txt"))
    said: list[str] = []
    generator = Toy()
    attach(generator, say=said.append)
    assert (generator.built, generator.names) == (1, list(toyscapes().names))
    assert said == []
    assert not list(cache.glob("*.unfinished"))
