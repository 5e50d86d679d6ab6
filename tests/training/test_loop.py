"""The training loop: resumable bit for bit, and a pure function of its cell."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import SMALL, fitting, small_cell

from harness.cells import Cell, load_suite, resolve
from harness.errors import UserError
from harness.evaluation.bench import open_data
from harness.evaluation.places import Places
from harness.launch.cells.cell import make_fabric
from harness.registry import METHODS, PERCEPTUAL, lookup, names
from harness.training.checkpoints import Checkpoint, list_checkpoints, load_checkpoint
from harness.training.loop import LoopOptions, train

CPU = torch.device("cpu")


def trained(
    cell: Cell, folder: Path, init_from: Checkpoint | None = None, steps: list[int] | None = None, **loop: int
) -> Checkpoint:
    """The final checkpoint; `steps` gathers the iterations that were done."""
    dataset = open_data(cell.suite, "train", Places())
    options = LoopOptions(**{"checkpoint_every": 2, "keep": 9, "tensorboard": False, **loop})
    fabric = make_fabric(CPU, cell.config["precision"])

    def note(done: int, total: int, values: dict[str, float]) -> None:
        if steps is not None:
            steps.append(done)

    name = cell.config["perceptual"]
    net = lookup(PERCEPTUAL, name)(None, CPU) if name is not None else None
    path = train(cell, dataset, folder, fabric, net, init_from, options, note)
    return load_checkpoint(path)


def assert_same(a: Checkpoint, b: Checkpoint) -> None:
    for name, state in a.networks.items():
        for key, value in state.items():
            assert torch.equal(value, b.networks[name][key]), f"{name}.{key}"
    for name, optimiser in a.optimisers.items():
        for index, state in optimiser["state"].items():
            for key, value in state.items():
                assert torch.equal(value, b.optimisers[name]["state"][index][key]), f"{name} {index} {key}"


@pytest.mark.parametrize("method", ["spade", "pix2pixhd", "spade_vae"])
def test_a_training_resumed_at_any_checkpoint_ends_with_the_same_weights(method: str, tmp_path: Path) -> None:
    extra = {"encoder__ndf": 4, "encoder__size": 32} if method == "spade_vae" else {}
    cell = small_cell(method, **extra)
    whole = trained(cell, tmp_path / "whole")
    for stop in (2, 4):
        folder = tmp_path / f"stopped_{stop}"
        (folder / "checkpoints").mkdir(parents=True)
        source = tmp_path / "whole" / "checkpoints" / f"iteration_{stop:08d}.pt"
        (folder / "checkpoints" / source.name).write_bytes(source.read_bytes())
        steps: list[int] = []
        assert_same(whole, trained(cell, folder, steps=steps))
        assert steps == list(range(stop + 1, 7))


def test_two_trainings_of_one_cell_are_equal_and_loader_threads_do_not_matter(tmp_path: Path) -> None:
    cell = small_cell()
    assert_same(trained(cell, tmp_path / "a"), trained(cell, tmp_path / "b", workers=2))


def test_seeds_give_different_weights(tmp_path: Path) -> None:
    one, two = (trained(resolve("spade", load_suite("toyscapes"), s, SMALL), tmp_path / str(s)) for s in (0, 1))
    assert not torch.equal(one.networks["generator"]["fc.weight"], two.networks["generator"]["fc.weight"])


@pytest.mark.parametrize("method", names(METHODS))
def test_every_method_trains_and_moves_its_weights(method: str, tmp_path: Path) -> None:
    extra = {"encoder.size": 32, "generator.width": 16, "encoder.ndf": 4}
    extra = {key.replace(".", "__"): value for key, value in fitting(method, extra).items()}
    cell = small_cell(method, schedule__iterations=2, **extra)
    done = trained(cell, tmp_path, checkpoint_every=1)
    first = load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[0])
    assert done.finished
    for name, state in done.networks.items():
        weights = [key for key in state if key.endswith(("weight", "weight_orig"))]
        assert any(not torch.equal(state[k], first.networks[name][k]) for k in weights), name
        assert all(torch.isfinite(value.float()).all() for value in state.values()), name


def test_bf16_trains(tmp_path: Path) -> None:
    done = trained(small_cell(precision="bf16", schedule__iterations=2), tmp_path)
    assert all(v.dtype != torch.bfloat16 for v in done.networks["generator"].values())


def test_init_from_starts_at_the_given_weights(tmp_path: Path) -> None:
    start = trained(small_cell(), tmp_path / "start")
    still = small_cell(schedule__iterations=1, optimiser__lr_generator=0.0, optimiser__lr_discriminator=0.0)
    after = trained(still, tmp_path / "after", init_from=start)
    key = "up_3.conv_0.weight_orig"
    assert torch.equal(after.networks["generator"][key], start.networks["generator"][key])


def test_a_checkpoint_of_another_cell_is_refused(tmp_path: Path) -> None:
    trained(small_cell(), tmp_path)
    with pytest.raises(UserError, match="another cell"):
        trained(small_cell(schedule__iterations=8), tmp_path)


def test_only_the_last_k_checkpoints_are_kept(tmp_path: Path) -> None:
    trained(small_cell(), tmp_path, checkpoint_every=1, keep=2)
    assert [p.name for p in list_checkpoints(tmp_path / "checkpoints")] == [
        "iteration_00000005.pt",
        "iteration_00000006.pt",
    ]


def test_the_log_has_one_row_for_each_logged_step_also_after_a_resume(tmp_path: Path) -> None:
    cell = small_cell()
    trained(cell, tmp_path, log_every=1)
    whole = (tmp_path / "log.csv").read_text()
    for path in list_checkpoints(tmp_path / "checkpoints")[2:]:
        path.unlink()
    steps: list[int] = []
    trained(cell, tmp_path, steps=steps, log_every=1)
    assert steps == [5, 6]
    assert (tmp_path / "log.csv").read_text() == whole
    assert len(whole.splitlines()) == 7


def test_a_training_that_diverges_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    cell = small_cell(optimiser__lr_generator=1e30, optimiser__lr_discriminator=1e30)
    with pytest.raises(UserError, match="no longer finite"):
        trained(cell, tmp_path, checkpoint_every=1, keep=1)
    for path in list_checkpoints(tmp_path / "checkpoints"):
        for state in load_checkpoint(path).networks.values():
            assert all(torch.isfinite(value).all() for value in state.values())


def test_init_from_another_method_is_refused_with_the_keys(tmp_path: Path) -> None:
    start = trained(small_cell("pix2pixhdpp", schedule__iterations=1), tmp_path / "start")
    with pytest.raises(UserError, match=r"--init-from.*missing fc\.weight"):
        trained(small_cell(), tmp_path / "after", init_from=start)


def test_a_checkpoint_says_what_it_was_made_on(tmp_path: Path) -> None:
    made = trained(small_cell(schedule__iterations=1), tmp_path).made
    assert made["processes"] == 1
    assert made["versions"]["torch"] == torch.__version__
    assert made["hardware"]["device"] == "cpu"
