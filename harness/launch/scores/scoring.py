"""What a user asks to have scored, opened: data, image source, and a bench for each protocol.

The command `spadebench evaluate` and the Python function `harness.evaluate` are both made of this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.data.base import DataSet
from harness.data.label_folder import label_folder
from harness.data.subset import Subset
from harness.errors import UserError, did_you_mean
from harness.evaluation.bench import Bench, Nets, open_bench, open_data
from harness.evaluation.places import Places
from harness.evaluation.protocol import Protocol, protocol_of
from harness.evaluation.shards import ALONE, Team
from harness.launch.cells.cell import make_fabric
from harness.protocols.load import DEFAULT, load_protocol, shipped
from harness.suites.base import Suite

ALL = "all"
FITS = ("exact", "bicubic", "own")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ask:
    """What is to be scored, and how.

    protocols: names, .yaml files, or `all`. segmenter, features, fit: in place of the protocols' own.
    labels: a folder of label files in place of the suite's split; photos: the photos of these, for
    Fréchet distances. random_weights: nets whose weight files are not at hand are drawn at random, and
    the record says so.
    """

    suite: Suite
    protocols: Sequence[str] = (DEFAULT,)
    segmenter: str | None = None
    features: Sequence[str] | None = None
    fit: str | None = None
    split: str | None = None
    labels: Path | None = None
    photos: Path | None = None
    random_weights: bool = False


@dataclass(frozen=True)
class Opened:
    """benches: one for each protocol that has a hash of its own. same: name of a protocol -> that of the one
    with the same signature. skipped: name -> why it cannot be had."""

    benches: list[Bench]
    same: dict[str, str]
    skipped: dict[str, str]


def scored_data(ask: Ask, places: Places) -> DataSet:
    """The samples to score. Raises UserError for photos without labels, and where files are missing."""
    if ask.labels is not None:
        return label_folder(ask.suite.data, ask.labels, ask.photos)
    if ask.photos is not None:
        raise UserError("a folder of photos goes with a folder of label files", mend="give --labels FOLDER too")
    return open_data(ask.suite, ask.split or ask.suite.score_split, places)


def folder_word(folder: Path) -> str:
    """A folder's name as a word of a signature; that of `.` is the working folder's."""
    return "_".join(os.path.basename(os.path.abspath(folder)).split())


def matched_part(dataset: DataSet, names: Sequence[str]) -> DataSet:
    """The samples of `names`; the data set itself where that is all of them."""
    return dataset if len(names) == len(dataset) else Subset(dataset, names)


def protocols_asked(ask: Ask) -> dict[str, Protocol]:
    """The protocols by name, with what the user put in place of their own."""
    if ask.fit is not None and ask.fit not in FITS:
        raise UserError(f"unknown fit '{ask.fit}'", where="--fit", mend=did_you_mean(ask.fit, FITS))
    found: dict[str, Protocol] = {}
    for name in ask.protocols:
        known = shipped(ask.suite) if name == ALL else {name: load_protocol(name, ask.suite)}
        for protocol in known.values():
            if found.setdefault(protocol.name, protocol) != protocol:
                raise UserError(f"two protocols are named '{protocol.name}'", where=name, mend="give one another name")
    changes = {key: value for key, value in (("segmenter", ask.segmenter), ("fit", ask.fit)) if value is not None}
    asked = {name: protocol_of({**protocol.as_dict(), **changes}, name) for name, protocol in found.items()}
    if not asked:
        raise UserError("no protocol is named", where="--protocol", mend=did_you_mean("", shipped(ask.suite)))
    fits = {protocol.fit: name for name, protocol in asked.items()}
    if len(fits) > 1:
        listed = ", ".join(f"{name}: {fit}" for fit, name in fits.items())
        raise UserError(
            f"one pass fits all images in one way, the protocols in several ({listed})",
            where="--protocol",
            mend="give --fit, or score by one of them at a time",
        )
    return asked


def open_benches(ask: Ask, dataset: DataSet, places: Places, device: torch.device, say: Say) -> Opened:
    """A bench for each protocol asked for.

    With several protocols, one whose nets are not at hand is skipped, and said; with one that is an error,
    as it is where none is left.
    """
    protocols = protocols_asked(ask)
    nets = Nets(places, device, ask.random_weights)
    features = ask.features
    if ask.labels is not None and ask.photos is None:
        if features:
            raise UserError(
                "feature nets need photos to compare with", where="--features", mend="give the photos by --photos-of"
            )
        say("no Fréchet distance: the label files came without photos")
        features = []
    benches: list[Bench] = []
    same: dict[str, str] = {}
    skipped: dict[str, str] = {}
    split = ask.split or (folder_word(ask.labels) if ask.labels is not None else None)
    for name, protocol in protocols.items():
        try:
            bench = open_bench(
                ask.suite, places, device, protocol, features, split, say=say, dataset=dataset, nets=nets
            )
        except UserError as error:
            if len(protocols) == 1:
                raise
            skipped[name] = str(error)
            continue
        twin = next((b for b in benches if b.protocol_hash == bench.protocol_hash), None)
        if twin is None:
            benches.append(twin := bench)
        # What is the suite's own in all but its name has that one's name already.
        if twin.protocol.name != name:
            same[name] = twin.protocol.name
    if not benches:
        raise UserError(f"no protocol can be had; {next(iter(skipped.values()))}")
    for name, why in skipped.items():
        say(f"left out: protocol {name}: {why}")
    return Opened(benches, same, skipped)


def scoring_team(device: torch.device) -> tuple[Team, torch.device]:
    """The processes of a torchrun that score together, and this one's device; one process without a torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE, device
    fabric = make_fabric(device, "32")
    return Team(fabric.global_rank, fabric.world_size), fabric.device
