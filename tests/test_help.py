"""`--help` of every command: it is there, and shows an example."""

from __future__ import annotations

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from harness.cli import app


def commands() -> list[tuple[str, ...]]:
    """Every command and sub-command, as the words that call it."""
    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found += [(name, *rest) for rest in [(each,) for each in inner]] if inner else [(name,)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    assert f"spadebench {' '.join(command)}" in shown.partition("Example:")[2]
