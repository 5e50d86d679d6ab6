"""How the built-in suite's segmenter is trained: `spadebench train-segmenter toyscapes`.

On rendered photos of the training split, spoilt a little (blur, noise, colour), since what it will
read are the photos of generators that are not perfect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import harness
from harness.data.base import DataSet
from harness.data.toyscapes import Toyscapes
from harness.files import atomic_path, write_json
from harness.hardware import describe, git_commit, versions
from harness.metrics.confusion import image_confusion, scores
from harness.segmenters.toyscapes import ToyscapesNet, ToyscapesSegmenter
from harness.weights import short_digest

ITERATIONS = 1250
PHOTOS = 3000
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.01
WARM_UP = 0.1

Update = Callable[[int, int, Mapping[str, float]], None]


def train_toyscapes_segmenter(
    out: Path,
    *,
    iterations: int | None = None,
    seed: int = 0,
    batch: int = 16,
    threads: int = 1,
    progress: Update | None = None,
) -> dict[str, Any]:
    """Train, score on the validation split, write `out` (safetensors) and its record beside it (JSON).

    The same arguments on the same machine and versions give the same weights. progress(done, total,
    values) is called after each iteration. Returns the record; `scores` are fractions, on photos of the
    validation split (200 of 64x64). Raises UserError where `out` cannot be written.
    """
    total = ITERATIONS if iterations is None else iterations
    began = time.perf_counter()
    train, val = Toyscapes(None, "train", count=PHOTOS), Toyscapes(None, "val")
    with _threads(threads):
        net = _trained(train, total, batch, seed, progress)
        reached = score(net, val)
    with atomic_path(out) as temporary:
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, temporary)
    record = {
        "segmenter": "toyscapes",
        "weights": short_digest(out),
        "command": f"spadebench train-segmenter toyscapes --out {out.name} --iterations {total} --seed {seed}",
        "config": {
            "iterations": total,
            "batch": batch,
            "seed": seed,
            "threads": threads,
            "photos": len(train),
            "optimiser": "AdamW",
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "schedule": f"linear from 0 over {WARM_UP:g} of the iterations, then half a cosine to 0",
        },
        "parameters": sum(p.numel() for p in net.parameters()),
        "trained_split": f"train, {len(train)} photos of 64x64",
        "scored_split": f"val, {len(val)} photos of 64x64",
        "scores": reached,
        "seconds": round(time.perf_counter() - began, 1),
        "spadebench": harness.__version__,
        "versions": versions(),
        "hardware": describe(torch.device("cpu")),
        "git_commit": git_commit(),
        "data": {"train": train.fingerprint(), "val": val.fingerprint()},
    }
    write_json(out.with_suffix(".json"), record)
    return record


def score(net: ToyscapesNet, dataset: DataSet) -> dict[str, Any]:
    """mIoU, accuracy and IoU by class of the net on photos, as fractions. `net` is put in eval mode."""
    segmenter = ToyscapesSegmenter(net.eval(), "", next(net.parameters()).device)
    confusion = np.zeros((segmenter.classes + 1, segmenter.classes + 1), dtype=np.int64)
    for index in range(len(dataset)):
        sample = dataset.load(index)
        assert sample.photo is not None
        image = torch.from_numpy(sample.photo).permute(2, 0, 1)[None].float()
        confusion += image_confusion(sample.label, segmenter.predict(image)[0].cpu().numpy(), segmenter.classes, None)
    found = scores(confusion)
    return {
        "miou": found["miou"],
        "accuracy": found["accuracy"],
        "iou": dict(zip(dataset.classes.names, found["iou"], strict=True)),
    }


def _trained(dataset: DataSet, iterations: int, batch: int, seed: int, progress: Update | None) -> ToyscapesNet:
    samples = [dataset.load(index) for index in range(len(dataset))]
    photos = torch.stack([torch.from_numpy(s.photo).permute(2, 0, 1) for s in samples if s.photo is not None])
    labels = torch.stack([torch.from_numpy(np.asarray(s.label)) for s in samples])
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ToyscapesNet().train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stub
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    order = torch.empty(0, dtype=torch.int64)
    for done in range(iterations):
        if len(order) < batch:
            order = torch.cat([order, torch.randperm(len(photos), generator=random)])
        picked, order = order[:batch], order[batch:]
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * _share((done + 0.5) / iterations)
        images, wanted = spoilt(photos[picked].float() / 127.5 - 1, labels[picked].long(), random)
        loss = F.cross_entropy(net(images.contiguous(memory_format=torch.channels_last)), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if progress is not None:
            progress(done + 1, iterations, {"loss": loss.item()})
    return net.to(memory_format=torch.contiguous_format)


def _share(done: float) -> float:
    """Share of the learning rate at a share of the training."""
    if done < WARM_UP:
        return done / WARM_UP
    return float(0.5 + 0.5 * np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP)))


def spoilt(images: Tensor, labels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch as generators might draw it: half mirrored, half blurred, colours and contrast shifted, noise.

    images (N, 3, H, W) in [-1, 1], labels (N, H, W); returned alike, images nominally in the same range.
    """
    count = len(images)

    def draw(channels: int = 1) -> Tensor:
        return torch.rand(count, channels, 1, 1, generator=random)

    flip = draw() < 0.5
    images = torch.where(flip, images.flip(3), images)
    labels = torch.where(flip[:, 0], labels.flip(2), labels)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    # A twice blurred one too: a tent over 5 pixels.
    more = F.avg_pool2d(F.pad(blurred, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = torch.lerp(images, torch.where(draw() < 0.4, more, blurred), draw() * (draw() < 0.5))
    images = images * (0.85 + 0.3 * draw()) * (0.94 + 0.12 * draw(3)) + 0.16 * (draw() - 0.5) + 0.08 * (draw(3) - 0.5)
    noise = torch.randn(images.shape, generator=random)
    return (images + noise * 0.12 * draw() * (draw() < 0.6)).clamp(-1, 1), labels


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """The bits of a sum depend on how many threads share it, so their number is part of the config."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
