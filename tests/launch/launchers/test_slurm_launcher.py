"""The slurm launcher against a Slurm that runs nothing: what it asks for, what it keeps, what it reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from launch_stubs import spec_of
from slurm_stubs import FakeSlurm, fake_slurm

from harness.commands.cluster_options import slurm_options
from harness.errors import UserError
from harness.files import write_json
from harness.launch.grids.plan import CellSpec, read_spec
from harness.launch.grids.states import observe_all, target_of
from harness.launch.launchers.slurm import SlurmLauncher
from harness.launch.launchers.slurm_jobs import Submission, note_path, parse_squeue, submissions, with_jobs
from harness.launch.launchers.slurm_options import SlurmOptions, parse_extra, parse_memory, parse_time
from harness.records import Store


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return fake_slurm(tmp_path / "bin", monkeypatch)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def specs_of(out: Path, count: int) -> list[CellSpec]:
    return [spec_of(out, f"{i:012x}", i) for i in range(count)]


def launcher(out: Path, said: list[str] | None = None, **options: object) -> SlurmLauncher:
    say = (lambda line: None) if said is None else said.append
    return SlurmLauncher(out, SlurmOptions(**options), say, 0.0, 0.0)  # type: ignore[arg-type]


def only(out: Path) -> Submission:
    (found,) = submissions(out)
    return found


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("0:30", 1), ("2:30:00", 150), ("1-12", 2160), ("1-12:30", 2190), ("0-0:1:1", 2), (" 5 ", 5)],
)
def test_a_time_limit_is_read_as_sbatch_reads_it(text: str, minutes: int) -> None:
    assert parse_time(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "soon", "2h", "1:2:3:4", "-5", "1-"])
def test_what_is_no_time_limit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--time"):
        parse_time(text)


def test_options_of_sbatch_are_checked() -> None:
    assert parse_extra(["constraint=a100", "--mail-type=END", "exclusive"]) == {
        "constraint": "a100",
        "mail_type": "END",
        "exclusive": True,
    }
    for pair, said in (
        ("array=0-3", "leave it out"),
        ("mem=3G", "use --mem"),
        ("job-name=x", "leave it out"),
        ("=3", "is no option"),
        ("constraint=", "is no option"),
        ("comment=a\n#SBATCH --wrap=x", "is no option"),
    ):
        with pytest.raises(UserError, match=said):
            parse_extra([pair])
    assert parse_memory("16G") == "16G"
    with pytest.raises(UserError, match="--mem"):
        parse_memory("16 gigs")


def test_options_of_a_launcher_that_is_not_asked_for_are_refused() -> None:
    rest = dict.fromkeys(
        ("jobs", "nproc", "partition", "time", "memory", "gpus", "cpus", "nodes", "account", "qos", "sbatch")
    )
    given = {**rest, "cells_per_job": None}
    assert slurm_options("local", **given) is None  # type: ignore[arg-type]
    with pytest.raises(UserError, match="'local' has no option --gpus"):
        slurm_options("local", **{**given, "gpus": 1})  # type: ignore[arg-type]
    chosen = slurm_options("slurm", **{**given, "gpus": 4, "time": "1:00:00", "nodes": 2})  # type: ignore[arg-type]
    assert chosen is not None
    assert (chosen.minutes, chosen.each_node, chosen.nodes, chosen.notice) == (60, 4, 2, 120)


def test_cells_are_submitted_as_an_array_with_what_was_asked_for(slurm: FakeSlurm, out: Path) -> None:
    specs = specs_of(out, 5)
    asked = launcher(
        out, partition="gpu", minutes=90, memory="16G", gpus=1, cpus=4, account="lab", qos="low", cells_per_job=2,
        jobs=3, extra={"constraint": "a100", "exclusive": True},
    )  # fmt: skip
    asked.submit(specs)
    name = only(out).name
    expected = {
        "--partition=gpu", "--time=90", "--mem=16G", "--gpus-per-node=1", "--cpus-per-task=4", "--account=lab",
        "--qos=low", "--array=0-2%3", "--constraint=a100", "--exclusive", "--requeue", "--signal=USR2@120",
        "--nodes=1", "--ntasks-per-node=1", f"--job-name={name}",
    }  # fmt: skip
    given = {line.removeprefix("#SBATCH ") for line in slurm.script if line.startswith("#SBATCH")}
    assert expected <= given
    assert any(line.startswith("srun ") and "--cpus-per-task=4" in line for line in slurm.script)
    assert only(out).cells == ((specs[0].key, specs[1].key), (specs[2].key, specs[3].key), (specs[4].key,))
    assert only(out).job == "7"
    assert [read_spec(spec.path) for spec in specs] == specs
    assert asked.room > 5


def test_an_error_of_sbatch_is_one_line_and_leaves_nothing(
    slurm: FakeSlurm, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm.answer("refusal", "sbatch: error: x\nsbatch: error: Batch job submission failed: Invalid partition name\n")
    with pytest.raises(UserError) as refused:
        launcher(out, partition="absent").submit(specs_of(out, 2))
    assert str(refused.value).startswith("sbatch: Batch job submission failed: Invalid partition name (see --partition")
    assert len(str(refused.value).splitlines()) == 1
    assert list((out / "slurm").iterdir()) == []
    assert capfd.readouterr().err == ""


def test_ends_are_read_from_notes_and_from_the_queue(slurm: FakeSlurm, out: Path) -> None:
    specs = specs_of(out, 6)
    asked = launcher(out)
    asked.submit(specs)
    name = only(out).name
    states = ("RUNNING", "PENDING", "COMPLETED", "CANCELLED", "TIMEOUT")
    slurm.queue("3_9|FAILED|other|None", *(f"7_{i}|{state}|{name}|None" for i, state in enumerate(states)))
    write_json(note_path(only(out).folder, specs[2].key), {"code": -9, "job": "7_2"})
    ended = {each.key: each for each in asked.poll()}
    assert list(ended) == [spec.key for spec in specs[2:]]
    assert [(ended[s.key].code, ended[s.key].detail, ended[s.key].final) for s in specs[2:]] == [
        (-9, "killed by signal 9, job 7_2", False),
        (None, "job 7_3 cancelled", True),
        (None, "job 7_4 timeout", False),
        (None, "job 7_5 is gone", False),
    ]
    assert asked.poll() == []


def test_jobs_are_left_alone_while_squeue_does_not_answer(slurm: FakeSlurm, out: Path) -> None:
    said: list[str] = []
    asked = launcher(out, said)
    asked.submit(specs_of(out, 2))
    slurm.answer("down", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
    assert asked.poll() == asked.poll() == []
    told = [line for line in said if "squeue" in line]
    assert told == [
        "squeue: Unable to contact slurm controller (connect failure); the jobs go on, and Slurm is asked again"
    ]


def test_a_later_submission_waits_until_the_controller_answers(slurm: FakeSlurm, out: Path) -> None:
    specs, said = specs_of(out, 3), []
    asked = launcher(out, said)
    asked.submit(specs[:1])
    slurm.answer("refusal", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n")
    asked.submit(specs[1:])
    assert "Socket timed out on send/recv operation (see --partition" in said[-1]
    (slurm.folder / "refusal").unlink()
    slurm.queue(f"7|RUNNING|{only(out).name}|None")
    asked.poll()
    assert said[-1].startswith("2 cells submitted")


def test_the_next_launcher_takes_the_jobs_over(slurm: FakeSlurm, out: Path) -> None:
    specs, said = specs_of(out, 3), []
    first = launcher(out)
    first.submit(specs)
    assert "3 cells go on in the cluster, job 7" in first.interrupt()
    name = only(out).name
    slurm.queue(f"7_0|RUNNING|{name}|None", f"7_1|PENDING|{name}|Priority", f"7_2|CANCELLED|{name}|None")
    second = launcher(out, said)
    second.submit(specs)
    assert "2 cells in jobs that an earlier run submitted: job 7" in said[0]
    assert "1 cell submitted in job 7" in said[1]
    assert [each.cells for each in submissions(out) if each.name != name] == [((specs[2].key,),)]
    states = with_jobs(observe_all([target_of(spec) for spec in specs], Store(out)), out)
    assert [state.detail for state in states] == ["job 7_0 running", "job 7_1 pending (Priority)", ""]


def test_a_job_of_the_same_number_and_another_name_is_not_ours(slurm: FakeSlurm, out: Path) -> None:
    specs, said = specs_of(out, 1), []
    launcher(out).submit(specs)
    slurm.queue("7|RUNNING|something else|None")
    launcher(out, said).submit(specs)
    assert said[0].startswith("1 cell submitted")


def test_rows_of_squeue_are_read_with_what_they_hold() -> None:
    rows = parse_squeue("12|RUNNING|a|b|None\n\n12_[3-5]|PENDING|a|None\n13_4|NODE_FAIL|x|NodeDown\nnonsense\n")
    assert [(row.id, row.task, row.name, row.over) for row in rows] == [("12", 0, "a|b", False), ("13_4", 4, "x", True)]


def test_without_slurm_or_submitit_one_line_says_so(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm: FakeSlurm
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "submitit.slurm.slurm", None)
    with pytest.raises(UserError, match="needs the extra 'slurm'"):
        launcher(out)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch was not found"):
        launcher(out)


def test_a_file_that_is_no_submission_is_left_out(out: Path) -> None:
    good = Submission(out / "slurm" / "spadebench-1.json", "5", (("a",), ("b",)))
    good.save()
    (out / "slurm" / "broken.json").write_text("{")
    (out / "slurm" / "later.json").write_text('{"slurm": 99}')
    assert [replace(each, submitted="") for each in submissions(out)] == [good]
    assert [good.job_id(1), replace(good, cells=(("a",),)).job_id(0)] == ["5_1", "5"]
