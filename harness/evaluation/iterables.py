"""Images that a Python program hands over: a mapping of them, or one after the other.

They are taken when they are asked for, so a program can make them on the way. What they are is known
when the last one was taken: only then does such a source have its id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from harness.data.base import DataSet
from harness.data.loading import ScoreBatch
from harness.data.matching import SampleNames, check_matching, match_names
from harness.errors import UserError
from harness.evaluation.given_images import rgb

_WHERE = "images"
_FORMS = "give uint8 arrays (H, W, 3), uint8 tensors (3, H, W) or PIL images, in RGB"
_END = object()


class IterableSource:
    """Images of a program's own; `iterable_source` makes one.

    names: the samples that have an image, in the data set's order. id: "" until every image was taken,
    then a hash over names and pixels. A pass over all samples comes to that by itself; after a pass over
    a part of them call `finish`. take: a sample's image. check_end: raises UserError where there are more
    images than samples.
    """

    kind = "images"

    def __init__(
        self,
        names: Sequence[str],
        take: Callable[[str], NDArray[np.uint8]],
        check_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.names = tuple(names)
        self.id = ""
        self._take, self._check_end = take, check_end
        self._digests: dict[str, bytes] = {}

    def images(self, batch: ScoreBatch) -> list[NDArray[np.uint8]]:
        """(H, W, 3) uint8 RGB. Raises UserError for an image of another form, and for one too few or too many."""
        found = [self._taken(name) for name in batch.names]
        if len(self._digests) == len(self.names):
            self.finish()
        return found

    def finish(self) -> None:
        """Take the images that nobody asked for, check that there are no more, and set `id`."""
        if self.id:
            return
        for name in self.names:
            if name not in self._digests:
                self._taken(name)
        self._check_end()
        total = hashlib.sha256()
        for name in self.names:
            total.update(name.encode() + b"\0" + self._digests[name])
        self.id = total.hexdigest()[:12]

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, "images": len(self.names)}

    def _taken(self, name: str) -> NDArray[np.uint8]:
        image = self._take(name)
        digest = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest()
        if self._digests.setdefault(name, digest) != digest:
            raise UserError(f"the image of '{name}' is another one the second time", where=_WHERE, mend="keep them")
        return image


class _Stream:
    """Images of an iterable. One that comes before its turn waits in memory.

    names: the samples. sample_of: the sample of a name, for (name, image) pairs. once: the iterable can be
    gone through a single time, so that no image can be asked for again.
    """

    def __init__(
        self, given: Iterable[Any], names: Sequence[str], sample_of: Callable[[str], str | None], once: bool
    ) -> None:
        self.names = tuple(names)
        self._iterable, self._sample_of, self._once = given, sample_of, once
        self._restart()

    def source(self) -> IterableSource:
        """The source that these images are."""
        return IterableSource(self.names, self.take, self.check_end)

    def _restart(self) -> None:
        self._stream: Iterator[Any] = iter(self._iterable)
        self._pairs = False
        self._drawn: set[str] = set()
        self._waiting: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str) -> NDArray[np.uint8]:
        """The image of a sample."""
        if name in self._drawn and name not in self._waiting:
            if self._once:
                raise UserError(
                    f"the image of '{name}' was asked for twice, and a generator gives each once",
                    where=_WHERE,
                    mend="give a list, a mapping, or an object whose __iter__ begins anew",
                )
            self._restart()
        while name not in self._waiting:
            given = next(self._stream, _END)
            if given is _END:
                raise UserError(
                    f"there are {len(self._drawn)} images for {len(self.names)} samples, none for '{name}'",
                    where=_WHERE,
                )
            sample, value = self._named(given)
            if sample in self._drawn:
                raise UserError(f"there are two images for '{sample}'", where=_WHERE)
            self._drawn.add(sample)
            self._waiting[sample] = as_image(value, f"{_WHERE}: {sample}")
        return self._waiting.pop(name)

    def _named(self, given: Any) -> tuple[str, Any]:
        """The sample of what the iterable gave, and its image."""
        number = len(self._drawn)
        pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)
        if number == 0:
            self._pairs = pair
        if pair != self._pairs:
            raise UserError(
                "some images have a name and some have none", where=_WHERE, mend="give (name, image) pairs, or no names"
            )
        if not pair:
            return self.names[number], given
        sample = self._sample_of(given[0])
        if sample is None:
            raise UserError(f"no sample for '{given[0]}'", where=_WHERE, mend="name each image after its sample")
        return sample, given[1]

    def check_end(self) -> None:
        """Raise UserError where there are more images than samples."""
        if len(self._drawn) == len(self.names) and next(self._stream, _END) is not _END:
            raise UserError(f"there are more images than the {len(self.names)} samples", where=_WHERE)


class _Named:
    """Images with their names beside them, as pairs of sample and image; names without a sample are left out."""

    def __init__(self, images: Iterable[Any], names: Sequence[str], samples: Mapping[str, str]) -> None:
        self.images, self.names, self.samples = images, names, samples

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, image in zip_longest(self.names, self.images, fillvalue=_END):
            if name is _END or image is _END:
                more = "fewer" if name is _END else "more"
                raise UserError(f"there are {more} names than images", where=_WHERE, mend="give one name an image")
            sample = self.samples.get(str(name))
            if sample is not None:
                yield sample, image


def iterable_source(
    images: Iterable[Any] | Mapping[str, Any],
    dataset: DataSet,
    names: Sequence[str] | None = None,
    allow_partial: bool = False,
) -> IterableSource:
    """The images of a Python program, one for each sample of a data set.

    images: uint8 arrays (H, W, 3), uint8 tensors (3, H, W) or PIL images, in the order of
    `dataset.names`; or (name, image) pairs, or a mapping from names, in any order, matched to the samples
    as files are (harness.data.matching). names: the images' names, for images that come without.
    allow_partial: for a mapping or `names`, as in `folder_source`. Raises UserError for names that do not
    match; wrong images and wrong numbers of them are found during the pass.
    """
    if isinstance(images, str | bytes | Path):
        raise UserError(
            "a path is no iterable of images", where=str(images), mend="read a folder or archive by given_source"
        )
    if isinstance(images, Mapping):
        if names is not None:
            raise UserError("a mapping has its names, give no others", where=_WHERE)
        keys = _matched(list(images), dataset, allow_partial)
        return IterableSource(list(keys), lambda name: as_image(images[keys[name]], f"{_WHERE}: {name}"))
    once = iter(images) is images
    if names is not None:
        matched = _matched(names, dataset, allow_partial)
        samples = {name: sample for sample, name in matched.items()}
        return _Stream(_Named(images, names, samples), list(matched), lambda sample: sample, once).source()
    if allow_partial:
        raise UserError(
            "which samples have an image cannot be known beforehand",
            where=_WHERE,
            mend="give a mapping, or names, to score a part",
        )
    find = SampleNames(dataset.names, getattr(dataset, "sample_key", None)).find
    return _Stream(images, dataset.names, find, once).source()


def as_image(value: Any, where: str) -> NDArray[np.uint8]:
    """An image of a program as (H, W, 3) uint8 RGB, copied. Raises UserError for anything but 8 bit RGB."""
    if isinstance(value, Image.Image):
        return rgb(value, where)
    if isinstance(value, torch.Tensor):
        kind, shape, wanted = str(value.dtype).removeprefix("torch."), tuple(value.shape), "(3, H, W)"
        fits = len(shape) == 3 and shape[0] == 3
    elif isinstance(value, np.ndarray):
        kind, shape, wanted = str(value.dtype), value.shape, "(H, W, 3)"
        fits = len(shape) == 3 and shape[2] == 3
    else:
        raise UserError(f"an image cannot be a {type(value).__name__}", where=where, mend=_FORMS)
    if kind != "uint8":
        raise UserError(
            f"an image of {kind} values must be made uint8 first",
            where=where,
            mend="a generator's output in [-1, 1] by harness.evaluation.sources.truncate, as the official code does",
        )
    if not fits or 0 in shape:
        raise UserError(f"an image of shape {shape} is not {wanted}", where=where, mend=_FORMS)
    if isinstance(value, torch.Tensor):
        value = value.detach().permute(1, 2, 0).cpu().numpy()
    return np.array(value, order="C")


def _matched(names: Sequence[str], dataset: DataSet, allow_partial: bool) -> dict[str, str]:
    """Sample -> name. Raises UserError where they do not match, or a name stands twice."""
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise UserError(f"{wrong[0]!r} is no name of an image", where=_WHERE, mend="names are strings")
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise UserError(f"the name '{twice}' stands twice", where=_WHERE)
    matching = match_names(names, dataset.names, getattr(dataset, "sample_key", None))
    check_matching(matching, _WHERE, allow_partial)
    return matching.matched
