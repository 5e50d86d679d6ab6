"""The built-in suite's segmenter: how well it reads photos, and that its training can be told and repeated."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.toyscapes import CLASSES, Toyscapes
from harness.errors import UserError
from harness.metrics.confusion import image_confusion, scores
from harness.registry import SEGMENTERS, lookup
from harness.segmenters.base import Segmenter
from harness.segmenters.toyscapes import WEIGHTS, load_net
from harness.segmenters.toyscapes_training import spoilt, train_toyscapes_segmenter

RECORD = json.loads(WEIGHTS.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return lookup(SEGMENTERS, "toyscapes")(None, "cpu")


@pytest.fixture(scope="module")
def val() -> tuple[Tensor, np.ndarray]:
    samples = [Toyscapes(None, "val").load(index) for index in range(200)]
    photos = torch.stack([torch.from_numpy(s.photo).permute(2, 0, 1).float() for s in samples])  # type: ignore[arg-type]
    return photos, np.stack([s.label for s in samples])


def miou(segmenter: Segmenter, photos: Tensor, labels: np.ndarray) -> float:
    predicted = np.concatenate([segmenter.predict(part).numpy() for part in photos.split(20)])
    total = sum(image_confusion(a, b, 9, None) for a, b in zip(labels, predicted, strict=True))
    return scores(np.asarray(total))["miou"]


def test_photos_of_the_validation_split_reach_the_miou_of_the_record(
    segmenter: Segmenter, val: tuple[Tensor, np.ndarray]
) -> None:
    reached = miou(segmenter, *val)
    assert reached >= 0.85
    assert reached == pytest.approx(RECORD["scores"]["miou"], abs=1e-3)


def test_every_class_is_read(segmenter: Segmenter) -> None:
    assert list(RECORD["scores"]["iou"]) == list(CLASSES.names)
    assert min(RECORD["scores"]["iou"].values()) > 0.6


def test_spoilt_photos_are_still_read_but_what_is_no_photo_scores_low(
    segmenter: Segmenter, val: tuple[Tensor, np.ndarray]
) -> None:
    photos, labels = val[0][:60], val[1][:60]
    noise = torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))
    blurred = F.avg_pool2d(F.pad(photos, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    whole = miou(segmenter, photos, labels)
    assert miou(segmenter, (photos + 8 * noise).clamp(0, 255), labels) > 0.8 * whole
    assert 0.6 * whole < miou(segmenter, blurred, labels) < whole
    assert miou(segmenter, (128 + 50 * noise).clamp(0, 255), labels) < 0.25 * whole
    # Photos of other scenes: the layout that all landscapes share does not earn much.
    assert miou(segmenter, photos.roll(1, dims=0), labels) < 0.6 * whole


def test_larger_photos_are_read(segmenter: Segmenter) -> None:
    large = Toyscapes(None, "val", size=(96, 128), count=10)
    samples = [large.load(index) for index in range(10)]
    photos = torch.stack([torch.from_numpy(s.photo).permute(2, 0, 1).float() for s in samples])  # type: ignore[arg-type]
    assert miou(segmenter, photos, np.stack([s.label for s in samples])) > 0.75


def test_a_prediction_does_not_depend_on_its_batch(segmenter: Segmenter, val: tuple[Tensor, np.ndarray]) -> None:
    photos = val[0][:5]
    alone = torch.cat([segmenter.predict(photo[None]) for photo in photos])
    assert (segmenter.predict(photos) == alone).float().mean() > 0.9999


@pytest.mark.parametrize("size", [(8, 8), (45, 70)])
def test_any_size_is_predicted_at_that_size(segmenter: Segmenter, size: tuple[int, int]) -> None:
    predicted = segmenter.predict(torch.zeros(2, 3, *size))
    assert predicted.shape == (2, *size)
    assert predicted.dtype == torch.int64
    assert predicted.max() < segmenter.classes == len(CLASSES)


def test_weights_are_small_and_the_record_tells_how_they_came_to_be(segmenter: Segmenter) -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    assert segmenter.weights == RECORD["weights"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]
    assert RECORD["command"].startswith("spadebench train-segmenter toyscapes")
    assert RECORD["data"]["val"] == Toyscapes(None, "val").fingerprint()
    assert RECORD["data"]["train"] == Toyscapes(None, "train", count=RECORD["config"]["photos"]).fingerprint()


def test_training_writes_weights_and_record_and_repeats_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.segmenters.toyscapes_training.PHOTOS", 8)
    monkeypatch.setattr("harness.data.toyscapes.COUNTS", {"train": 8, "val": 4})
    seen: list[tuple[int, int]] = []
    before = torch.get_num_threads(), torch.random.get_rng_state()
    records = [
        train_toyscapes_segmenter(
            tmp_path / f"{name}.safetensors",
            iterations=3,
            seed=seed,
            batch=4,
            progress=lambda done, total, values: seen.append((done, total)),
        )
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    ]
    one, again, other = ((tmp_path / f"{n}.safetensors").read_bytes() for n in ("one", "again", "other"))
    assert one == again != other
    assert seen[:3] == [(1, 3), (2, 3), (3, 3)]
    assert json.loads((tmp_path / "one.json").read_text()) == records[0]
    assert 0 <= records[0]["scores"]["miou"] <= 1
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    load_net(tmp_path / "one.safetensors", "cpu")
    assert {p.name.split(".")[0] for p in tmp_path.iterdir()} == {"one", "again", "other"}


def test_spoiling_mirrors_photo_and_label_together() -> None:
    labels = torch.zeros(32, 16, 16, dtype=torch.int64)
    labels[:, :, :8] = 1
    images = labels[:, None].float().expand(-1, 3, -1, -1) * 1.2 - 0.6
    changed, wanted = spoilt(images, labels, torch.Generator().manual_seed(0))
    mirrored = wanted[:, 0, 0] == 0
    assert 5 < mirrored.sum() < 27
    inside = changed[..., [0, 1, 2, 13, 14, 15]].mean(dim=(1, 2))
    assert ((inside[:, :3].mean(dim=1) > inside[:, 3:].mean(dim=1)) == ~mirrored).all()
    assert changed.abs().max() <= 1


@pytest.mark.parametrize("content", [None, b"", b"no weights", WEIGHTS.read_bytes()[:1000]])
def test_broken_weights_are_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "toyscapes.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"toyscapes\.safetensors"):
        load_net(path, "cpu")
