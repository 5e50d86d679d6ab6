"""A suite made ready to score by one protocol: data, segmenter, feature nets, the signed protocol, the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from harness.data.base import DataSet
from harness.data.encode import Encoding
from harness.data.roots import data_root, weights_root
from harness.errors import UserError
from harness.evaluation.one_pass import Progress, Settings, reference_stats
from harness.evaluation.places import Places
from harness.evaluation.protocol import Protocol, Signed, short_hash
from harness.evaluation.shards import ALONE, Team
from harness.features.base import FeatureNet
from harness.features.opening import open_feature_net
from harness.metrics.frechet import FeatureStats
from harness.registry import DATASETS, lookup
from harness.segmenters.base import Segmenter
from harness.segmenters.opening import open_segmenter
from harness.suites.base import Suite

Say = Callable[[str], None]
Net = TypeVar("Net")
RANDOM = "random"
# Always this many photos at a time, so that a cached reference is the one that would be computed.
REFERENCE_BATCH = 8


@dataclass
class Nets:
    """Opened segmenters and feature nets, each once, and statistics of references: several protocols share them.

    random_weights: a net whose weight file is not at hand is opened with random weights, and says so.
    """

    places: Places
    device: torch.device
    random_weights: bool = False
    _segmenters: dict[str, Segmenter] = field(default_factory=dict)
    _features: dict[str, FeatureNet] = field(default_factory=dict)
    references: dict[str, FeatureStats] = field(default_factory=dict)

    def segmenter(self, spec: str) -> Segmenter:
        """The segmenter; raises UserError where it cannot be had."""
        return self._opened(self._segmenters, spec, open_segmenter)

    def feature_net(self, name: str) -> FeatureNet:
        """The feature net; raises UserError where it cannot be had."""
        return self._opened(self._features, name, open_feature_net)

    def _opened(self, known: dict[str, Net], name: str, opening: Callable[..., Net]) -> Net:
        if name not in known:
            folder = weights_root(self.places.weights)
            try:
                known[name] = opening(name, folder, self.device)
            except UserError as error:
                if not self.random_weights:
                    raise
                try:
                    known[name] = opening(name, folder, self.device, random_weights=True)
                except UserError:
                    raise error from None
        return known[name]


@dataclass
class Bench:
    """A suite made ready to score: data, segmenter, feature nets, signed protocol.

    dataset: the scored samples. reference_data: the photos that the images are compared with, None without
    feature nets. missing: what the protocol names and is not at hand, in words.
    """

    suite: Suite
    dataset: DataSet
    encoding: Encoding
    segmenter: Segmenter
    nets: list[FeatureNet]
    signed: Signed
    device: torch.device
    fingerprint: str
    missing: list[str]
    places: Places
    reference_data: DataSet | None = None
    _reference: dict[str, FeatureStats] = field(default_factory=dict)

    @property
    def protocol(self) -> Protocol:
        return self.signed.protocol

    @property
    def protocol_hash(self) -> str:
        return short_hash(self.signed.signature)

    @property
    def keep(self) -> frozenset[str]:
        """The nets whose features are all kept."""
        return frozenset(net.name for net in self.nets) if self.protocol.kernel else frozenset()

    def reference(self, progress: Progress | None = None, team: Team = ALONE) -> dict[str, FeatureStats]:
        """Statistics of the reference photos, from the cache where they are there."""
        found = {}
        for net in self.nets:
            stats = self._known(net)
            # By all processes or by none: one may look for a file that another is just writing.
            if not all(team.gathered(stats is not None)):
                stats = self._computed(net, progress, team)
            assert stats is not None
            found[net.name] = self._reference[self._key(net)] = stats
        return found

    def give_reference(self, name: str, stats: FeatureStats) -> None:
        """Statistics that an earlier pass made of these reference photos with the net of this name."""
        (net,) = (net for net in self.nets if net.name == name)
        self._reference[self._key(net)] = stats

    def _known(self, net: FeatureNet) -> FeatureStats | None:
        """Statistics in memory or in the cache, with the features where a kernel distance needs them."""
        path = self._cache_path(net)
        stats = self._reference.get(self._key(net))
        if not self._enough(stats, net) and path is not None and path.is_file():
            stats = FeatureStats.load(path)
        return stats if self._enough(stats, net) else None

    def _enough(self, stats: FeatureStats | None, net: FeatureNet) -> bool:
        return stats is not None and (net.name not in self.keep or stats.kept is not None)

    def _computed(self, net: FeatureNet, progress: Progress | None, team: Team) -> FeatureStats:
        assert self.reference_data is not None
        part = team.part(len(self.reference_data), REFERENCE_BATCH)
        settings = Settings(self.device, REFERENCE_BATCH, part=part, progress=progress)
        own = reference_stats(self.reference_data, self.suite.size, [net], self.keep, settings)[net.name]
        stats = team.features(own)
        path = self._cache_path(net)
        if path is not None and team.leads:
            stats.save(path)
        return stats

    def _key(self, net: FeatureNet) -> str:
        h, w = self.suite.size
        return short_hash(f"{net.name}@{net.weights} {w}x{h} {self.signed.reference} {REFERENCE_BATCH}", 16)

    def _cache_path(self, net: FeatureNet) -> Path | None:
        if self.places.cache is None or net.weights == RANDOM:
            return None
        return self.places.cache / f"reference-{self._key(net)}.npz"


def open_data(suite: Suite, split: str, places: Places, with_photos: bool = True) -> DataSet:
    """A split of the suite's data set. Raises UserError where its files are missing."""
    entry = lookup(DATASETS, suite.data)
    given = dict(suite.data_options)
    if not with_photos:
        given["with_photos"] = False
    dataset = entry(data_root(suite.data, places.data), split, **given)
    assert isinstance(dataset, DataSet)
    return dataset


