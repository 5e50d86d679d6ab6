"""The record that a failed cell leaves: what was asked for, and the error in place of scores."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.distributed import DistNetworkError, DistStoreError

from harness import __version__
from harness.errors import UserError
from harness.hardware import pick_device, provenance
from harness.launch.grids.plan import CellSpec
from harness.records import SCHEMA

_LONGEST = 20_000  # characters of a traceback that are kept, from its end
# How gloo and NCCL put it that a process at the other end is gone.
_PEER_LOST = re.compile(
    r"Connection (reset|closed) by|Broken pipe|remote process exited|ncclRemoteError|NCCL communicator \w+ aborted",
    re.IGNORECASE,
)


def failed_record(spec: CellSpec, error: BaseException) -> dict[str, Any]:
    """The record of a cell that raised. Keys as in docs/record-schema.md: those of a finished one without
    scores, cost and confusion, and with `error`."""
    return {
        "schema": SCHEMA,
        "id": spec.record,
        "cell": spec.cell if spec.config is not None else None,
        "method": spec.method,
        "title": spec.title,
        "suite": spec.suite,
        "seed": spec.seed,
        "status": "failed",
        "config": spec.config,
        "protocol": spec.described,
        "error": describe_error(error),
        "provenance": {
            "spadebench": __version__,
            **provenance(_device(spec.how.device)),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["spadebench", *sys.argv[1:]]),
            "log": str(spec.log),
        },
    }


def describe_error(error: BaseException) -> dict[str, str]:
    """type, message, where, mend, traceback: all text."""
    if isinstance(error, UserError):
        words = {"message": error.what, "where": error.where, "mend": error.mend}
    else:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}, {frames[-1].name}" if frames else ""
        words = {"message": f"{error}", "where": where, "mend": ""}
    text = "".join(traceback.format_exception(error))
    return {"type": type(error).__name__, **words, "traceback": text[-_LONGEST:]}


def error_line(record: dict[str, Any]) -> str:
    """The error of a failed record, as one line."""
    error = record["error"]
    if error["type"] == UserError.__name__:
        line = str(UserError(error["message"], error["where"], error.get("mend", "")))
    else:
        line = f"{error['type']}: {error['message']} ({error['where']})"
    return " ".join(line.split())


def says_peer_lost(error: BaseException) -> bool:
    """Whether an error of one process of several says that another of them is gone, and so is no failure of its own.

    What NCCL says of its settings or the machine, a DistBackendError too, is one.
    """
    if isinstance(error, DistNetworkError | DistStoreError):
        return True
    return isinstance(error, RuntimeError) and _PEER_LOST.search(str(error)) is not None


def _device(name: str | None) -> torch.device:
    try:
        device = pick_device(name)
        if device.type == "cuda":
            torch.cuda.get_device_name(device)
    except (RuntimeError, AssertionError, ValueError):  # which may be why the cell failed
        return torch.device("cpu")
    return device
