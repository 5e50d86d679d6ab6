"""Grids as data: what loads, and what a user is told about a grid that does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ablations.grid import COLUMNS, Grid, GridRow, grid_names, load_grid, parse_grid
from harness.errors import UserError


def test_table1_has_the_rows_and_columns_of_the_main_job() -> None:
    grid = load_grid("table1")
    assert [row.name for row in grid.methods] == ["crn", "sims", "pix2pixhd", "pix2pixhdpp", "spade"]
    assert grid.columns == ("miou", "accuracy", "distance")
    assert grid.ceiling
    assert grid.seeds == (0,)
    assert grid.title == "Table 1"


@pytest.mark.parametrize("name", grid_names())
def test_every_shipped_grid_loads_under_its_own_name(name: str) -> None:
    grid = load_grid(name)
    assert (grid.name, grid.origin) == (name, name)
    assert grid.caption


def test_a_users_file_loads_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "kernels.yaml"
    path.write_text(
        "methods:\n- spade\n- {name: spade, label: kernel 1x1, set: {generator.kernel: 1}}\n"
        "suites: [toyscapes]\nseeds: [0, 3]\nset: {optimiser.lr_generator: 1e-4}\n",
        encoding="utf-8",
    )
    grid = load_grid(str(path))
    assert grid == load_grid(path)
    assert (grid.name, grid.origin, grid.title) == ("kernels", str(path), "kernels")
    assert grid.methods[0] == GridRow("spade", published="spade")
    assert grid.overrides(grid.methods[1]) == {"optimiser.lr_generator": 1e-4, "generator.kernel": 1}
    assert (grid.suites, grid.seeds, grid.ceiling, grid.published) == (("toyscapes",), (0, 3), False, None)


def test_a_row_with_overrides_is_not_compared_with_the_paper_unless_it_says_so() -> None:
    grid = parse_grid(
        "methods: [{name: spade, set: {generator.ngf: 48}}, {name: spade, published: spade_ngf64}]", "x", "x"
    )
    assert [row.published for row in grid.methods] == [None, "spade_ngf64"]


def test_a_rows_override_wins_over_the_grids() -> None:
    grid = parse_grid("{methods: [{name: spade, set: {a.b: 2}}], set: {a.b: 1, c: 3}}", "x", "x")
    assert grid.overrides(grid.methods[0]) == {"a.b": 2, "c": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a grid is a mapping"),
        ("- spade", "a grid is a mapping"),
        ("methods: [spade", "broken YAML"),
        ("title: x", "at least one method"),
        ("methods: []", "at least one method"),
        ("methods: spade", "'spade' is not a list"),
        ("methods: [1]", "methods[0]: a method is a name or a mapping"),
        ("methods: [{label: x}]", "a method needs a name"),
        ("methods: [{name: spade, sett: {}}]", "unknown field 'sett' (did you mean set?)"),
        ("methods: [spade, spade]", "'spade' stands there twice"),
        ("methods: [{name: a, label: x}, {name: b, label: x}]", "'x' stands there twice"),
        ("{methods: [spade], method: 1}", "unknown field 'method' (did you mean methods?)"),
        ("{methods: [spade], seeds: [0, x]}", "'x' is not a whole number"),
        ("{methods: [spade], seeds: [true]}", "'True' is not a whole number"),
        ("{methods: [spade], seeds: [0, x]}", "'seeds' entries are whole numbers"),
        ("{methods: [spade], seeds: [-1]}", "seeds[0]: -1 is no seed ('seeds' entries are whole numbers from 0 to"),
        ("{methods: [spade], seeds: [0, 4294967296]}", "seeds[1]: 4294967296 is no seed"),
        ("{methods: [spade], seeds: []}", "a grid needs at least one seed"),
        ("{methods: [spade], seeds: [1, 1]}", "'1' stands there twice"),
        ("{methods: [spade], suites: [null]}", "an entry is empty"),
        ("{methods: [spade], columns: [miuo]}", "unknown column 'miuo' (did you mean miou?)"),
        ("{methods: [spade], columns: []}", "at least one column"),
        ("{methods: [spade], ceiling: 1}", "'1' is not true or false"),
        ("{methods: [spade], set: {a..b: 1}}", "'a..b' is no dotted name"),
        ("{methods: [spade], set: {3: 1}}", "'3' is no dotted name"),
        ("{methods: [spade], set: {a: .nan}}", "'nan' is no plain value"),
        ("{methods: [spade], set: {a: 2020-01-01}}", "'2020-01-01' is no plain value"),
        ("{methods: [spade], set: [1]}", "is not a mapping"),
        ("{methods: [spade], name: a/b}", "'a/b' cannot name a grid"),
        ("methods: [spade]\nmethods: [pix2pixhd]", "broken YAML at line 2: 'methods' is given twice"),
        ("methods: [!!python/object/apply:os.system [id]]", "broken YAML at line 1"),
    ],
)
def test_a_wrong_grid_gets_one_line_with_the_file(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_grid(text, "mine", "some/mine.yaml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("some/mine.yaml")
    assert "\n" not in str(caught.value)


def test_an_unknown_grid_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown grid 'tabel1' .did you mean table1"):
        load_grid("tabel1")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_grid_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "grid.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"grid\.yaml"):
        load_grid(str(path))


def test_every_shipped_column_name_is_accepted_and_any_named_distance() -> None:
    grid = parse_grid(f"{{methods: [spade], columns: [{', '.join(COLUMNS)}, fd_my_net]}}", "x", "x")
    assert isinstance(grid, Grid)
    assert grid.columns == (*COLUMNS, "fd_my_net")


def test_grids_need_no_torch() -> None:
    code = "import sys, ablations.grid as g; g.load_grid('table1'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
