"""The options of `--launcher slurm`: what each job asks the cluster for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.launch.launchers.slurm_options import SlurmOptions

_PANEL = "With --launcher slurm"


def _option(words: str, *, least: int | None = None, name: str | None = None) -> typer.models.OptionInfo:
    names = () if name is None else (name,)
    option: typer.models.OptionInfo = typer.Option(*names, help=words, min=least, rich_help_panel=_PANEL)
    return option


Partition = Annotated[str | None, _option("Partition; default: the cluster's own.")]
Time = Annotated[
    str | None,
    _option("Time limit of a job, as 90 (minutes) or 2:30:00; a longer cell takes several; default: 4:00:00."),
]
Memory = Annotated[str | None, _option("Memory of a node, as 16G; default: the cluster's own.", name="--mem")]
Gpus = Annotated[int | None, _option("GPUs of a node; each takes a process of the cell.", least=0)]
Cpus = Annotated[int | None, _option("CPUs of a node for the cell; default: the cluster's own.", least=1)]
Nodes = Annotated[int | None, _option("Nodes of a cell; default: 1.", least=1)]
Account = Annotated[str | None, _option("Account to charge.")]
Qos = Annotated[str | None, _option("Quality of service.")]
Sbatch = Annotated[
    list[str] | None, _option("Any other option of sbatch, as constraint=a100 or exclusive; may be repeated.")
]
CellsPerJob = Annotated[int | None, _option("Cells that a job works through, for short ones; default: 1.", least=1)]


def slurm_options(
    launcher: str,
    jobs: int | None,
    nproc: int | None,
    partition: str | None,
    time: str | None,
    memory: str | None,
    gpus: int | None,
    cpus: int | None,
    nodes: int | None,
    account: str | None,
    qos: str | None,
    sbatch: list[str] | None,
    cells_per_job: int | None,
) -> SlurmOptions | None:
    """What the jobs ask for; None for another launcher. Raises UserError for bad values, and for options of a
    launcher that is not asked for."""
    from harness.launch.launchers.slurm_options import DEFAULT_TIME, SlurmOptions, parse_extra, parse_memory, parse_time

    given = {
        "--partition": partition,
        "--time": time,
        "--mem": memory,
        "--gpus": gpus,
        "--cpus": cpus,
        "--nodes": nodes,
        "--account": account,
        "--qos": qos,
        "--sbatch": sbatch or None,
        "--cells-per-job": cells_per_job,
    }
    if launcher != "slurm":
        if unused := [name for name, value in given.items() if value is not None]:
            raise UserError(
                f"the launcher '{launcher}' has no option {unused[0]}", where=unused[0], mend="add --launcher slurm"
            )
        return None
    return SlurmOptions(
        partition=partition,
        minutes=parse_time(time or DEFAULT_TIME),
        memory=None if memory is None else parse_memory(memory),
        gpus=gpus,
        cpus=cpus,
        nodes=nodes or 1,
        account=account,
        qos=qos,
        extra=parse_extra(sbatch or []),
        cells_per_job=cells_per_job or 1,
        jobs=jobs,
        processes=nproc,
    )
