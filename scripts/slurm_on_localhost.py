"""A Slurm cluster of one node on this machine, for tests and for trying `--launcher slurm` without a cluster.

    .venv/bin/python scripts/slurm_on_localhost.py spadebench run table1 --suite toyscapes --launcher slurm

Starts munged, slurmctld and slurmd with a key, ports and folders of their own, runs the command with
SLURM_CONF set, and stops all three. Where the packages are missing, they are installed if this is root on
Debian; else one line says what is missing.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from getpass import getuser
from pathlib import Path

# Found as a script, whose own folder is on the path, and from the tests, where the folder above it is.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from scripts.debian_packages import CannotInstall, last_line
from scripts.debian_packages import install as install_packages
from scripts.debian_packages import program as found

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
PACKAGES = ("slurm-wlm", "munge")
_STARTING = 30.0
_STOPPING = 20.0
# RealMemory is what jobs may ask for together; nothing holds them to it.
_CONF = """\
ClusterName=localhost
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=sched_interval=2,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=10
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


class CannotStart(Exception):  # noqa: N818  # a fact about the machine, for one line
    """There can be no Slurm here; the words say why."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command with a Slurm of one node on this machine.")
    parser.add_argument("--cpus", type=int, default=2, help="CPUs of the node (2)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    asked = parser.parse_args()
    if not asked.command:
        parser.error("name a command to run")
    # So that the daemons are stopped then too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with running(cpus=asked.cpus) as conf:
            return subprocess.run(asked.command, env={**os.environ, "SLURM_CONF": str(conf)}, check=False).returncode
    except CannotStart as why:
        print(f"slurm: {why}", file=sys.stderr)
        return 1


@contextmanager
def running(cpus: int = 2) -> Iterator[Path]:
    """A Slurm of one node with `cpus` CPUs while the block runs; yields the path for SLURM_CONF.

    Raises CannotStart, with the reason, where there can be none.
    """
    install()
    with ExitStack() as stack:
        # Not below a private folder: all daemons must reach it.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        for name in ("state", "spool", "log"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        conf = folder / "slurm.conf"
        controller_port, node_port = free_ports(2)
        host = socket.gethostname().split(".")[0]
        words = {"folder": folder, "user": getuser(), "host": host, "cpus": cpus}
        conf.write_text(_CONF.format(**words, controller_port=controller_port, node_port=node_port), encoding="utf-8")
        stack.callback(stop, folder)
        start(folder, conf)
        yield conf


def install() -> None:
    """Install what is missing, where that can be done. Raises CannotStart."""
    try:
        install_packages(PACKAGES, lambda: next((name for name in PROGRAMS if found(name) is None), None))
    except CannotInstall as why:
        raise CannotStart(str(why)) from None


def start(folder: Path, conf: Path) -> None:
    """Start the three daemons and wait for the node. Raises CannotStart."""
    munge = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("socket", "key-file")]
    munge += [f"--{name}={folder}/munged.{name.split('-')[0]}" for name in ("pid-file", "log-file", "seed-file")]
    for command in (["munged", *munge], ["slurmctld", "-f", conf], ["slurmd", "-f", conf, "-N", "localhost"]):
        run_daemon([str(found(str(command[0]))), *map(str, command[1:])], conf)
    deadline = time.monotonic() + _STARTING
    while time.monotonic() < deadline:
        try:
            asked = subprocess.run(
                ["sinfo", "--noheader", "--format=%T"],
                env={**os.environ, "SLURM_CONF": str(conf)},
                capture_output=True,
                text=True,
                timeout=5,
                check=False,
            )
        except subprocess.TimeoutExpired:
            continue
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    log = folder / "log" / "slurmctld.log"
    raise CannotStart(
        f"the node did not come up: {last_line(log.read_text(errors='replace') if log.is_file() else '')}"
    )


def run_daemon(command: list[str], conf: Path) -> None:
    """Start a program that goes into the background by itself."""
    try:
        # Its output goes nowhere: a pipe would stay open as long as the daemon runs.
        done = subprocess.run(
            command,
            env={**os.environ, "SLURM_CONF": str(conf)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_STARTING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotStart(f"{Path(command[0]).name} did not start in {_STARTING:.0f} s") from None
    if done.returncode != 0:
        raise CannotStart(f"{Path(command[0]).name} ended with exit code {done.returncode}")


def stop(folder: Path) -> None:
    """End the jobs, then the daemons by their pid files, in the order in which they lean on each other."""
    with suppress(subprocess.SubprocessError, OSError):
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        subprocess.run(["scancel", f"--user={getuser()}"], env=environment, capture_output=True, timeout=5, check=False)
    for name in ("slurmd", "slurmctld", "munged"):
        try:
            pid = int((folder / f"{name}.pid").read_text())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            continue
        deadline = time.monotonic() + _STOPPING
        while time.monotonic() < deadline and alive(pid):
            time.sleep(0.1)
        if alive(pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process that is no child of ours runs."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """TCP ports of this host that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    sys.exit(main())
