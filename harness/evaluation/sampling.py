"""Does z work? Diversity of the samples of one label map, their layout, and the style that a photo gives.

The paper samples z from the prior for many images of one label map, and from its image encoder for the
style of a photo (section 4, multi-modal synthesis and style-guided synthesis); it shows pictures. Here
the same is measured.

Diversity: mean Euclidean distance, over the pairs of samples of one label map, of a feature net's
features; beside it that of the real photos of different label maps.
Layout: mIoU of each set of samples by the suite's segmenter. A z that moves things about moves it too.
Style: a colour is the mean and the standard deviation of R, G and B over an image, six numbers in
0 .. 255. An image made with the z of another sample's photo should be nearer to that photo's colour
than images of the same label map made with random z. An encoder that always answers "the middle" would
pass that, since a middling image is nearer to any photo than a random one is in the mean; so the image
is also compared with one made with the z of a third photo, where only the right style can win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.data.encode import resized_photo
from harness.data.loading import ScoreBatch, scoring_batches
from harness.errors import UserError
from harness.evaluation.bench import Bench
from harness.evaluation.evaluate import exact_arithmetic
from harness.evaluation.one_pass import Progress, check_segmenter, confusions
from harness.evaluation.sources import GeneratorSource
from harness.evaluation.styles import check_takes_z, style_code
from harness.features.base import FeatureNet
from harness.labels import cat
from harness.metrics.confusion import ClassMean, scores

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
# Points of mIoU that a set of samples may differ from the mean of all sets.
KEPT_POINTS = 5.0
# Label maps from which on there is a photo that is neither a label map's own nor its style.
THIRDS_FROM = 3


@dataclass(frozen=True)
class Studied:
    """What one label map leaves, its M images dropped.

    features, pixels: mean distance between pairs of samples, by feature net, and as grey levels.
    confusions: (M, K+1, K+1). colours: (M, 6).
    """

    features: dict[str, float]
    pixels: float
    confusions: NDArray[np.int64]
    colours: Floats


def study(
    bench: Bench,
    source: GeneratorSource,
    encoder: nn.Module | None,
    *,
    samples: int = 8,
    label_maps: int = 50,
    batch: int = 8,
    method: str = "generator",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The study on `label_maps` samples spread over the bench's split, as plain values.

    diversity: by feature net and in grey levels the mean distance of `samples` of one label map, of `photos`
    of different ones, and their ratio. layout: see `layout`. style: see `style_figures`, None where encoder
    is None; its other_style is None below THIRDS_FROM label maps. label_maps: their names. progress is told
    of images. Raises UserError for a generator without z, for less than two label maps or samples, for a data
    set without photos, and where segmenter and data set differ in classes.
    """
    check_takes_z(source.z_dim, method)
    check_segmenter(bench.segmenter, bench.dataset)
    chosen = spread(label_maps, len(bench.dataset))
    if samples < 2:
        raise UserError("the study compares samples of a label map", where="--samples", mend="choose 2 or more")
    photos = [_photo(bench, index) for index in chosen]
    turns = 0 if encoder is None else 1 if len(chosen) < THIRDS_FROM else 2
    total = len(chosen) * (samples + turns)
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(done, total)

    with exact_arithmetic():
        studied = list(_studied(bench, source, chosen, samples, batch, count))
        style = None
        if encoder is not None:
            right, *third = (_styled(bench, source, encoder, chosen, photos, turn, count) for turn in range(turns))
            wanted = np.stack([colour(photos[partner]) for partner in _partners(len(chosen), 0)])
            style = style_figures(right, third[0] if third else None, np.stack([s.colours for s in studied]), wanted)
        between = {net.name: mean_pairwise(_features(net, photos, bench)) for net in bench.nets}
    return {
        "diversity": {
            "features": [
                {
                    "net": net.name,
                    "weights": net.weights,
                    **_beside(float(np.mean([s.features[net.name] for s in studied])), between[net.name]),
                }
                for net in bench.nets
            ],
            "pixels": _beside(float(np.mean([s.pixels for s in studied])), mean_absolute_difference(photos)),
        },
        "layout": layout(
            np.sum([s.confusions for s in studied], axis=0, dtype=np.int64), bench.signed.protocol.class_mean
        ),
        "style": style,
        "label_maps": [bench.dataset.names[index] for index in chosen],
    }


def spread(count: int, total: int) -> list[int]:
    """`count` of the indices 0 .. total - 1, evenly spread. Raises UserError for less than two, or too many."""
    if not 2 <= count <= total:
        raise UserError(
            f"{count} label maps of a split of {total}", where="--label-maps", mend=f"choose from 2 to {total}"
        )
    return [i * total // count for i in range(count)]


def mean_pairwise(rows: NDArray[np.floating]) -> float:
    """Mean Euclidean distance between the pairs of N >= 2 rows (N, D)."""
    exact = np.asarray(rows, dtype=np.float64)
    return _over_pairs(len(exact), lambda i, j: float(np.linalg.norm(exact[i] - exact[j])))


def mean_absolute_difference(images: Sequence[Image]) -> float:
    """Mean over the pairs of N >= 2 images of one size of their mean absolute difference, in grey levels."""
    wide = [image.astype(np.int16) for image in images]
    return _over_pairs(len(wide), lambda i, j: float(np.abs(wide[i] - wide[j]).mean()))


def colour(image: Image) -> Floats:
    """(6,): mean of R, G, B over the image (H, W, 3), then their standard deviations, in 0 .. 255."""
    flat = image.reshape(-1, 3).astype(np.float64)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0)])


