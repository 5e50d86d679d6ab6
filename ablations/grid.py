"""A grid: the cells of a table or an ablation, as data, so that a user writes one without code.

The shipped grids are the YAML files of this package; a user's own file has the same fields (ablations/code.py has
them as Python):

    title: Kernel size                       # printed above the table
    caption: What the kernel of SPADE's convs is worth.
    methods:                                 # the rows, in order
      - spade                                # a method as it is defined
      - {name: spade, label: kernel 1x1, set: {generator.kernel: 1}}
    suites: [toyscapes]                      # where none is given on the command line
    seeds: [0, 1, 2]
    set: {generator.ngf: 32}                 # for all rows
    ceiling: true                            # a row for the real photos
    columns: [miou, accuracy, distance]
    published: table1                        # figures of results/published to compare with
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ablations.code import run_grid_file
from harness.errors import UserError, did_you_mean

# `distance` stands for whatever Fréchet distances the records hold: `fid`, else each `fd_*` by its own name.
COLUMNS = (
    "miou",
    "accuracy",
    "accuracy_void_ignored",
    "accuracy_void_wrong",
    "distance",
    "fid",
    "kid",
    "parameters",
    "multiply_adds",
)
# Asked of people: nothing here measures it, so a grid with no other column has nothing to run.
STUDY = ("spade_preferred",)
_FIELDS = ("name", "title", "caption", "methods", "suites", "seeds", "set", "ceiling", "columns", "published")
_ROW_FIELDS = ("name", "label", "set", "published")
# The most that torch's CPU generator takes.
MAX_SEED = 2**32 - 1
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class GridRow:
    """One row of a grid.

    name: a registered method. label: as the row is printed, None: by the method's title. set: overrides
    by dotted name, over those of the grid. published: the row's name in results/published; a row with
    overrides of its own is another network than the published one, so it has none unless stated. where: the
    place it was written at, for errors. given: the names of `set` that are of the command line.
    """

    name: str
    label: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    published: str | None = None
    where: str = field(default="", compare=False)
    given: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class Grid:
    """The cells methods x suites x seeds, and how they make a table.

    origin: the shipped name or the path it was loaded from, as a user names it on the command line.
    published: name of the published table to compare with, or None. given: the names of `set` that are of the
    command line. The other fields: see the module.
    """

    name: str
    origin: str
    title: str
    caption: str
    methods: tuple[GridRow, ...]
    suites: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    set: Mapping[str, Any] = field(default_factory=dict)
    ceiling: bool = False
    columns: tuple[str, ...] = ("miou", "accuracy", "distance")
    published: str | None = None
    given: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def runs(self) -> bool:
        """Whether there is anything to run: a human study is published figures alone."""
        return any(column not in STUDY for column in self.columns)

    def overrides(self, row: GridRow) -> dict[str, Any]:
        """The overrides of a row's cells: the grid's, with the row's own over them."""
        return {**self.set, **row.set}


