"""A Table as JSON: every figure with its seeds, records and protocol hashes, in the records' units."""

from __future__ import annotations

import json
from typing import Any

from reports.table import Cell, Column, Table, clean

_DIGITS = 9  # a published percent as a fraction, without the dust of the division


def render_json(table: Table) -> str:
    """`as_dict` as indented JSON; NaN is refused."""
    return json.dumps(as_dict(table), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def as_dict(table: Table) -> dict[str, Any]:
    """Plain nested values. Scores are fractions and costs plain counts, as in a record."""
    return {
        "name": table.name,
        "title": clean(table.title),
        "caption": clean(table.caption),
        "suite": table.suite,
        "columns": [
            {"key": c.key, "header": c.header, "lower_is_better": c.lower_is_better, "mixed_protocols": c.mixed}
            for c in table.columns
        ],
        "rows": [
            {
                "key": clean(row.key),
                "title": clean(row.title),
                "ceiling": row.ceiling,
                "notes": [clean(note) for note in row.notes],
                "cells": {
                    column.key: _cell(cell, column) for column, cell in zip(table.columns, row.cells, strict=True)
                },
            }
            for row in table.rows
        ],
        "signatures": [clean(signature) for signature in table.signatures],
        "notes": [clean(note) for note in table.notes],
    }


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    published: dict[str, Any] | None = None
    if cell.published is not None:
        value = published_value(cell, column)
        figure = cell.published
        published = {"value": value, "status": figure.status, "source": figure.source, "note": figure.note}
    return {
        "mean": cell.mean,
        "spread": cell.spread,
        "values": list(cell.values),
        "seeds": list(cell.seeds),
        "records": list(cell.records),
        "protocols": list(cell.protocols),
        "published": published,
        "notes": [clean(note) for note in cell.notes],
    }


def published_value(cell: Cell, column: Column) -> float | None:
    """The published figure in the records' units, or None."""
    if cell.published is None or cell.published.value is None:
        return None
    return round(cell.published.value / column.scale, _DIGITS)