def layout(confusions: NDArray[np.integer], class_mean: ClassMean) -> dict[str, Any]:
    """Whether every set of samples has the layout as well as the others: from (M, K+1, K+1) confusions."""
    found = [float(scores(matrix, class_mean)["miou"]) for matrix in confusions]
    mean = float(np.mean(found))
    deviation = 100 * max(abs(value - mean) for value in found)
    return {"miou": found, "mean": mean, "largest_deviation_points": deviation, "kept": deviation <= KEPT_POINTS}


def style_figures(right: Floats, third: Floats | None, random: Floats, wanted: Floats) -> dict[str, Any]:
    """What styles do to colours: figures of N pairs of a label map and a photo of another sample.

    wanted (N, 6): colours of the photos. right (N, 6): of the images with the photo's z. third (N, 6): with
    another photo's z, None where there is none. random (N, M, 6): with M random z.
    """
    distance = np.linalg.norm(right - wanted, axis=-1)
    return {
        "pairs": len(distance),
        "distance": float(distance.mean()),
        "random": _against(distance, np.linalg.norm(random - wanted[:, None], axis=-1).mean(axis=1)),
        "other_style": None if third is None else _against(distance, np.linalg.norm(third - wanted, axis=-1)),
    }


def _against(distance: Floats, other: Floats) -> dict[str, float | None]:
    """The other distances' mean, the share of pairs that are nearer than these (moved; a tie is none), and
    the mean over pairs of the ratio (None where the others are all 0)."""
    apart = other > 0
    # A tie to the last digits is one: the mean of equal distances need not be the distance.
    moved = distance < other * (1 - 1e-9)
    return {
        "distance": float(other.mean()),
        "moved": float(moved.mean()),
        "mean_ratio": float((distance[apart] / other[apart]).mean()) if apart.any() else None,
    }


def _studied(
    bench: Bench,
    source: GeneratorSource,
    chosen: Sequence[int],
    samples: int,
    batch: int,
    count: Callable[[int], None],
) -> Iterator[Studied]:
    """Generate the samples of the chosen label maps and describe them, label map by label map."""
    sources = [replace(source, sample=i) for i in range(samples)]
    for first in range(0, len(chosen), batch):
        scored = _batch(bench, chosen[first : first + batch])
        images, matrices = [], []
        for one in sources:
            images.append(one.images(scored))
            protocol, segmenter = bench.signed.protocol, bench.segmenter
            matrices.append(confusions(images[-1], scored.native, bench.dataset, protocol, segmenter, bench.device))
            count(len(scored.names))
        for place in range(len(scored.names)):
            of_map = [made[place] for made in images]
            yield Studied(
                {net.name: mean_pairwise(_features(net, of_map, bench)) for net in bench.nets},
                mean_absolute_difference(of_map),
                np.stack([m[place] for m in matrices]),
                np.stack([colour(image) for image in of_map]),
            )


def _styled(
    bench: Bench,
    source: GeneratorSource,
    encoder: nn.Module,
    chosen: Sequence[int],
    photos: Sequence[Image],
    turn: int,
    count: Callable[[int], None],
) -> Floats:
    """(N, 6) colours of each label map generated with its partner's style. One image at a time."""
    found = []
    for index, partner in zip(chosen, _partners(len(chosen), turn), strict=True):
        style = style_code(encoder, photos[partner], bench.suite.size, bench.device)
        found.append(colour(replace(source, style=style).images(_batch(bench, [index]))[0]))
        count(1)
    return np.stack(found)


def _partners(count: int, turn: int) -> list[int]:
    """For each of `count` samples the other one whose photo is its style: half the way round, and `turn` on.

    With two samples and a turn of 1 that would be the sample itself.
    """
    return [(i + count // 2 + turn) % count for i in range(count)]


def _batch(bench: Bench, indices: Sequence[int]) -> ScoreBatch:
    """Samples anywhere in the split as one batch, without photos."""
    ones = [
        next(scoring_batches(bench.dataset, bench.encoding, batch=1, indices=range(i, i + 1), photos=False))
        for i in indices
    ]
    labels = cat([one.labels for one in ones])
    return ScoreBatch(labels, [one.native[0] for one in ones], None, [one.names[0] for one in ones])


@torch.inference_mode()
def _features(net: FeatureNet, images: Sequence[Image], bench: Bench) -> Floats:
    """(N, dim) features of images of one size, taken at the suite's size; one image at a time."""
    rows = []
    for image in images:
        pixels = np.ascontiguousarray(resized_photo(image, bench.suite.size).transpose(2, 0, 1))
        rows.append(net.extract(torch.from_numpy(pixels).to(bench.device).float()[None])[0].double().cpu().numpy())
    return np.stack(rows)


def _photo(bench: Bench, index: int) -> Image:
    """The photo of a sample at the suite's size."""
    photo = bench.dataset.load(index).photo
    if photo is None:
        raise UserError("this data set was opened without photos", mend="the study compares with real photos")
    return resized_photo(photo, bench.suite.size)


def _beside(samples: float, photos: float) -> dict[str, float | None]:
    return {"samples": samples, "photos": photos, "ratio": samples / photos if photos > 0 else None}


def _over_pairs(count: int, distance: Callable[[int, int], float]) -> float:
    return float(np.mean([distance(i, j) for i, j in combinations(range(count), 2)]))
