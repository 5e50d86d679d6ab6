"""Downloads, and the command that makes them, against a server of our own: whole, broken, refused and gone on."""

from __future__ import annotations

import hashlib
import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from harness.cli import main
from harness.downloads import CHUNK, fetch
from harness.errors import UserError
from harness.registry import WEIGHTS, names
from harness.weights import WeightFile

ROOT = Path(__file__).resolve().parents[1]
CONTENT = hashlib.shake_256(b"weights").digest(3 * CHUNK + 1234)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """One file under every address. ends: bytes after which it breaks off; waits: or waits for `go_on`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.version, self.ranges, self.says_length = CONTENT, '"1"', True, True
        self.ends: int | None = None
        self.waits: int | None = None
        self.status = 200
        self.asked: list[str | None] = []
        self.go_on = threading.Event()

    def address(self, name: str = "net.pth") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        of = self.server
        asked = self.headers.get("Range")
        of.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and of.ranges else 0
        if of.status != 200 or start >= len(of.content):
            self.send_error(of.status if of.status != 200 else 416)
            return
        self.send_response(206 if start else 200)
        if of.version:
            self.send_header("ETag", of.version)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(of.content) - 1}/{len(of.content)}")
        if of.says_length:
            self.send_header("Content-Length", str(len(of.content) - start))
        self.end_headers()
        body = of.content[start : of.ends]
        if of.waits is not None:
            self.wfile.write(body[: of.waits])
            of.go_on.wait(60)
            body = body[of.waits :]
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.go_on.set()
        serving.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "sub" / "net.pth"


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def broken_off(server: Server, target: Path, after: int) -> None:
    """A first try of which `after` bytes come."""
    server.ends = after
    with pytest.raises(
        UserError, match=rf"the connection broke after {after} of {len(server.content)} bytes \(the same"
    ):
        fetch(server.address(), target)
    server.ends = None
    assert left(target) == {"net.pth.part", "net.pth.part.json"}
    server.asked.clear()


def test_a_file_comes_whole_with_its_progress_and_leaves_nothing_else(server: Server, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    accepted: list[bytes] = []
    fetch(
        server.address(),
        target,
        size=len(CONTENT),
        accept=lambda part: accepted.append(part.read_bytes()),
        progress=lambda done, total: told.append((done, total)),
    )
    assert target.read_bytes() == CONTENT
    assert accepted == [CONTENT]
    assert left(target) == {"net.pth"}
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_broken_download_goes_on_where_it_stopped(server: Server, target: Path) -> None:
    broken_off(server, target, CHUNK + 100)
    fetch(server.address(), target)
    assert server.asked == [f"bytes={CHUNK + 100}-"]
    assert target.read_bytes() == CONTENT
    assert left(target) == {"net.pth"}


def test_a_download_that_was_killed_goes_on(server: Server, target: Path) -> None:
    server.waits = 2 * CHUNK
    code = "import sys, pathlib; from harness.downloads import fetch; fetch(sys.argv[1], pathlib.Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", code, server.address(), target], cwd=ROOT)
    part = target.with_name("net.pth.part")
    until = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert 0 < have <= 2 * CHUNK
    assert not target.exists()
    server.go_on.set()
    server.asked.clear()
    fetch(server.address(), target)
    assert server.asked == [f"bytes={have}-"]
    assert target.read_bytes() == CONTENT
    assert left(target) == {"net.pth"}


def test_a_server_without_ranges_starts_again(server: Server, target: Path) -> None:
    broken_off(server, target, CHUNK)
    server.ranges = False
    fetch(server.address(), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("shorter", [True, False])
def test_a_file_that_changed_on_the_server_starts_again(server: Server, target: Path, shorter: bool) -> None:
    broken_off(server, target, 2 * CHUNK)
    server.content, server.version = CONTENT[::-1][: CHUNK if shorter else None], '"2"'
    fetch(server.address(), target)
    assert server.asked == [f"bytes={2 * CHUNK}-", None]
    assert target.read_bytes() == server.content


def test_a_part_of_which_it_is_not_known_what_it_is_starts_again(server: Server, target: Path) -> None:
    broken_off(server, target, CHUNK)
    fetch(server.address("other.pth"), target)  # another address
    assert server.asked == [None]
    server.version = ""  # a server that does not tell one file from another
    broken_off(server, target.with_name("again") / "net.pth", CHUNK)
    fetch(server.address(), target.with_name("again") / "net.pth")
    assert server.asked == [None]
    target.with_name("net.pth.part").write_bytes(b"left by somebody")
    fetch(server.address(), target)
    assert target.read_bytes() == CONTENT


def test_a_whole_part_is_not_asked_for_again(server: Server, target: Path) -> None:
    broken_off(server, target, CHUNK)
    with target.with_name("net.pth.part").open("ab") as part:
        part.write(CONTENT[CHUNK:])
    fetch(server.address(), target, size=len(CONTENT))
    assert server.asked == []
    assert target.read_bytes() == CONTENT


def test_what_is_not_accepted_is_removed_and_the_old_file_stays(server: Server, target: Path) -> None:
    def refuse(part: Path) -> None:
        raise UserError("wrong weights")

    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(UserError, match="wrong weights"):
        fetch(server.address(), target, accept=refuse)
    assert left(target) == {"net.pth"}
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("says_length", [True, False])
def test_another_size_is_refused(server: Server, target: Path, says_length: bool) -> None:
    server.says_length = says_length
    with pytest.raises(UserError, match=f"{len(CONTENT)} bytes.*, not 5"):
        fetch(server.address(), target, size=5)
    assert left(target) == set()
    with pytest.raises(UserError, match=f"{len(CONTENT)}.* bytes"):
        fetch(server.address(), target, size=len(CONTENT) + 1)
    assert not target.exists()


@pytest.mark.parametrize(
    ("status", "line"), [(404, "the server answers 404 Not Found"), (503, "the server answers 503")]
)
def test_an_error_of_the_server_is_one_line(server: Server, target: Path, status: int, line: str) -> None:
    broken_off(server, target, CHUNK)
    server.status = status
    with pytest.raises(UserError, match=line) as caught:
        fetch(server.address(), target)
    assert server.address() in str(caught.value)
    assert "net.pth.part" in left(target)  # it may come back


def test_no_server_no_http_no_folder_and_a_second_process_are_one_line_each(server: Server, target: Path) -> None:
    with pytest.raises(UserError, match=r"cannot reach the server: .*refused"):
        fetch("http://127.0.0.1:1/net.pth", target)
    with pytest.raises(UserError, match="not an http address"):
        fetch(target.parent.as_uri(), target)
    with FileLock(target.with_name("net.pth.part.lock")), pytest.raises(UserError, match="another process downloads"):
        fetch(server.address(), target)
    (target.parent / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        fetch(server.address(), target.parent / "file" / "net.pth")


def weights(monkeypatch: pytest.MonkeyPatch, *words: Any) -> int:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["spadebench", "weights", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


@pytest.fixture
def declared(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three weight files in place of the declared ones: one that comes, a wrong one, one without an address."""
    names(WEIGHTS)  # all are there before they are put aside
    page, users = "https://example.org", ("net",)
    files = [
        WeightFile("hand", "hand.pth", page, "a test", users, sha256=DIGEST, licence="MIT"),
        WeightFile("net", "sub/net.pth", page, "mIoU 50", users, server.address(), len(CONTENT), DIGEST, "MIT"),
        WeightFile("wrong", "wrong.pth", page, "a test", users, server.address("wrong.pth"), sha256="0" * 8),
    ]
    monkeypatch.setattr(WEIGHTS, "_module_dict", {file.name: lambda file=file: file for file in files})
    monkeypatch.setenv("SPADEBENCH_WEIGHTS", str(tmp_path / "named"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.usefixtures("declared")
def test_the_command_downloads_lists_and_verifies(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "named" / "sub" / "net.pth"
    assert weights(monkeypatch, "download", "net", "--dry-run") == 0
    assert weights(monkeypatch, "list") == 0
    assert weights(monkeypatch, "verify") == 0
    assert server.asked == []  # nothing comes unasked
    out, err = capsys.readouterr()
    assert "net  can be downloaded, 0.8 MiB, checked by sha256" in out
    assert "hand  to be got by hand" in out
    assert f"would download {server.address()} to {path}" in err
    assert "no weight file is at hand" in err

    assert weights(monkeypatch, "download", "net") == 0
    assert path.read_bytes() == CONTENT
    assert "licence: MIT" in capsys.readouterr().err
    assert weights(monkeypatch, "download", "net") == 0
    assert f"net: at hand, {path}" in capsys.readouterr().err
    assert len(server.asked) == 1

    assert weights(monkeypatch, "list", "--json") == 0
    listed = {of["name"]: of for of in json.loads(capsys.readouterr().out)}
    assert (listed["net"]["path"], listed["net"]["bytes"]) == (str(path), len(CONTENT))
    assert listed["hand"]["path"] is None
    assert weights(monkeypatch, "verify", "--json") == 0
    expected = {"name": "net", "path": str(path), "sha256": DIGEST, "by": "sha256", "wrong": None}
    assert json.loads(capsys.readouterr().out) == [expected]


@pytest.mark.usefixtures("declared")
def test_the_command_refuses_a_wrong_file_and_names_what_is_got_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "to"
    assert weights(monkeypatch, "download", "--all", "--to", to) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"hand: no address to download from. Get it from https://example.org, and put it at {to / 'hand.pth'}" in err
    assert f"wrong weights: sha256 begins with {DIGEST[:8]}, not 00000000" in err
    assert err.splitlines()[-1] == "not at hand: wrong"
    assert {str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()} == {"sub/net.pth"}
    assert weights(monkeypatch, "download", "hand", "--to", to) == 2

    (to / "hand.pth").write_bytes(b"put here by hand, but another file")
    assert weights(monkeypatch, "verify", "--weights-root", to) == 2
    out, _ = capsys.readouterr()
    assert f"hand: WRONG: {to / 'hand.pth'}: wrong weights" in out
    assert "net: right by sha256" in out
    (to / "hand.pth").write_bytes(CONTENT)
    assert weights(monkeypatch, "verify", "hand", "--weights-root", to) == 0
    assert weights(monkeypatch, "verify", "wrong", "--weights-root", to) == 2
    assert "wrong: WRONG: not at hand" in capsys.readouterr().out


@pytest.mark.usefixtures("declared")
def test_the_command_replaces_a_wrong_file_by_the_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "named" / "sub" / "net.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    assert weights(monkeypatch, "verify") == 2
    assert weights(monkeypatch, "download", "net") == 0
    assert path.read_bytes() == CONTENT


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    "words",
    [["download"], ["download", "net", "--all"], ["verify", "nett"], ["list", "--weights-root", "gone"]],
    ids=" ".join,
)
def test_bad_input_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("spadebench: error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("declared")
def test_files_are_listed_where_scoring_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SPADEBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "spadebench" / "weights" / "sub" / "net.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert weights(monkeypatch, "list", "--json") == 0
    listed = {of["name"]: of for of in json.loads(capsys.readouterr().out)}
    assert listed["net"]["path"] == str(path)
