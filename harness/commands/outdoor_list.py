"""`spadebench outdoor-list`: which photos of ADE20K show the outdoors, since the paper's list is not published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say

if TYPE_CHECKING:
    from harness.data.outdoor import OutdoorList


def outdoor_list(
    split: Annotated[list[str] | None, typer.Option(help="train or val; may be repeated; default: both.")] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="File to write, {split} stands for the split; default: in the data set's folder."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a list that differs.")] = False,
    data_root: o.DataRoot = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """List the outdoor photos of ADE20K, by a rule over its label maps, for the data set ade20k_outdoor.

    Kept: of the labelled pixels a tenth or more is sky, land or the like,
    and at most a hundredth is ceiling or furniture.
    The rule stands in harness/data/classes/ade20k_outdoor.json.

    \b
    Example:
      spadebench outdoor-list --data-root ade20k
    """
    from harness.data.ade20k import SPLITS
    from harness.data.ade20k_outdoor import LIST
    from harness.data.roots import data_root as find_root
    from harness.errors import did_you_mean
    from harness.files import write_text

    splits = list(dict.fromkeys(split or SPLITS))
    for each in splits:
        if each not in SPLITS:
            raise UserError(f"ade20k has no split '{each}'", where="--split", mend=did_you_mean(each, SPLITS))
    if to is not None and len(splits) > 1 and "{split}" not in to:
        raise UserError("one file cannot hold two splits", where=f"--to {to}", mend="put {split} into it, or --split")
    root = find_root("ade20k_outdoor", data_root)
    assert root is not None
    files = {each: Path((to or str(root / LIST)).replace("{split}", each)) for each in splits}
    if dry_run:
        if as_json:
            o.print_json({each: {"file": str(path)} for each, path in files.items()})
        else:
            say(f"would write {', '.join(map(str, files.values()))} from the label maps in {root}")
        return
    found: dict[str, Any] = {}
    for each, path in files.items():
        made = _build(root, each)
        text = made.text()
        there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
        if there not in (None, text) and not overwrite:
            raise UserError("another list is here already", where=str(path), mend="--overwrite replaces it")
        if there != text:
            write_text(path, text)
        found[each] = {
            "file": str(path),
            "kept": len(made.names),
            "of": made.total,
            "rule": made.rule,
            "names": made.digest,
            "labels": made.labels,
        }
        say(f"{each}: {len(made.names)} of {made.total} label maps show the outdoors, listed in {path}")
    if as_json:
        o.print_json(found)


def _build(root: Path, split: str) -> OutdoorList:
    from harness.data.outdoor import build_list

    with bar(f"outdoors in {split}") as update:
        return build_list(root, split, progress=lambda done, total: update(done, total, {}))
