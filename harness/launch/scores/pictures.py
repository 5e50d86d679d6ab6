"""What pictures are made of: the images of named samples by the network of a cell, and how they are read back.

Images are made and read as in scoring: noise by (seed, name), truncated to uint8, the protocol's sizes, float32 as
it is. So a picture shows what was scored, and a reading's confusion is the record's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.cells import Cell
from harness.data.base import Classes, DataSet
from harness.data.encode import Encoding, resized_label, resized_photo
from harness.data.loading import scoring_batches
from harness.data.scored import scored_classes
from harness.errors import UserError, did_you_mean
from harness.evaluation.bench import Bench, open_bench
from harness.evaluation.evaluate import exact_arithmetic
from harness.evaluation.one_pass import check_segmenter, fitted, readings
from harness.evaluation.places import Places
from harness.evaluation.sources import GeneratorSource, ImageSource
from harness.launch.cells.cell import load_generator
from harness.launch.cells.out_of_memory import as_trained
from harness.launch.scores.rescoring import signed_of_record
from harness.metrics.confusion import Confusion, image_confusion
from harness.records import Store
from harness.suites.base import Suite
from harness.training.checkpoints import list_checkpoints, load_checkpoint

Image = NDArray[np.uint8]
Say = Callable[[str], None]
SCORE_BATCH = 8  # images that a scoring makes at a time where nobody says otherwise


@dataclass(frozen=True)
class Shown:
    """A sample as a picture has it, at the suite's size (h, w).

    label: (h, w) class indices of the data set. photo: (h, w, 3) uint8, None where the data set came without.
    """

    name: str
    label: NDArray[np.integer]
    photo: Image | None


@dataclass(frozen=True)
class Read:
    """An image (h, w, 3) uint8, and what was read in it.

    label, reading: (H, W) of the scored classes, at the size at which the protocol compares them. confusion:
    (K+1, K+1).
    """

    name: str
    image: Image
    label: NDArray[np.integer]
    reading: NDArray[np.int64]
    confusion: NDArray[np.int64]


def chosen_names(dataset: DataSet, wanted: str) -> list[str]:
    """The samples that are named, comma-separated, or as many as the number says, spread over the split.

    Raises UserError for a name that is not there and a number that cannot be had.
    """
    names = list(dataset.names)
    if wanted.isdigit():
        count = int(wanted)
        if not 1 <= count <= len(names):
            raise UserError(f"{count} samples of {len(names)}", where="--samples", mend=f"choose 1 to {len(names)}")
        return [names[i * len(names) // count] for i in range(count)]
    asked = [name.strip() for name in wanted.split(",")]
    for name in asked:
        if name not in names:
            raise UserError(f"no sample '{name}'", where="--samples", mend=did_you_mean(name, names))
    return asked


def check_palette(classes: Classes, mend: str) -> None:
    """Raise UserError where not every class has a colour; `mend` says what to do about it."""
    if len(classes.palette) < len(classes):
        what = f"the data set has {len(classes.palette)} colours for {len(classes)} classes"
        raise UserError(f"{what}, so its label maps cannot be painted", mend=mend)


def shown(dataset: DataSet, size: tuple[int, int], names: Sequence[str]) -> list[Shown]:
    """Label maps and photos of samples, in the order of `names`, at the size (h, w) of the suite's images."""
    found = []
    for name in names:
        sample = dataset.load(list(dataset.names).index(name))
        photo = None if sample.photo is None else resized_photo(sample.photo, size)
        found.append(Shown(name, resized_label(sample.label, size), photo))
    return found


def trained_source(
    cell: Cell, store: Store, places: Places, device: torch.device, command: str, record: dict[str, Any] | None = None
) -> tuple[GeneratorSource, list[str]]:
    """The generator of a cell's last checkpoint, and what is to be said of it, in words.

    record: of the network to take, which the store may hold under another id than `cell` has; None: that which
    was trained as the cell, be it in micro-batches. command: trains it. Raises UserError without a checkpoint.
    """
    trained = as_trained(cell, store).id if record is None else str(record["cell"])
    found = list_checkpoints(store.cell_folder(trained) / "checkpoints")
    if not found:
        raise UserError(
            f"cell {trained} ({cell.name}) has no checkpoint", where=str(store.root), mend=f"train it: {command}"
        )
    loaded = load_checkpoint(found[-1])
    unfinished = [] if loaded.finished else [f"{cell.name}: training not finished, iteration {loaded.iteration}"]
    if record is not None and record["source"].get("iteration", loaded.iteration) != loaded.iteration:
        raise UserError(
            f"its record is of iteration {record['source']['iteration']}, its last checkpoint of {loaded.iteration}",
            where=f"record {record['id']}",
            mend=f"score it again: {command}",
        )
    return GeneratorSource(load_generator(loaded, device, places), trained, device, cell.config["seed"]), unfinished


