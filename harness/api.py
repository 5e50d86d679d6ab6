"""Scoring from Python: `harness.evaluate(images, suite="cityscapes")`.

    import harness

    record = harness.evaluate(images, suite="cityscapes", labels="gtFine/val")
    print(record["scores"]["miou"], record["protocol"]["signature"])

`images`: a folder, a zip or tar, or an iterable (see `evaluate`). Nothing is written unless `out` is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Images = str | Path | Iterable[Any] | Mapping[str, Any]


def evaluate(
    images: Images,
    suite: str,
    *,
    protocol: str | Sequence[str] = "native",
    names: Sequence[str] | None = None,
    labels: str | Path | None = None,
    photos: str | Path | None = None,
    split: str | None = None,
    segmenter: str | None = None,
    features: Sequence[str] | None = None,
    fit: str | None = None,
    allow_partial: bool = False,
    random_weights: bool = False,
    title: str = "images",
    data_root: str | Path | None = None,
    weights_root: str | Path | None = None,
    device: str | None = None,
    batch: int = 8,
    halves: int | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Score images by a protocol of a suite; returns the record (docs/record-schema.md).

    images: a folder, a zip or tar file, or an iterable of (H, W, 3) uint8 arrays, uint8 tensors (3, H, W) or
    PIL images in the order of the suite's samples, of (name, image) pairs, or a mapping from names. names:
    names of images that come without.
    protocol: a name or a .yaml file. A list of them, or `["all"]`, gives a record for each in one pass, by
    the protocol's name; those whose nets are not at hand are left out.
    labels, photos: folders in place of the suite's own split. segmenter, features, fit: in place of the
    protocol's. halves: also the spread of Fréchet distances over so many random halves of the images, as 20.
    out: folder of a store that gets the records.
    Raises UserError, one line that says what is wrong, where, and how to mend it.
    """
    from harness.cells import load_suite
    from harness.errors import UserError
    from harness.evaluation.evaluate import Subject, evaluate_all
    from harness.evaluation.one_pass import Settings
    from harness.evaluation.places import Places
    from harness.evaluation.sources import given_source, iterable_source
    from harness.evaluation.spread import Halves
    from harness.hardware import pick_device
    from harness.launch.scores.scoring import ALL, Ask, matched_part, open_benches, scored_data
    from harness.records import Store

    places = Places(_path(data_root), _path(weights_root), None if out is None else Path(out) / "cache")
    ask = Ask(
        suite=load_suite(suite),
        protocols=(protocol,) if isinstance(protocol, str) else tuple(protocol),
        segmenter=segmenter,
        features=features,
        fit=fit,
        split=split,
        labels=_path(labels),
        photos=_path(photos),
        random_weights=random_weights,
    )
    dataset = scored_data(ask, places)
    if isinstance(images, str | Path):
        if names is not None:
            raise UserError("image files have names of their own", where=str(images), mend="leave out names")
        source: Any = given_source(Path(images), dataset, allow_partial)
    else:
        source = iterable_source(images, dataset, names, allow_partial)
    part = matched_part(dataset, source.names)
    chosen = pick_device(device)
    opened = open_benches(ask, part, places, chosen, lambda line: None)
    made = evaluate_all(
        opened.benches,
        source,
        Subject(method="images", title=title),
        Settings(chosen, batch),
        halves=None if halves is None else Halves(halves),
    )
    if out is not None:
        for record, confusion in made:
            Store(Path(out)).save(record, confusion)
    by_name = {record.protocol["name"]: record.as_dict() for record, _ in made}
    if isinstance(protocol, str) and protocol != ALL:
        return next(iter(by_name.values()))
    return {**by_name, **{name: by_name[twin] for name, twin in opened.same.items()}}


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
