"""`spadebench instance-maps`: COCO-Stuff's instance maps, which are not released, from COCO's polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say

# Where the annotations of COCO lie beside the data set, with its archives unpacked there.
_BESIDE = ("annotations/instances_{split}2017.json", "instances_{split}2017.json")


def instance_maps(
    labels: Annotated[Path | None, typer.Option(help="Folder of pixel maps, stuffthingmaps of a split.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO's instances_*2017.json of the same split.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Folder that the instance maps are written to.")] = None,
    split: Annotated[
        str | None, typer.Option(help="train or val: folders and annotations are found under --data-root.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make maps that are there again.")] = False,
    data_root: o.DataRoot = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Make the instance maps of COCO-Stuff, with COCO's thing polygons drawn into its pixel maps.

    Maps that are there are kept: the same command goes on after a stop.
    The annotations of the train split take a few gigabytes of memory.

    \b
    Example:
      spadebench instance-maps --split val --data-root coco_stuff
      spadebench instance-maps --labels pixelmaps --annotations instances_val2017.json --to maps
    """
    from harness.data.coco_instances import make_instance_maps

    if split is None:
        if labels is None or annotations is None or to is None:
            raise UserError(
                "give --split, or all of --labels, --annotations and --to",
                where="instance-maps",
                mend="spadebench instance-maps --split val finds the rest under --data-root",
            )
    else:
        found = _places(split, data_root)
        labels, annotations, to = labels or found[0], annotations or found[1], to or found[2]
    if dry_run:
        places = {"labels": str(labels), "annotations": str(annotations), "to": str(to)}
        if as_json:
            o.print_json(places)
        else:
            say(f"would make instance maps of {labels} in {to}, from {annotations}")
        return
    with bar("instance maps") as update:
        made = make_instance_maps(
            labels, annotations, to, lambda done, total: update(done, total, {}), overwrite=overwrite
        )
    if as_json:
        o.print_json({"to": str(to), "written": made.written, "kept": made.kept})
    else:
        say(f"{made.written} instance maps written to {to}, {made.kept} were there")


def _places(split: str, given: Path | None) -> tuple[Path, Path, Path]:
    """Label folder, annotations and instance folder of a split of COCO-Stuff."""
    from harness.data.coco_stuff import SPLITS, find_layout
    from harness.data.roots import data_root
    from harness.errors import did_you_mean

    if split not in SPLITS:
        raise UserError(f"coco_stuff has no split '{split}'", where="--split", mend=did_you_mean(split, SPLITS))
    root = data_root("coco_stuff", given)
    assert root is not None
    layout = find_layout(root, split)
    beside = [root / name.format(split=split) for name in _BESIDE]
    annotations = next((path for path in beside if path.is_file()), beside[0])
    return root / layout.labels.format(split=split), annotations, root / layout.instances.format(split=split)
