"""The scores of records for people: one record in full, or several protocols side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.progress import say
from harness.records import spread_text

_DISTANCES = ("fid", "kid")


def is_distance(key: str) -> bool:
    """Whether a score is a distance, printed as it is, and no share, printed in per cent."""
    return key in _DISTANCES or key.startswith(("fd_", "kd_"))


def shown(key: str, value: float | None) -> str:
    """A score as it is printed."""
    if value is None:
        return "–"
    return f"{value:.4f}" if is_distance(key) else f"{100 * value:.2f} %"


def print_record(record: dict[str, Any], path: Path) -> None:
    """Scores, signature, notes."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{record['title']} on {record['suite']}", box=None, show_header=False)
    for key, value in record["scores"].items():
        if key != "iou":
            table.add_row(key, shown(key, value))
    for name, value in record["scores"]["iou"].items():
        table.add_row(f"IoU {name}", shown("iou", value))
    Console(emoji=False).print(table)
    print(f"protocol: {record['protocol']['signature']}")
    for key, entry in record.get("spread", {}).items():
        print(f"spread: {key} {spread_text(entry)}")
    for note in record["notes"]:
        print(f"note: {note}")
    print(f"record: {path}")


def print_records(records: Sequence[dict[str, Any]], same: Mapping[str, str], paths: Sequence[Path]) -> None:
    """A row for each protocol, a column for each score; below, the signatures."""
    from rich.console import Console
    from rich.table import Table

    table = Table("protocol", "mIoU", "accuracy", "distances", box=None)
    table.title = f"{records[0]['title']} on {records[0]['suite']}"
    shares: dict[str, list[str]] = {}
    for record in records:
        scores = record["scores"]
        distances = [f"{key} {shown(key, value)}" for key, value in scores.items() if is_distance(key)]
        name = record["protocol"]["name"]
        shares[name] = [shown(key, scores[key]) for key in ("miou", "accuracy")]
        table.add_row(name, *shares[name], "\n".join(distances) or "–")
    for name, twin in same.items():
        table.add_row(name, *shares[twin], f"as {twin}")
    Console(emoji=False).print(table)
    for record in records:
        print(f"{record['protocol']['name']}: {record['protocol']['signature']}")
    spreads: dict[str, list[str]] = {}
    for record in records:
        for key, entry in record.get("spread", {}).items():
            spreads.setdefault(f"{key} {spread_text(entry)}", []).append(record["protocol"]["name"])
    for line, names in spreads.items():
        # Protocols that differ in mIoU alone share their distances.
        print(f"spread: {line}" + ("" if len(names) == len(records) else f" ({', '.join(names)})"))
    for note in dict.fromkeys(note for record in records for note in record["notes"]):
        print(f"note: {note}")
    if paths:
        say(f"{len(paths)} records in {paths[0].parent}")
