"""`spadebench make-labels`: label maps of photos that have none, by a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.progress import bar, say


def make_labels(
    photos: Annotated[Path, typer.Option(help="Folder of photos: jpg, png, webp, bmp or tiff.")],
    segmenter: Annotated[
        str, typer.Option(help="Registered name, mmseg:CONFIG:CHECKPOINT, onnx:FILE or py:FILE.py:NAME.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder of the new data set, of the kind `folder`.")],
    split: Annotated[str, typer.Option(help="Split that the photos become.")] = "train",
    classes: Annotated[
        str | None,
        typer.Option(help="Suite, or YAML file with `names`, of the segmenter's classes; default: those of its suite."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make labels that are there again.")] = False,
    weights_root: o.WeightsRoot = None,
    device: o.Device = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Label a folder of photos by a segmenter, as a data set that suites such as landscapes train on.

    Photos are copied to TO/photos/SPLIT, unless they lie there already.
    Labels go to TO/labels/SPLIT at the photos' own sizes.
    TO/classes.yaml names the classes and says who made the labels.
    Labels that are there are kept: the same command goes on after a stop.

    \b
    Example:
      spadebench weights download deeplabv2_coco_stuff
      spadebench make-labels --photos flickr --segmenter deeplabv2_coco_stuff --to landscapes --split train
      spadebench train spade --suite landscapes --data-root landscapes --budget 50ep
    """
    o.import_user_code(user_code)
    from harness.data.pairs import PHOTO_SUFFIXES, list_files
    from harness.data.roots import weights_root as find_weights_root
    from harness.launch.scores.label_photos import classes_of, label_photos
    from harness.segmenters.opening import open_segmenter

    known = classes_of(segmenter, classes)
    if dry_run:
        count = len(list_files(photos, PHOTO_SUFFIXES, "photo"))
        if as_json:
            o.print_json({"photos": count, "classes": len(known), "to": str(to), "split": split})
        else:
            say(f"would label {count} photos in {len(known)} classes, into {to}")
        return
    net = open_segmenter(segmenter, find_weights_root(weights_root), o.device_of(device))
    with bar("labelling") as update:
        made = label_photos(
            photos, net, known, to, split, overwrite=overwrite, progress=lambda done, total: update(done, total, {})
        )
    if as_json:
        o.print_json({"to": str(to), "written": made.written, "kept": made.kept, "labels_by": made.labels_by})
    else:
        say(f"{made.written} label maps by {made.labels_by} written to {to}, {made.kept} were there")
