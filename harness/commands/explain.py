"""`spadebench explain`: where one figure of a table comes from. Reads records, needs no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.commands import tables as t
from harness.commands.grids import DEFAULT_OUT

_WIDTH = 14  # of the words in front
_LIST_SAFE = re.compile(r"[^,]+")  # what --methods can name


def explain(
    grid: t.GridName,
    row: Annotated[str, typer.Argument(help="Row: its title, label or method, or photos.")],
    column: Annotated[str, typer.Argument(help="Column: its key, as miou, or its printed name.")],
    suite: t.SuiteName = None,
    methods: t.Methods = None,
    seeds: t.Seeds = None,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    data_root: o.DataRoot = None,
    out: t.Out = DEFAULT_OUT,
    protocol: t.Protocol = None,
    mix: t.Mix = False,
    published: t.PublishedFiles = None,
    as_json: o.Json = False,
) -> None:
    """Say where a figure comes from: records, protocol, data, versions, and the commands that make it again.

    Choose the table by the same options as for report.

    \b
    Example:
      spadebench explain table1 spade miou --suite toyscapes
    """
    from reports.explain import explain as explained
    from reports.explain import find_column, find_row
    from reports.records import read_records, select

    choice = t.Choice(
        grid, suite, methods, seeds, overrides, budget, data_root, out, protocol, mix, tuple(published or ())
    )
    sized = choice.grids()
    others = choice.others(sized[0][0], [name for _, name in sized])
    records = read_records(out)
    choice.hint(records)
    found = []
    for each, name in sized:
        table = choice.table(each, name, records, others)
        at, column_at = find_row(table, each, row), find_column(table, column)
        picked = select(records, each, name, protocol)
        key = table.rows[at].key
        # The photos come with any row.
        alone = None if table.rows[at].ceiling or not _LIST_SAFE.fullmatch(key) else key
        found.append(explained(table, each, picked, at, column_at, out, choice.command(name, alone)))
    if as_json:
        o.print_json(found if len(found) > 1 else found[0])
    else:
        print("\n\n".join("\n".join(lines(one)) for one in found))


def lines(explained: dict[str, Any]) -> list[str]:
    """What reports.explain says of a figure, for people."""
    row, column = explained["row"], explained["column"]
    said = [f"{row['title']}, {column['header']} ({explained['table']} on {explained['suite']})"]
    nothing = "nothing: published alone" if explained["missing"] is None else "nothing yet"
    said.append(_line("measured", explained["printed"] or nothing))
    for figure in explained["figures"]:
        said += ["", *_of_record(figure), *_of_figure(figure)]
    for lacking in explained["without_figure"]:
        said += ["", *_of_record(lacking), _line("value", "none"), *(_line("note", n) for n in lacking["notes"])]
    for figure in explained["published"]:
        unit = figure["unit"] if figure["value"] is not None else ""
        said += ["", _line("published", f"{figure['text']} {unit}".strip())]
        said += [_line("source", figure["source"]), _line("status", figure["status"])]
        said += [_line("note", figure["note"])] if figure["note"] else []
    missing = explained["missing"]
    if missing is not None:
        lost = f" (failed: {_listed(missing['failed'])})" if missing["failed"] else ""
        what = f"seed {_listed(missing['seeds'])}{lost}" if missing["seeds"] else "the record"
        said += ["", _line("missing", what), _line("filled by", missing["command"])]
    told = _told(explained)
    notes = [note for note in explained["notes"] if not any(each in note for each in told)]
    return [*said, *([""] if notes else []), *(_line("note", note) for note in notes)]


def _of_record(figure: dict[str, Any]) -> list[str]:
    seed = "" if figure["seed"] is None else f", seed {figure['seed']}"
    return [_line("record", figure["record"] + seed), _line("file", figure["file"])]


def _of_figure(figure: dict[str, Any]) -> list[str]:
    said = [_line("value", f"{figure['value']!r} ({figure['printed']} in the table)")]
    protocol = figure["protocol"]
    if protocol is not None:
        said.append(_line("protocol", f"{protocol['name']}, {protocol['half']}: {protocol['signature']}"))
        said.append(_line("its hash", protocol["hash"]))
    said.append(_line("finished", f"{figure['finished']}, by spadebench {figure['spadebench']}"))
    commits = {"scored": figure["git_commit"], "trained": figure["trained_at_git_commit"]}
    said += [_line("git commit", f"{commit} ({what})") for what, commit in commits.items() if commit]
    said += [_line("data", f"{name}: {print_}") for name, print_ in figure["data"].items() if print_]
    if figure["rescored_from"]:
        said.append(_line("rescored from", figure["rescored_from"]))
    said.append(_line("made by", figure["command"] or "unknown"))
    said += [_line("repeated by" if i == 0 else "then", command) for i, command in enumerate(figure["repeat"])]
    return said + [_line("note", note) for note in figure["notes"]]


def _told(explained: dict[str, Any]) -> set[str]:
    """What stands under a record or a published figure already, and is no news in a footnote."""
    told = {note for each in [*explained["figures"], *explained["without_figure"]] for note in each["notes"]}
    published = explained["published"]
    told |= {each["note"] for each in published if each["note"]}
    if any(each["status"] == "unverified" for each in published):
        told.add("unverified")
    return told | {f"published in {each['source']}" for each in published}


def _line(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}}{' '.join(str(text).split())}"


def _listed(seeds: list[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)
