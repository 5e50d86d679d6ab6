"""Running code that a user names: a .py file or a module. What goes wrong in it becomes one line."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from harness.errors import UserError, error_line


def run_file(path: Path, name: str) -> ModuleType:
    """Run a .py file as the module `name`. Where it raises, no half of a module stays: asked again, it fails again."""
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def told(where: str, file: Path | None = None) -> Iterator[None]:
    """What code run within raises becomes a UserError. where: how the user names the code. file: the code's, for
    the number of the line that failed."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise UserError(
            f"cannot import '{error.name}'", where=where, mend="install it, or run where it can be found"
        ) from error
    except (Exception, SystemExit) as error:  # it is code, and may raise anything, or call sys.exit
        raise UserError(f"this code does not load: {error_line(error)}", where, _last_line(error, file)) from error


def _last_line(error: BaseException, file: Path | None) -> str:
    """The last line of a user's file that was run before an error, for people; empty where none is known."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if file is not None and Path(frame.filename).name == file.name]
    return f"see line {lines[-1]}" if lines else ""
