"""Rows of trainings in micro-batches: never mixed with those by whole batches, and said so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ablations.grid import Grid, parse_grid
from reports.build import build_table
from reports.layout import lay_out
from reports.records import select

Make = Callable[..., dict[str, Any]]


def micro(make: Make, seed: int, parts: int = 2, **changes: Any) -> dict[str, Any]:
    """A record of a training in micro-batches."""
    record = make(seed=seed, **changes)
    note = f"out of memory: trained in micro-batches of {4 // parts}, batch statistics are over {4 // parts} images"
    config = {**record["config"], "accumulate": parts}
    return {**record, "id": f"{record['id']}-{parts}", "config": config, "notes": [note]}


def two_seeds() -> Grid:
    return parse_grid("{methods: [spade], seeds: [0, 1], columns: [miou]}", "two", "two")


@pytest.mark.parametrize(
    ("whole", "parts", "picked"),
    [
        ((0, 1), {2: (0, 1)}, (1, (0, 1))),
        ((0,), {2: (0, 1)}, (2, (0, 1))),
        ((), {2: (0, 1), 4: (0, 1)}, (2, (0, 1))),
        ((), {2: (0,), 4: (0, 1)}, (4, (0, 1))),
        ((0,), {2: (1,)}, (1, (0,))),
        ((), {2: (0,), 4: (1,)}, (1, ())),
    ],
)
def test_seeds_by_whole_batches_and_in_micro_batches_never_share_a_row(
    make: Make, whole: tuple[int, ...], parts: dict[int, tuple[int, ...]], picked: tuple[int, tuple[int, ...]]
) -> None:
    later = "2026-06-01T00:00:00+00:00"
    records = [make(seed=seed) for seed in whole]
    records += [micro(make, seed, k, finished=later) for k, seeds in parts.items() for seed in seeds]
    row = select(records, two_seeds(), "cityscapes")[0]
    assert {record["config"].get("accumulate", 1) for record in row.records} <= {picked[0]}
    assert tuple(record["seed"] for record in row.records) == picked[1]
    everyone = {seed for seeds in (whole, *parts.values()) for seed in seeds}
    assert row.left_out == tuple(sorted(everyone - set(picked[1])))


def test_a_row_in_micro_batches_carries_the_footnote(make: Make) -> None:
    records = [micro(make, seed, suite="toyscapes") for seed in (0, 1)]
    layout = lay_out(build_table(two_seeds(), "toyscapes", records))
    assert layout.lines[0].marks == (1,)
    assert layout.footnotes[0] == "out of memory: trained in micro-batches of 2, batch statistics are over 2 images"


def test_a_table_says_which_seeds_are_left_out_and_how_to_get_them(make: Make) -> None:
    records = [make(seed=0, suite="toyscapes"), micro(make, 1, suite="toyscapes")]
    table = build_table(two_seeds(), "toyscapes", records)
    assert table.rows[0].cells[0].seeds == (0,)
    assert any("left out seed 1, trained in micro-batches" in note and "--retry oom" in note for note in table.notes)
    complete = build_table(two_seeds(), "toyscapes", [*records, make(seed=1, suite="toyscapes")])
    assert not any("left out" in note for note in complete.notes)
