"""Tables made by hand, with every kind of cell that a renderer must print."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hypothesis import strategies as st

from reports.published import Published
from reports.table import Cell, Column, Interval, Row, RowTest, Table, clean

MIOU = Column("miou", "mIoU", False, scale=100.0, unit="%")
ACCURACY = Column("accuracy", "Accuracy", False, scale=100.0, unit="%")
FID = Column("fid", "FID", True)
PARAMETERS = Column("parameters", "Parameters", True, scale=1e-6, unit="M")
SCRIPT = "<script>alert(1)</script>\"'"
# Every character that some format gives a meaning to, among letters.
NAMES = st.text(alphabet="ab1 .\\`*_{}[]<>()#+-|~!&$:@%^\"',;?=/\t\nΔ±é", min_size=1, max_size=24).filter(clean)
# A figure: (of each seed), published, mark.
Figure = tuple[tuple[float, ...], str, Literal["best", "second"] | None]
FIGURES: dict[str, tuple[Figure, Figure, Figure]] = {
    "CRN": (((0.5213, 0.5202, 0.5254), "52.4", None), ((0.771, 0.77, 0.772), "77.1", None), ((104.0,), "104.7", None)),
    "SIMS": (((), "47.2", None), ((), "75.5", None), ((), "N/A", None)),
    "pix2pixHD": (
        ((0.5829, 0.5901, 0.5777), "58.3", "second"),
        ((0.8143, 0.8143, 0.8143), "81.4", "best"),
        ((95.02, 96.1, 83.4), "95.0", "second"),
    ),
    "SPADE": (
        ((0.6231, 0.6262, 0.6199), "62.3", "best"),
        ((0.8194,), "81.9", "second"),
        ((71.84, 73.2, 69.9), "71.8", "best"),
    ),
}


def published(text: str, column: Column) -> Published:
    """A figure of the paper."""
    value = None if text == "N/A" else float(text)
    verified = "verified in three copies"
    return Published(
        "1", "m", "M", "cityscapes", column.key, text, value, column.unit, verified, "arXiv 1, Table 1", ""
    )


def cell(column: Column, figure: Figure, notes: tuple[str, ...] = ()) -> Cell:
    """One cell; a single seed has an interval."""
    values, paper, mark = figure
    interval = None
    if len(values) == 1:
        interval = Interval(values[0] * 0.98, values[0] * 1.02, 0.95, "images")
    return Cell(
        column.key,
        column.lower_is_better,
        values,
        tuple(range(len(values))),
        tuple(f"record-{seed}" for seed in range(len(values))),
        protocols=("aaaa00000000",) * len(values),
        published=published(paper, column) if paper else None,
        notes=notes,
        interval=interval,
        mark=mark,
    )


def compared_table(paper: bool = True) -> Table:
    """Three metrics measured over seeds and published, with marks, footnotes, tests and the ceiling."""
    columns = (MIOU, ACCURACY, FID)
    rows = []
    for title, figures in FIGURES.items():
        notes = ("others re-measured about 63: another release of the feature net",) if title != "CRN" else ()
        cells = tuple(
            cell(column, (figure[0], figure[1] if paper else "", figure[2]), notes if column is not MIOU else ())
            for column, figure in zip(columns, figures, strict=True)
        )
        rows.append(Row(title.lower(), title, cells, notes=("one seed failed",) if title == "SPADE" else ()))
    ceiling = tuple(cell(column, ((value,), "", None)) for column, value in zip(columns, (0.75, 0.9, 0.0), strict=True))
    tests = (
        RowTest("miou", ("spade", "pix2pixhd"), 0.0395, 0.021, 0.058, 0.0002, 0.0012, "paired bootstrap", "images"),
        RowTest("fid", ("spade", "pix2pixhd"), -19.9, None, None, 0.1, 0.3, "exact permutation", "seeds"),
    )
    signature = "fake:256x512>label:bilinear label:native void:ignore mean:union seg:drn_d_105@12345678 u8:trunc v2"
    return Table(
        "table1",
        "Table 1",
        "Generated images read back by a trained segmenter, and their distance to the photos: SPADE's test.",
        "cityscapes",
        columns,
        (*rows, Row("photos", "real photos", ceiling, ceiling=True)),
        signatures=(f"segmentation: suite:cityscapes data:val500@19337fa3 {signature} #aaaa00000000", "spadebench 0.1"),
        notes=(
            "Mean ± sample standard deviation over 3 seeds.",
            "Bold: the rows of a column that no other is shown to beat; underlined: the same among the rest.",
        ),
        tests=tests,
    )


def plain_table() -> Table:
    """Nothing published, one seed, no mark."""
    table = compared_table(paper=False)
    rows = tuple(
        replace(row, cells=tuple(replace(c, values=c.values[:1], seeds=c.seeds[:1], mark=None) for c in row.cells))
        for row in table.rows
    )
    return replace(table, name="table3", title="Table 3", rows=rows, tests=(), notes=("Seed 0.",))


def renamed(table: Table, name: str) -> Table:
    """The table with a name in every place that takes one."""
    rows = (replace(table.rows[0], key=name, title=name, notes=(name,)), *table.rows[1:])
    return replace(table, title=name, caption=name, rows=rows, notes=(name,), signatures=(name,))
