"""Tables whose records and confusions are made by hand, for the tests of marks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.confusion import Confusion, scores
from reports.columns import metric_of
from reports.table import Cell, Row, Table

COLUMNS = ("miou", "accuracy", "fid", "parameters")
FIELDS = {"class_mean": "union", "void": "ignore"}


def reading(rng: np.random.Generator, pixels: NDArray[np.int64], share: NDArray[np.float64]) -> Confusion:
    """Of images with `pixels` (N, K) of each class, `share` (N, K) or one number of which are read right.

    The last of the K is void. What is read wrong is read as the next class.
    """
    images, classes = pixels.shape[0], pixels.shape[1] - 1
    right = rng.binomial(pixels, np.clip(np.broadcast_to(share, pixels.shape), 0, 1))
    dense = np.zeros((images, classes + 1, classes + 1), np.int64)
    for k in range(classes):
        dense[:, k, k] = right[:, k]
        dense[:, k, (k + 1) % classes] += pixels[:, k] - right[:, k]
    dense[:, classes, 0] = pixels[:, classes]
    names, known = [f"i{n:03}" for n in range(images)], [f"c{k}" for k in range(classes)]
    image, label, prediction = np.nonzero(dense)
    return Confusion(tuple(names), tuple(known), image, label, prediction, dense[image, label, prediction])


def rows_of(skills: dict[str, float], seeds: int = 1, images: int = 40) -> dict[str, list[Confusion]]:
    """Rows that read the same labels, void among them, each `skills` of all pixels right."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(50, 300, (images, 5))
    hard = rng.normal(0, 0.05, (images, 5))
    return {row: [reading(rng, pixels, hard + skill) for _ in range(seeds)] for row, skill in skills.items()}


def record_of(name: str, confusion: Confusion, fields: Mapping[str, Any], **found: float) -> dict[str, Any]:
    """A finished record whose scores are those of its confusion, by its fields' rules."""
    own = scores(confusion.total(), fields.get("class_mean", "union"))
    wrong, ignored = own["accuracy_void_wrong"], own["accuracy"]
    half = {"signature": "by hand", "hash": "aaaa00000000"}
    return {
        "schema": 1,
        "id": name,
        "method": name,
        "title": name,
        "suite": "toyscapes",
        "seed": 0,
        "status": "done",
        "source": {},
        "config": None,
        "protocol": {"hash": "cccc00000000", "segmentation": half, "distance": half, "fields": dict(fields)},
        "scores": {
            "miou": own["miou"],
            "accuracy": wrong if fields.get("void") == "wrong" else ignored,
            "accuracy_void_wrong": wrong,
            "accuracy_void_ignored": ignored,
            **found,
        },
        "cost": {"parameters": 1_000_000},
        "notes": [],
        "provenance": {"spadebench": "0.1.0", "finished": "2026-01-02T03:04:05+00:00"},
        "confusion": f"{name}.confusion.npz",
    }


def by_hand(
    folder: Path,
    rows: Mapping[str, Sequence[Confusion]],
    fid: Mapping[str, Sequence[float]] | None = None,
    keys: Sequence[str] = COLUMNS,
    fields: Mapping[str, Any] = FIELDS,
) -> Table:
    """A table of these rows, one confusion (and FID) for each seed; their files are put under folder/records.

    A row called `photos` is the ceiling.
    """
    (folder / "records").mkdir(parents=True, exist_ok=True)
    told = []
    for row, confusions in rows.items():
        distances = (fid or {}).get(row, [50.0] * len(confusions))
        records = [
            record_of(f"{row}-{seed}", confusion, fields, fid=distance)
            for seed, (confusion, distance) in enumerate(zip(confusions, distances, strict=True))
        ]
        for record, confusion in zip(records, confusions, strict=True):
            _write(folder / "records", record, confusion)
        told.append(_row(row, records, keys))
    columns = tuple(metric_of(key).column for key in keys)
    return Table("by hand", "By hand", "", "toyscapes", columns, tuple(told), notes=("made by hand",))


def _row(name: str, records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Row:
    cells = []
    for key in keys:
        metric = metric_of(key)
        values = tuple(record[metric.part][key] for record in records)
        ids, seeds = tuple(record["id"] for record in records), tuple(range(len(records)))
        protocols = ("aaaa00000000",) * len(records) if metric.half else ()
        cells.append(Cell(key, metric.column.lower_is_better, values, seeds, ids, protocols))
    return Row(name, name.upper(), tuple(cells), ceiling=name == "photos")


def _write(folder: Path, record: dict[str, Any], confusion: Confusion) -> None:
    """As the harness writes them, but neither packed nor waited for: simulations write thousands."""
    (folder / f"{record['id']}.json").write_text(json.dumps(record), encoding="utf-8")
    arrays = {key: getattr(confusion, key) for key in ("image", "label", "prediction", "count")}
    np.savez(folder / record["confusion"], names=confusion.names, classes=confusion.classes, **arrays)


def marks_of(table: Table, key: str) -> dict[str, str | None]:
    """By row, the mark in a column."""
    index = [column.key for column in table.columns].index(key)
    return {row.key: row.cells[index].mark for row in table.rows}


def changed(table: Table, index: int, **columns: Any) -> Table:
    """The table with other facts of one column."""
    every = list(table.columns)
    every[index] = replace(every[index], **columns)
    return replace(table, columns=tuple(every))