def made(source: ImageSource, dataset: DataSet, encoding: Encoding, names: Sequence[str]) -> list[Image]:
    """The source's image of each of the names."""
    index = {name: i for i, name in enumerate(dataset.names)}
    with exact_arithmetic():
        return [
            source.images(batch)[0]
            for name in names
            for batch in scoring_batches(dataset, encoding, batch=1, indices=range(index[name], index[name] + 1))
        ]


def record_bench(
    record: dict[str, Any],
    suite: Suite,
    places: Places,
    device: torch.device,
    segmenter: str | None = None,
    nets: Any = None,
) -> Bench:
    """Data and segmenter of a record, to read images as it did; without feature nets.

    segmenter: the segmenter as a user writes it, where the record's name for it is none of the registry. Raises
    UserError where data, segmenter or weights are not those of the record.
    """
    signed = signed_of_record(record)
    plain = replace(signed.protocol, features=(), kernel=False, segmenter=segmenter or signed.protocol.segmenter)
    bench = open_bench(suite, places, device, plain, features=[], split=signed.split, nets=nets)
    if bench.signed.segmentation != signed.segmentation:
        raise UserError(
            f"it was scored by '{signed.segmentation}', here is '{bench.signed.segmentation}'",
            where=f"record {record['id']}",
            mend="give the data and the weights that it was scored with, or score it again",
        )
    check_segmenter(bench.segmenter, bench.dataset)
    return bench


def read_as_scored(
    bench: Bench, source: ImageSource, stored: Confusion, names: Sequence[str], say: Say
) -> dict[str, Read]:
    """The images of these names with their readings, by name.

    stored: the confusion of the record. Rounding may depend on how many images go at a time, so an image whose
    confusion is another than the stored one is made again among those it was scored with. One that still differs
    (other hardware, another batch) is said, with the number of pixels.
    """
    index = {name: i for i, name in enumerate(stored.names)}
    found = {name: one for name in names for one in read(bench, source, [name], batch=1)}
    other = [name for name in names if _pixels_apart(found[name], stored, index)]
    if other:
        found.update({one.name: one for one in read(bench, source, other, batch=SCORE_BATCH)})
    for name in other:
        pixels = _pixels_apart(found[name], stored, index)
        if pixels:
            say(f"note: {name}: {pixels} pixels are read differently here than when the record was made")
    return found


def read(bench: Bench, source: ImageSource, names: Sequence[str], batch: int) -> list[Read]:
    """Images of these names with their readings, in the data set's order, made in the batches of a scoring of
    `batch` images at a time."""
    wanted, dataset, protocol = set(names), bench.dataset, bench.protocol
    classes = scored_classes(dataset)
    found = []
    starts = sorted({i - i % batch for i, name in enumerate(dataset.names) if name in wanted})
    with exact_arithmetic():
        for start in starts:
            part = range(start, min(start + batch, len(dataset)))
            for scored in scoring_batches(dataset, bench.encoding, batch=batch, indices=part):
                images = fitted(source.images(scored), scored, bench.encoding.size, source, protocol.fit)
                pairs = readings(images, scored.native, dataset, protocol, bench.segmenter, bench.device)
                for name, image, (label, seen) in zip(scored.names, images, pairs, strict=True):
                    if name in wanted:
                        counted = image_confusion(label, seen, len(classes), classes.void)
                        found.append(Read(name, image, label, seen, counted))
    return found


def _pixels_apart(one: Read, stored: Confusion, index: dict[str, int]) -> int:
    """Pixels that would have to be moved to make the image's confusion the stored one."""
    return int(np.abs(one.confusion - stored.dense(index[one.name])).sum()) // 2
