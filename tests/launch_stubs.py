"""Specs and records made by hand, and a worker that makes its record up, for tests that train nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.files import write_json
from harness.launch.grids.plan import CellSpec, How, read_spec

DESCRIBED = {
    "name": "native",
    "signature": "none",
    "hash": "0" * 12,
    "segmentation": {"signature": "none", "hash": "1" * 12},
    "distance": {"signature": "none", "hash": "2" * 12},
}
TOTAL = 20


def spec_of(out: Path, cell: str = "a" * 12, seed: int = 0, config: dict[str, Any] | None = None) -> CellSpec:
    """A spec of a cell that nobody could train."""
    return CellSpec(
        cell=cell,
        name=f"stub-toyscapes-seed{seed}",
        record=f"{cell}-{DESCRIBED['hash']}",
        method="stub",
        title="Stub",
        suite="toyscapes",
        seed=seed,
        overrides={},
        config=config or {"overrides": {}, "schedule": {"iterations": TOTAL}},
        described=DESCRIBED,
        total=TOTAL,
        how=How(out=str(out), protocol={"name": "native", "segmenter": None}),
    )


def done_record(spec: CellSpec, miou: float = 0.5) -> dict[str, Any]:
    """A finished record of a spec, with every key that is checked."""
    return {
        "schema": 1, "id": spec.record, "cell": spec.cell, "method": spec.method, "title": spec.title,
        "suite": spec.suite, "seed": spec.seed, "status": "done", "source": {"kind": "generator"},
        "config": spec.config, "protocol": spec.described, "scores": {"miou": miou}, "cost": {}, "notes": [],
        "provenance": {"finished": "2026-01-01T00:00:00+00:00", "spadebench": "0", "data": {"trained": ""}},
        "confusion": f"{spec.record}.confusion.npz",
    }  # fmt: skip


def failure(spec: CellSpec, message: str = "no luck") -> dict[str, Any]:
    """A failed record of a spec."""
    kept = {k: v for k, v in done_record(spec).items() if k not in ("source", "scores", "cost", "confusion", "notes")}
    error = {"type": "RuntimeError", "message": message, "where": "", "mend": "", "traceback": ""}
    return {**kept, "status": "failed", "error": error}


def put(record: dict[str, Any], out: Path) -> None:
    """Write a record where a store has it."""
    write_json(out / "records" / f"{record['id']}.json", record)


def stub_command(spec: Path) -> list[str]:
    """A launcher's command that runs this file as the worker."""
    return [sys.executable, __file__, str(spec)]


def main(path: str) -> int:
    """Hold the cell for a moment and leave what `plan.json` of the out folder says for its seed."""
    import time

    from harness.launch.cells.claims import Busy, Claim
    from harness.launch.grids.states import finished

    spec = read_spec(Path(path))
    out = Path(spec.how.out)
    plan = json.loads((out / "plan.json").read_text()).get(str(spec.seed), {})
    try:
        with Claim(spec.folder, every=0.1) as claim:
            if finished(spec) is not None:
                return 0
            with (out / "begun.txt").open("a") as file:
                file.write(f"{spec.seed}\n")
            for step in range(plan.get("steps", 1)):
                claim.progress("training", step + 1, TOTAL)
                time.sleep(0.1)
            left = Path(out / f"killed-{spec.seed}")
            if len(list(out.glob(f"{left.name}.*"))) < plan.get("kills", 0):
                Path(f"{left}.{time.monotonic_ns()}").touch()
                import os
                import signal

                os.kill(os.getpid(), signal.SIGKILL)
            put(failure(spec) if plan.get("fails") else done_record(spec), out)
    except Busy:
        return 75
    return int(bool(plan.get("fails")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
