"""What a library asks for at its start is left out, and nobody else misses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import sys
from harness.quick_start import quick_start
quick_start()
quick_start()
assert sum(type(finder).__module__ == "harness.quick_start" for finder in sys.meta_path) == 1
import lightning_fabric
assert "torchmetrics" not in sys.modules
import torchmetrics
assert torchmetrics.__version__
"""


def test_torchmetrics_is_left_out_for_lightning_alone() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
