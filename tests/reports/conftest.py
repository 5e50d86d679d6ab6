"""Records made by hand after docs/record-schema.md, for the tests of reports."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.grid import Grid, load_grid
from reports.build import build_table
from reports.table import Table

SCORES = {
    "spade": {"miou": 0.6231, "accuracy": 0.8194, "fid": 71.84},
    "pix2pixhdpp": {"miou": 0.588, "accuracy": 0.811, "fid": 80.0},
    "pix2pixhd": {"miou": 0.5829, "accuracy": 0.8143, "fid": 95.02},
    "photos": {"miou": 0.7512, "accuracy": 0.9, "fid": 0.0},
}
TITLES = {"spade": "SPADE", "pix2pixhdpp": "pix2pixHD++", "pix2pixhd": "pix2pixHD", "photos": "real photos"}


def _record(
    method: str = "spade",
    suite: str = "cityscapes",
    seed: int | None = 0,
    overrides: dict[str, Any] | None = None,
    finished: str = "2026-01-02T03:04:05+00:00",
    segmentation: str = "aaaa00000000",
    distance: str = "bbbb00000000",
    **changes: Any,
) -> dict[str, Any]:
    photos = method == "photos"
    identity = f"{method}-{suite}-{seed}-{segmentation}"
    record = {
        "schema": 1,
        "id": identity,
        "cell": None if photos else f"cell-{method}",
        "method": method,
        "title": TITLES.get(method, method),
        "suite": suite,
        "seed": None if photos else seed,
        "status": "done",
        "source": {"kind": "photos" if photos else "generator"},
        "config": None
        if photos
        else {"format": 1, "init_from": None, "overrides": overrides or {}, "schedule": {"iterations": 100}},
        "protocol": {
            "name": "native",
            "signature": "all of it",
            "hash": "cccc00000000",
            "segmentation": {"signature": "seg:drn_d_105@12345678 v1", "hash": segmentation},
            "distance": {"signature": "fd:inception@12345678 v1", "hash": distance},
            "fields": {},
        },
        "scores": {
            **SCORES.get(method, SCORES["spade"]),
            "accuracy_void_wrong": 0.7,
            "iou": {"road": 0.9, "bus": None},
        },
        "cost": {"parameters": None if photos else 93_048_003, "multiply_adds": None if photos else 281_300_000_000},
        "notes": [],
        "provenance": {"spadebench": "0.1.0", "finished": finished},
        "confusion": f"{identity}.confusion.npz",
    }
    return copy.deepcopy({**record, **changes})


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    """A finished record; keyword arguments change it."""
    return _record


@pytest.fixture
def full() -> list[dict[str, Any]]:
    """One record for each row of Table 1, the ceiling included, on cityscapes."""
    return [_record(method) for method in SCORES]


@pytest.fixture
def table1() -> Grid:
    """Table 1 with three of its rows."""
    shipped = load_grid("table1")
    rows = {row.name: row for row in shipped.methods}
    return replace(shipped, methods=(rows["spade"], rows["pix2pixhdpp"], rows["pix2pixhd"]))


@pytest.fixture
def save(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a record under tmp_path/records; its path."""

    def write(record: dict[str, Any]) -> Path:
        path = tmp_path / "records" / f"{record['id']}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
        return path

    return write


@pytest.fixture
def table(full: list[dict[str, Any]], table1: Grid) -> Table:
    return build_table(table1, "cityscapes", full)


@pytest.fixture
def plain(make: Callable[..., dict[str, Any]], table1: Grid) -> Table:
    """A table that has nothing published."""
    return build_table(
        replace(table1, published=None), "toyscapes", [make(suite="toyscapes"), make("photos", "toyscapes")]
    )