def open_bench(
    suite: Suite,
    places: Places,
    device: torch.device,
    protocol: Protocol | None = None,
    features: Sequence[str] | None = None,
    split: str | None = None,
    say: Say = lambda line: None,
    dataset: DataSet | None = None,
    nets: Nets | None = None,
) -> Bench:
    """Make a suite ready to score.

    features: feature nets asked for by name, each of which must be there; None takes those of the
    protocol that are at hand, says which are not, and signs with the ones taken.
    dataset: samples to score in place of the suite's split, without photos where the images are compared
    with none. nets: what is opened already.
    """
    protocol = protocol or suite.protocol
    if replace(protocol, name=suite.protocol.name) == suite.protocol:
        protocol = suite.protocol  # one record, one name: that of the suite's own
    torch.set_num_threads(suite.threads)
    split = split or suite.score_split
    if protocol.segmenter is None:
        raise UserError(
            f"suite '{suite.name}' has no segmenter", mend="name one by --segmenter, or in the suite's protocol"
        )
    scored = dataset if dataset is not None else open_data(suite, split, places)
    nets = nets or Nets(places, device)
    segmenter = nets.segmenter(protocol.segmenter)
    taken, missing = _feature_nets(protocol, features, nets, say)
    # The segmenter by its own name: what a user wrote may hold paths of one machine.
    protocol = replace(
        protocol,
        segmenter="_".join(segmenter.name.split()),
        features=tuple(net.name for net in taken),
        kernel=protocol.kernel and bool(taken),
    )
    fingerprint = scored.fingerprint()
    compared, compared_split, reference = None, "", ""
    if taken:
        trained = protocol.reference == "train"
        compared = open_data(suite, suite.train_split, places) if trained else scored
        compared_split = suite.train_split if trained else split
        reference = (compared.fingerprint() if trained else fingerprint)[:8]
    signed = Signed(
        protocol=protocol,
        suite=suite.name,
        split=split,
        count=len(scored),
        size=suite.size,
        segmenter_weights=segmenter.weights,
        feature_weights=tuple(net.weights for net in taken),
        data=fingerprint[:8],
        reference=reference,
        reference_split=compared_split,
        reference_count=len(compared) if compared is not None else 0,
    )
    encoding = Encoding(scored.classes, suite.size, suite.unknown, suite.edges)
    return Bench(
        suite,
        scored,
        encoding,
        segmenter,
        taken,
        signed,
        device,
        fingerprint,
        missing,
        places,
        reference_data=compared,
        _reference=nets.references,
    )


def _feature_nets(
    protocol: Protocol, features: Sequence[str] | None, nets: Nets, say: Say
) -> tuple[list[FeatureNet], list[str]]:
    """The nets that are there, and what is not, in words."""
    taken, missing = [], []
    # Sorted, once each: the order in which nets are named is no part of a protocol.
    for name in sorted(set(protocol.features if features is None else features)):
        try:
            taken.append(nets.feature_net(name))
        except UserError as error:
            if features is not None:
                raise
            missing.append(f"not scored with feature net {name}: {error.what}")
            say(f"left out: feature net {name}: {error}")
    return taken, missing


def record_id(bench: Bench, source_id: str) -> str:
    """The scoring id: (cell or image source) × protocol."""
    return f"{source_id}-{bench.protocol_hash}"


def photos_id(bench: Bench) -> str:
    """Source id of the scored split's photos."""
    return f"photos-{bench.fingerprint[:12]}"


def check_disjoint(train: DataSet, scored: DataSet) -> None:
    """Raise UserError where a sample is in the trained and in the scored split, by content."""
    seen = {digest: name for name, digest in zip(train.names, train.digests(), strict=True)}
    shared = [
        (seen[digest], name) for name, digest in zip(scored.names, scored.digests(), strict=True) if digest in seen
    ]
    if shared:
        first, second = shared[0]
        raise UserError(
            f"{len(shared)} samples are in the trained and in the scored split, such as '{first}' and '{second}'",
            mend="split the data so that no sample is in both",
        )
