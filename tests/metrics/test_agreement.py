"""The segmentation scores and the distances are those of the programs that others compute them with."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.metrics.confusion import image_confusion, scores
from harness.metrics.frechet import FeatureStats, frechet_distance
from harness.metrics.kernel import kernel_distance, subset_distances

VOID = 255
few = settings(max_examples=15, deadline=None)
Maps = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@st.composite
def scored(draw: st.DrawFn, stray: bool = False) -> tuple[int, Maps]:
    """The number of classes, and 1 to 3 pairs of a label map with void pixels and a prediction.

    Some classes are absent from the labels, some from the predictions, some from both. stray: predictions have
    values that are no class too.
    """
    classes = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    in_labels, in_predictions = (rng.choice(classes, rng.integers(1, classes + 1), replace=False) for _ in range(2))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        size = tuple(rng.integers(3, 14, 2))
        label, prediction = rng.choice(in_labels, size), rng.choice(in_predictions, size)
        prediction = np.where(rng.random(size) < 0.4, label, prediction)
        label[rng.random(size) < 0.2] = VOID
        label[0, 0] = in_labels[0]
        if stray:
            prediction[rng.random(size) < 0.1] = classes + 3
        pairs.append((label, prediction))
    return classes, pairs


def total(classes: int, pairs: Maps) -> NDArray[np.int64]:
    summed: NDArray[np.int64] = sum(image_confusion(*pair, classes, VOID) for pair in pairs)
    return summed


def as_array(iou: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in iou])


@few
@given(scored(stray=True))
def test_mmsegmentation_agrees_where_the_union_is_not_empty(case):
    metric = pytest.importorskip("mmseg.evaluation.metrics").IoUMetric
    classes, pairs = case
    ours = scores(total(classes, pairs))
    areas = [
        metric.intersect_and_union(torch.from_numpy(prediction), torch.from_numpy(label), classes, VOID)
        for label, prediction in pairs
    ]
    theirs = metric.total_area_to_metrics(*(sum(area) for area in zip(*areas, strict=True)))
    np.testing.assert_allclose(theirs["IoU"], as_array(ours["iou"]), rtol=0, atol=1e-6)
    assert np.nanmean(theirs["IoU"]) == pytest.approx(ours["miou"], abs=1e-6)
    assert theirs["aAcc"] == pytest.approx(ours["accuracy"], abs=1e-6)
    # Told to take nan for 0, it averages over all classes.
    filled = metric.total_area_to_metrics(*(sum(area) for area in zip(*areas, strict=True)), nan_to_num=0)
    assert np.nanmean(filled["IoU"]) == pytest.approx(scores(total(classes, pairs), "all")["miou"], abs=1e-6)


def test_what_mmsegmentation_prints_is_ours_in_percent_to_two_places():
    metric = pytest.importorskip("mmseg.evaluation.metrics").IoUMetric(ignore_index=VOID)
    rng = np.random.default_rng(3)
    metric.dataset_meta = {"classes": [str(index) for index in range(6)]}
    pairs = [(rng.integers(0, 5, (9, 11)), rng.integers(0, 5, (9, 11))) for _ in range(4)]
    for label, prediction in pairs:
        label[:2] = VOID
        maps = {"pred_sem_seg": prediction[None], "gt_sem_seg": label[None]}
        metric.process({}, [{key: {"data": torch.from_numpy(value)} for key, value in maps.items()}])
    theirs, ours = metric.evaluate(size=len(pairs)), scores(total(6, pairs))
    assert theirs["mIoU"] == pytest.approx(100 * ours["miou"], abs=0.005001)
    assert theirs["aAcc"] == pytest.approx(100 * ours["accuracy"], abs=0.005001)


@few
@given(scored())
def test_torchmetrics_agrees_and_calls_an_absent_class_zero(case):
    from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

    classes, pairs = case
    ours = scores(total(classes, pairs))
    metrics = {
        "miou": MulticlassJaccardIndex(classes, average="macro", ignore_index=VOID),
        "iou": MulticlassJaccardIndex(classes, average="none", ignore_index=VOID),
        "accuracy": MulticlassAccuracy(classes, average="micro", ignore_index=VOID),
    }
    for label, prediction in pairs:
        for metric in metrics.values():
            metric.update(torch.from_numpy(prediction)[None], torch.from_numpy(label)[None])
    theirs = {name: metric.compute().numpy() for name, metric in metrics.items()}
    # Its mean leaves out a class that is nowhere, though its list of classes shows 0 for it.
    assert theirs["miou"] == pytest.approx(ours["miou"], abs=1e-6)
    np.testing.assert_allclose(theirs["iou"], np.nan_to_num(as_array(ours["iou"])), rtol=0, atol=1e-6)
    assert theirs["accuracy"] == pytest.approx(ours["accuracy"], abs=1e-6)


class Itself(torch.nn.Module):
    """A feature net for torchmetrics: its images are features already."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def features(seed: int, count: int, dim: int) -> NDArray[np.float64]:
    """Non-negative features of a falling spectrum, as those after a ReLU and a pooling."""
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=(count, dim)) @ (rng.normal(size=(dim, dim)) * 0.9 ** np.arange(dim)[:, None])) / 4


def kept(rows: NDArray[np.floating]) -> FeatureStats:
    stats = FeatureStats(rows.shape[1], keep=True)
    stats.update(rows)
    return stats


@pytest.mark.parametrize(("one", "other"), [(300, 200), (40, 300)])
def test_pytorch_fid_and_torchmetrics_give_the_same_frechet_distance(one, other):
    fid_score = importlib.import_module("pytorch_fid.fid_score")
    from torchmetrics.image.fid import FrechetInceptionDistance

    a, b = features(1, one, 24), features(2, other, 24) * 1.3 + 0.1
    ours = frechet_distance(kept(a), kept(b))
    moments = [part for rows in (a, b) for part in (rows.mean(axis=0), np.cov(rows, rowvar=False))]
    assert fid_score.calculate_frechet_distance(*moments) == pytest.approx(ours, rel=1e-6)
    metric = FrechetInceptionDistance(feature=Itself(24))
    metric.update(torch.from_numpy(a), real=True)
    metric.update(torch.from_numpy(b), real=False)
    assert float(metric.compute()) == pytest.approx(ours, rel=1e-6)


def test_fewer_images_than_dimensions_leave_pytorch_fid_only_the_root_of_the_rounding_error():
    fid_score = importlib.import_module("pytorch_fid.fid_score")
    a, b = features(1, 12, 24), features(2, 15, 24)
    moments = [part for rows in (a, b) for part in (rows.mean(axis=0), np.cov(rows, rowvar=False))]
    # Its square root is of a singular matrix: the eigenvalues that should be 0 are about 1e-16, their roots 1e-8 each.
    assert fid_score.calculate_frechet_distance(*moments) == pytest.approx(frechet_distance(kept(a), kept(b)), rel=1e-5)


def test_torchmetrics_gives_the_same_kernel_distance():
    from torchmetrics.image.kid import KernelInceptionDistance

    a, b = features(1, 130, 24), features(2, 130, 24) + 0.1
    metric = KernelInceptionDistance(feature=Itself(24), subsets=1, subset_size=130)
    metric.update(torch.from_numpy(a), real=True)
    metric.update(torch.from_numpy(b), real=False)
    theirs = float(metric.compute()[0])
    assert theirs == pytest.approx(kernel_distance(kept(a), kept(b)), abs=1e-6, rel=1e-6)
    whole = subset_distances(kept(a), kept(b), np.random.default_rng(0), subsets=2, size=130)
    np.testing.assert_allclose(whole, theirs, rtol=1e-6)
