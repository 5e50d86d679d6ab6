"""The norms that do not read the label map: which axes, which scales, and actnorm's first batch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from baselines.norms.actnorm import ActNorm
from baselines.norms.build import NormValue, build_norm
from baselines.norms.group import Group
from harness.labels import LabelSpec

LABELS = LabelSpec(classes=3)
ROOT = Path(__file__).resolve().parents[2]
AFFINE = ["batch", "sync_batch", "instance", "group", "layer"]


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3 + 1


@pytest.mark.parametrize("name", [*AFFINE, "none"])
def test_plain_norms_are_free_of_parameters_and_need_no_label_map(name: str) -> None:
    norm = build_norm(name, 5, LABELS)
    assert not list(norm.parameters())
    assert norm(features(2, 5, 4, 4), None).shape == (2, 5, 4, 4)


@pytest.mark.parametrize("name", AFFINE)
def test_affine_norms_scale_and_shift_each_channel(name: str) -> None:
    norm = build_norm({"name": name, "affine": True}, 5, LABELS)
    assert isinstance(norm.weight, nn.Parameter)
    assert isinstance(norm.bias, nn.Parameter)
    x = features(2, 5, 4, 4)
    plain = build_norm(name, 5, LABELS)(x)
    scale, shift = torch.linspace(1, 2, 5), torch.linspace(-1, 1, 5)
    with torch.no_grad():
        norm.weight.copy_(scale)
        norm.bias.copy_(shift)
    torch.testing.assert_close(norm(x), plain * scale.view(1, 5, 1, 1) + shift.view(1, 5, 1, 1))


@pytest.mark.parametrize(
    ("norm", "over"),
    [
        ("batch", (0, 2, 3)),
        ("sync_batch", (0, 2, 3)),
        ("actnorm", (0, 2, 3)),
        ("instance", (2, 3)),
        ("layer", (1, 2, 3)),
        ({"name": "layer", "affine": True, "eps": 1e-12}, (1, 2, 3)),
        ({"name": "group", "groups": 1}, (1, 2, 3)),
        ({"name": "group", "groups": 5}, (2, 3)),
    ],
)
def test_statistics_are_taken_over_the_right_axes(norm: NormValue, over: tuple[int, ...]) -> None:
    out = build_norm(norm, 5, LABELS)(features(3, 5, 8, 8))
    torch.testing.assert_close(out.mean(over), torch.zeros_like(out.mean(over)), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(over, correction=0), torch.ones_like(out.mean(over)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("channels", "groups", "found"), [(64, 32, 32), (48, 32, 16), (6, 4, 2), (5, 32, 1)])
def test_groups_are_as_many_as_divide_the_channels(channels: int, groups: int, found: int) -> None:
    norm = Group(channels, LABELS, groups=groups)
    assert norm.num_groups == found
    out = norm(features(2, channels, 4, 4)).view(2, found, -1)
    torch.testing.assert_close(out.mean(2), torch.zeros(2, found), rtol=0, atol=1e-5)


@pytest.mark.parametrize("eps", [1e-12, 1.0])
def test_layer_norm_adds_its_eps_to_the_variance(eps: float) -> None:
    x = features(2, 5, 4, 4) * 0.1
    mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(build_norm({"name": "layer", "eps": eps}, 5, LABELS)(x), (x - mean) / (var + eps).sqrt())


@pytest.fixture
def one_process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process_group")
def test_sync_batch_falls_back_to_the_own_batch_on_the_cpu() -> None:
    sync, plain = (build_norm({"name": n, "affine": True}, 5, LABELS) for n in ("sync_batch", "batch"))
    with pytest.raises(ValueError, match="GPU"):  # what torch itself does there
        nn.SyncBatchNorm(5)(features(2, 5, 4, 4))
    for _ in range(2):
        assert torch.equal(sync(features(2, 5, 4, 4)), plain(features(2, 5, 4, 4)))
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in sync.state_dict().items())


def test_actnorm_is_the_identity_until_a_training_batch_has_set_it() -> None:
    norm, x = ActNorm(5, LABELS).eval(), features(2, 5, 4, 4)
    assert torch.equal(norm(x), x)
    assert not norm.is_set
    norm.train()(x)
    assert norm.is_set
    assert not torch.allclose(norm.eval()(x), x)


def test_actnorm_is_set_by_the_first_training_batch_only() -> None:
    norm, first, second = ActNorm(5, LABELS), features(2, 5, 4, 4), features(2, 5, 6, 6) * 7 - 3
    mean, std = first.mean((0, 2, 3), keepdim=True), first.std((0, 2, 3), correction=0, keepdim=True)
    for x in (first, second, first):
        torch.testing.assert_close(norm(x), (x - mean) / std, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.eval()(second), (second - mean) / std, rtol=1e-4, atol=1e-4)


def test_a_loaded_actnorm_is_not_set_again() -> None:
    norm, other = ActNorm(5, LABELS), ActNorm(5, LABELS)
    norm(features(2, 5, 4, 4))
    other.load_state_dict(norm.state_dict())
    other(features(2, 5, 6, 6) * 7 - 3)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in norm.state_dict().items())


def test_actnorm_keeps_a_channel_finite_that_is_constant_in_the_first_batch() -> None:
    norm = ActNorm(2, LABELS)
    assert bool(norm(torch.full((1, 2, 1, 1), 4.0)).isfinite().all())
    assert float(norm.scale.detach().max()) < 1000


def test_actnorm_is_accurate_where_the_mean_dwarfs_the_spread() -> None:
    x = features(2, 5, 16, 16) * 0.1 + 1000
    found = ActNorm(5, LABELS)(x).double()
    torch.testing.assert_close(found.var((0, 2, 3), correction=0), torch.ones(5).double(), rtol=0, atol=0.01)


TWO_PROCESSES = """
import sys
import torch
import torch.distributed as dist
from baselines.norms.actnorm import ActNorm
from harness.labels import LabelSpec
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
norm = ActNorm(3, LabelSpec(classes=2))
x = torch.load(f"{folder}/x.pt", weights_only=True)
for _ in range(2):
    norm([x[:1], x[1:]][rank])
dist.broadcast(norm.is_set, 0)  # as torch's data parallel wrapper does with buffers
torch.save(norm.state_dict(), f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


@pytest.mark.system
def test_actnorm_over_two_processes_is_set_by_both_batches(tmp_path: Path) -> None:
    # Batches of unlike sizes: their means do not weigh the same.
    x = features(3, 3, 4, 4) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    torch.save(x, tmp_path / "x.pt")
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [[sys.executable, "-c", TWO_PROCESSES, str(rank), str(tmp_path)] for rank in range(2)]
    running = [subprocess.Popen(w, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) for w in words]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    alone = ActNorm(3, LABELS)
    alone(x)
    for rank in range(2):
        state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert state["is_set"]
        for key in ("scale", "shift"):
            torch.testing.assert_close(state[key], alone.state_dict()[key], rtol=1e-5, atol=1e-6)
