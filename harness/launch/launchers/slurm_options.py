"""What a job of the cluster asks for, as people write it and as submitit and sbatch take it. Needs neither."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import UserError

DEFAULT_TIME = "4:00:00"
# Seconds before the time limit at which a job is told, for a checkpoint; at most this part of the limit.
_NOTICE, _PART = 120, 4
# Options of sbatch that have an option of the command, and those that are the launcher's own.
_INSTEAD = {
    "partition": "--partition",
    "time": "--time",
    "mem": "--mem",
    "gpus_per_node": "--gpus",
    "cpus_per_task": "--cpus",
    "nodes": "--nodes",
    "account": "--account",
    "qos": "--qos",
}
_OWN = {"array", "error", "job_name", "no_requeue", "ntasks", "ntasks_per_node", "open_mode", "output", "parsable"}
_OWN |= {"requeue", "signal", "test_only", "wait", "wrap"}
_TIMES = (
    r"(?P<minutes>\d+)(:(?P<seconds>\d+))?",
    r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)",
    r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?",
)


@dataclass(frozen=True)
class SlurmOptions:
    """What each job asks for; None leaves it to the cluster.

    minutes: time limit. memory: of a node, as 16G. gpus: of a node. cpus: of a process. extra: further options
    of sbatch by name, True for one without a value. cells_per_job: cells that a job works through. jobs: at a
    time. processes: of a cell's torchrun on each node, None for one for each GPU.
    """

    partition: str | None = None
    minutes: int = 240
    memory: str | None = None
    gpus: int | None = None
    cpus: int | None = None
    nodes: int = 1
    account: str | None = None
    qos: str | None = None
    extra: Mapping[str, str | bool] = field(default_factory=dict)
    cells_per_job: int = 1
    jobs: int | None = None
    processes: int | None = None

    @property
    def notice(self) -> int:
        """Seconds before the time limit at which the job is told."""
        return min(_NOTICE, self.minutes * 60 // _PART)

    @property
    def each_node(self) -> int:
        """Processes of a cell on each node."""
        return self.processes or self.gpus or 1

    def parameters(self, job_name: str) -> dict[str, Any]:
        """Parameters of submitit's Slurm executor."""
        asked = {
            "partition": self.partition,
            "mem": self.memory,
            "gpus_per_node": self.gpus or None,
            "cpus_per_task": self.cpus,
            "account": self.account,
            "qos": self.qos,
        }
        return {
            "job_name": job_name,
            "time": self.minutes,
            "nodes": self.nodes,
            "ntasks_per_node": 1,
            "signal_delay_s": self.notice,
            **({} if self.jobs is None else {"array_parallelism": self.jobs}),
            **{name: value for name, value in asked.items() if value is not None},
            # Without it srun takes one CPU, whatever the job has.
            **({} if self.cpus is None else {"srun_args": [f"--cpus-per-task={self.cpus}"]}),
            # A job whose node fails, or that is preempted, waits in the queue again.
            "additional_parameters": {"requeue": True, **self.extra},
        }


def parse_time(text: str) -> int:
    """A time limit in minutes, rounded up: 90, 2:30:00 or 1-12, as sbatch takes them. Raises UserError."""
    for pattern in _TIMES:
        if found := re.fullmatch(pattern, text.strip()):
            parts = {name: int(value) for name, value in found.groupdict().items() if value is not None}
            seconds = 60 * (60 * (24 * parts.get("days", 0) + parts.get("hours", 0)) + parts.get("minutes", 0))
            minutes = -(-(seconds + parts.get("seconds", 0)) // 60)
            if minutes > 0:
                return minutes
    raise UserError(
        f"'{text}' is no time limit", where="--time", mend="write 90 (minutes), 2:30:00 or 1-12 (days-hours)"
    )


def parse_memory(text: str) -> str:
    """The memory of a node as sbatch takes it, such as 16G. Raises UserError."""
    if not re.fullmatch(r"[1-9]\d*[KMGT]?|0", text.strip()):
        raise UserError(f"'{text}' is no amount of memory", where="--mem", mend="write 16G or 4000M")
    return text.strip()


def parse_extra(pairs: Sequence[str]) -> dict[str, str | bool]:
    """Further options of sbatch: `constraint=a100` or, without a value, `exclusive`. Raises UserError."""
    extra: dict[str, str | bool] = {}
    for pair in pairs:
        name, equals, value = pair.strip().removeprefix("--").partition("=")
        key = name.strip().replace("-", "_")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or (equals and not value) or "\n" in value:
            raise UserError(f"'{pair}' is no option of sbatch", where="--sbatch", mend="write constraint=a100")
        if key in _OWN or key in _INSTEAD:
            mend = f"use {_INSTEAD[key]}" if key in _INSTEAD else "leave it out"
            raise UserError(f"spadebench sets '{name}' itself", where=f"--sbatch {pair}", mend=mend)
        extra[key] = value if equals else True
    return extra