def grid_names() -> list[str]:
    """Names of the shipped grids, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in resources.files("ablations").iterdir() if _is_yaml(f.name))


def load_grid(name_or_path: str | Path) -> Grid:
    """A shipped grid by name, or a user's own by the path of its YAML file, or of a .py file, whose code is run.

    Raises UserError, with file and field, for anything that is not a grid.
    """
    origin = str(name_or_path)
    path = Path(origin)
    if _is_yaml(origin) or path.suffix == ".py" or "/" in origin or isinstance(name_or_path, Path):
        if not path.is_file():
            raise UserError("no such grid file", where=origin, mend=f"shipped grids: {', '.join(grid_names())}")
        if path.suffix == ".py":
            return _grid(run_grid_file(path, origin), path.stem, origin)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read this grid: {error}", where=origin, mend="it must be UTF-8 YAML") from error
        return parse_grid(text, path.stem, origin)
    if origin not in grid_names():
        raise UserError(
            f"unknown grid '{origin}'", mend=did_you_mean(origin, grid_names()) + " or give a .yaml or .py file"
        )
    return parse_grid((resources.files("ablations") / f"{origin}.yaml").read_text(encoding="utf-8"), origin, origin)


def parse_grid(text: str, name: str, origin: str) -> Grid:
    """A grid from YAML text. `name` is used where the text gives none. Raises UserError as load_grid."""
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" at line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "not YAML"
        raise UserError(f"broken YAML{line}: {problem}", where=origin, mend="correct that line") from error
    if not isinstance(data, dict):
        raise UserError("a grid is a mapping of fields", where=origin, mend=f"fields: {', '.join(_FIELDS)}")
    return _grid(data, name, origin)


def _grid(data: dict[str, Any], name: str, origin: str) -> Grid:
    """A grid from its fields."""
    _known(data, _FIELDS, origin)
    name = _text(data, "name", name, origin)
    if not _PLAIN_NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a grid", where=f"{origin}: name", mend="use letters, digits and . _ + - only"
        )
    methods = _list(data, "methods", origin)
    if not methods:
        raise UserError("a grid needs at least one method", where=f"{origin}: methods", mend="methods: [spade]")
    rows = tuple(_row(entry, f"{origin}: methods[{i}]") for i, entry in enumerate(methods))
    suites = tuple(_list(data, "suites", origin, str))
    seeds = tuple(_list(data, "seeds", origin, int)) if "seeds" in data else (0,)
    columns = tuple(_list(data, "columns", origin, str)) if "columns" in data else Grid.columns
    if not seeds:
        raise UserError("a grid needs at least one seed", where=f"{origin}: seeds", mend="seeds: [0, 1, 2]")
    for i, seed in enumerate(seeds):
        if not 0 <= seed <= MAX_SEED:
            raise UserError(
                f"{seed} is no seed",
                where=f"{origin}: seeds[{i}]",
                mend=f"'seeds' entries are whole numbers from 0 to {MAX_SEED}",
            )
    if not columns:
        raise UserError("a grid needs at least one column", where=f"{origin}: columns", mend=did_you_mean("", COLUMNS))
    for column in columns:
        if column not in (*COLUMNS, *STUDY) and not column.startswith(("fd_", "kd_")):
            raise UserError(
                f"unknown column '{column}'",
                where=f"{origin}: columns",
                mend=did_you_mean(column, [*COLUMNS, "fd_…", "kd_…"]),
            )
    for key, values in (("suites", suites), ("seeds", seeds), ("columns", columns)):
        _no_twins(list(values), f"{origin}: {key}")
    overrides = _overrides(data, origin)
    _no_twins([(row.name, {**overrides, **row.set}) for row in rows], f"{origin}: methods")
    _no_twins([row.label for row in rows if row.label is not None], f"{origin}: methods")
    return Grid(
        name=name,
        origin=origin,
        title=_text(data, "title", name, origin) or name,
        caption=_text(data, "caption", "", origin),
        methods=rows,
        suites=suites,
        seeds=seeds,
        set=overrides,
        ceiling=_typed(data, "ceiling", False, bool, origin),
        columns=columns,
        published=_typed(data, "published", None, str, origin),
    )


def _row(entry: Any, where: str) -> GridRow:
    if isinstance(entry, str):
        return GridRow(entry, published=entry, where=where)
    if not isinstance(entry, dict):
        raise UserError(
            "a method is a name or a mapping",
            where=where,
            mend="{name: spade, label: my row, set: {generator.ngf: 32}}",
        )
    _known(entry, _ROW_FIELDS, where)
    name = _text(entry, "name", "", where)
    if not name:
        raise UserError("a method needs a name", where=where, mend="name: spade")
    overrides = _overrides(entry, where)
    label = _typed(entry, "label", None, str, where)
    published = _typed(entry, "published", None if overrides else name, str, where)
    return GridRow(name, label, overrides, published, where)


def _known(data: Mapping[Any, Any], fields: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in fields:
            raise UserError(f"unknown field '{key}'", where=where, mend=did_you_mean(str(key), fields))


def _typed(data: Mapping[str, Any], key: str, default: Any, kind: type, where: str, entry: bool = False) -> Any:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted = {str: "text", bool: "true or false", list: "a list", dict: "a mapping", int: "a whole number"}[kind]
        several = {"text": "text", "a whole number": "whole numbers"}
        mend = f"'{key}' entries are {several[wanted]}" if entry else f"{key} is {wanted}"
        raise UserError(f"'{value}' is not {wanted}", where=f"{where}: {key}", mend=mend)
    return value


def _text(data: Mapping[str, Any], key: str, default: str, where: str) -> str:
    return str(_typed(data, key, default, str, where)).strip()


def _list(data: Mapping[str, Any], key: str, where: str, kind: type | None = None) -> list[Any]:
    values: list[Any] = _typed(data, key, [], list, where)
    if kind is not None:
        for i, value in enumerate(values):
            if value is None:
                raise UserError("an entry is empty", where=f"{where}: {key}[{i}]", mend="take the entry out")
            _typed({key: value}, key, None, kind, where, entry=True)
    return values


def _overrides(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = _typed(data, "set", {}, dict, where)
    for key, value in found.items():
        if not isinstance(key, str) or not all(key.split(".")):
            raise UserError(f"'{key}' is no dotted name", where=f"{where}: set", mend="set: {generator.ngf: 32}")
        if not _plain(value):
            raise UserError(
                f"'{value}' is no plain value",
                where=f"{where}: set: {key}",
                mend="use text, numbers, true, false, lists",
            )
    return found


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _no_twins(values: list[Any], where: str) -> None:
    for i, value in enumerate(values):
        if value in values[:i]:
            shown = value[0] if isinstance(value, tuple) else value
            raise UserError(f"'{shown}' stands there twice", where=where, mend="take one out, or let them differ")


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-4 as a number, which PyYAML takes for text, and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    problem=f"'{key}' is given twice", problem_mark=node.value[i][0].start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)
