"""A user's code that does not load is one line that says where, each time it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.registry import import_plugin


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(:\n    pass\n", r"this code does not load: SyntaxError: invalid syntax \(broken_code.py, line 1\)"),
        ("\n\nraise ValueError('boom')\n", r"this code does not load: ValueError: boom \(see line 3\)"),
        ("{}['key']\n", r"this code does not load: KeyError: 'key' \(see line 1\)"),
        ("import sys\nsys.exit(0)\n", r"this code does not load: SystemExit: 0 \(see line 2\)"),
        ("import no_such_module\n", "cannot import 'no_such_module'"),
    ],
)
def test_broken_code_is_one_line_and_no_half_module_stays(tmp_path: Path, code: str, said: str) -> None:
    path = tmp_path / "broken_code.py"
    path.write_text(code)
    for _ in range(2):
        with pytest.raises(UserError, match=said) as caught:
            import_plugin(str(path))
        assert "\n" not in str(caught.value)
        assert "broken_code" not in sys.modules
    path.write_text("")
    import_plugin(str(path))
    del sys.modules["broken_code"]
