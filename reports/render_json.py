"""Tables as JSON: every figure with its seeds, records and protocol hashes, in the records' units."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from reports.layout import several
from reports.table import Cell, Column, RowTest, Table, clean

_DIGITS = 9  # a published percent as a fraction, without the dust of the division


def render_json(tables: Table | Sequence[Table]) -> str:
    """`as_dict` as indented JSON, a list of them where there are several tables; NaN is refused."""
    found = [as_dict(table) for table in several(tables)]
    return json.dumps(found if len(found) != 1 else found[0], indent=2, allow_nan=False, ensure_ascii=False) + "\n"


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
        "tests": [_test(test) for test in table.tests],
        "signatures": [clean(signature) for signature in table.signatures],
        "notes": [clean(note) for note in table.notes],
    }


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    published: dict[str, Any] | None = None
    if cell.published is not None:
        value = published_value(cell, column)
        figure = cell.published
        published = {"text": figure.text, "value": value, "status": figure.status, "source": figure.source}
        published["note"] = figure.note
    return {
        "mean": cell.mean,
        "spread": cell.spread,
        "values": list(cell.values),
        "seeds": list(cell.seeds),
        "interval": None if cell.interval is None else asdict(cell.interval),
        "mark": cell.mark,
        "records": list(cell.records),
        "protocols": list(cell.protocols),
        "published": published,
        "notes": [clean(note) for note in cell.notes],
    }


def _test(test: RowTest) -> dict[str, Any]:
    """A test, its rows by their keys; null where it has no interval."""
    return {**asdict(test), "rows": [clean(row) for row in test.rows]}


def published_value(cell: Cell, column: Column) -> float | None:
    """The published figure in the records' units, or None."""
    if cell.published is None or cell.published.value is None:
        return None
    return round(cell.published.value / column.scale, _DIGITS)
