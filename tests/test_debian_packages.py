"""Packages are installed once where that can be, and one line says why not elsewhere. No real apt runs here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from scripts.debian_packages import CannotInstall, install


class Apt:
    """Stands for apt: what was asked of it, and whether it works."""

    def __init__(self, works: bool, brings: bool = True) -> None:
        self.works, self.brings = works, brings
        self.asked: list[str] = []
        self.there = False

    def run(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(command[3])
        self.there = self.brings and command[3] == "install"
        return subprocess.CompletedProcess(command, 0 if self.works else 100, "", "one\nno network\n")

    def missing(self) -> str | None:
        return None if self.there else "thing.sty"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Root on Debian, with a folder of its own for locks."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return monkeypatch


def use(apt: Apt, patch: pytest.MonkeyPatch) -> Apt:
    patch.setattr(subprocess, "run", apt.run)
    return apt


def test_nothing_is_done_where_nothing_is_missing(root: pytest.MonkeyPatch) -> None:
    apt = use(Apt(works=True), root)
    install(("thing",), lambda: None)
    assert apt.asked == []


def test_what_is_missing_is_installed(root: pytest.MonkeyPatch) -> None:
    apt = use(Apt(works=True), root)
    install(("thing",), apt.missing)
    assert apt.asked == ["update", "install"]


def test_only_root_installs(root: pytest.MonkeyPatch) -> None:
    apt = use(Apt(works=True), root)
    root.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotInstall, match=r"^thing\.sty is missing, and only root on Debian installs it here$"):
        install(("thing",), apt.missing)
    assert apt.asked == []


def test_a_failure_is_told_and_not_tried_again_at_once(root: pytest.MonkeyPatch) -> None:
    apt = use(Apt(works=False), root)
    for _ in range(2):
        with pytest.raises(CannotInstall, match="apt-get update failed: no network"):
            install(("thing",), apt.missing)
    assert apt.asked == ["update"]


def test_a_package_without_what_is_needed_is_told(root: pytest.MonkeyPatch) -> None:
    apt = use(Apt(works=True, brings=False), root)
    with pytest.raises(CannotInstall, match=r"thing\.sty is missing after the installation of thing"):
        install(("thing",), apt.missing)
