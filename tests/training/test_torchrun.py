"""Training over several processes, on CPUs through gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small import SMALL_SET

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[2]


def final_weights(store: Path) -> dict[str, torch.Tensor]:
    path = next(store.glob("cells/*/checkpoints/iteration_00000002.pt"))
    return torch.load(path, weights_only=True)["networks"]["generator"]


def test_two_processes_train_as_one_where_no_statistic_runs_over_the_batch(tmp_path: Path) -> None:
    # pix2pixHD has instance norms only, so shares of a batch are independent but for the gradients' mean.
    words = ["-m", "harness.cli", "train", "pix2pixhd", "--suite", "toyscapes", *SMALL_SET]
    words += ["--set", "schedule.iterations=2"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command, out in (([sys.executable], tmp_path / "one"), (torchrun, tmp_path / "two")):
        done = subprocess.run(
            [*command, *words, "--out", str(out)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    one, two = final_weights(tmp_path / "one"), final_weights(tmp_path / "two")
    assert one.keys() == two.keys()
    # Two steps of Adam move a weight by up to 8e-4; two ways of summing a batch must hardly part them. Later steps
    # would: rounding differences grow from step to step in any training of this kind.
    # Biases ahead of an instance norm are left out: their gradient is rounding noise, which Adam scales up.
    apart = {key: (one[key] - two[key]).abs() for key in one if one[key].dim() > 1}
    assert max(d.mean().item() for d in apart.values()) < 1e-5
