"""The programs that `spadebench benchmark` takes the time of, each run as a process of its own.

    python -m harness.launch.benchmark.programs PROGRAM JOB.json REPORT.json

`one-pass` is what `spadebench evaluate` does with a checkpoint. `generate`, `segment` and `distance` do the
same work one after another through PNG files, as scripts around a paper's code do; `distance` is for feature
nets other than Inception, for which pytorch-fid itself is run. `photos` and `statistics` make what the
distance is taken to. Files are written plainly, without the care for a full disk that the harness takes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from harness.cells import load_suite
from harness.data.base import DataSet
from harness.data.encode import resized_photo
from harness.data.loading import scoring_batches
from harness.data.subset import Subset
from harness.errors import UserError
from harness.evaluation.bench import Bench, Nets, open_bench, open_data
from harness.evaluation.evaluate import evaluate, exact_arithmetic
from harness.evaluation.one_pass import Settings, confusions
from harness.evaluation.places import Places
from harness.evaluation.protocol import Protocol
from harness.evaluation.sources import GeneratorSource
from harness.launch.cells.cell import checkpoint_classes, generator_subject, load_generator
from harness.launch.scores.official_source import open_weights, weights_source
from harness.metrics.confusion import scores
from harness.metrics.frechet import FeatureStats
from harness.records import Store
from harness.registry import import_plugin
from harness.suites.base import Suite
from harness.training.loop import suite_encoding

Found = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """What all programs are told.

    folder: of the files between them. untrained: the checkpoint is of a training that has not begun.
    features: feature net, None without a distance. images: the first so many samples of the split.
    """

    folder: str
    suite: str
    split: str
    checkpoint: str
    untrained: bool
    images: int
    features: str | None
    random_weights: bool
    batch: int
    workers: int
    threads: int
    device: str
    data_root: str | None = None
    weights_root: str | None = None
    user_code: tuple[str, ...] = ()

    @property
    def made(self) -> Path:
        """Folder of the generated images, as PNG."""
        return Path(self.folder) / "images"

    @property
    def photos(self) -> Path:
        """Folder of the photos they are compared with, as PNG at the suite's size."""
        return Path(self.folder) / "photos"

    @property
    def statistics(self) -> Path:
        """Mean and covariance of the photos' features, in pytorch-fid's format."""
        return Path(self.folder) / "statistics.npz"

    @property
    def reference(self) -> Path:
        """The same as the one pass keeps it."""
        return Path(self.folder) / "reference.npz"

    @property
    def places(self) -> Places:
        data, weights = (Path(root) if root is not None else None for root in (self.data_root, self.weights_root))
        return Places(data, weights)

    def opened_suite(self) -> Suite:
        """The suite, with the job's threads."""
        return replace(load_suite(self.suite), threads=self.threads)

    def protocol(self) -> Protocol:
        """The suite's own, without a kernel distance: pytorch-fid has none."""
        return replace(self.opened_suite().protocol, kernel=False)

    def dataset(self, with_photos: bool) -> DataSet:
        """The scored samples."""
        whole = open_data(self.opened_suite(), self.split, self.places, with_photos)
        return Subset(whole, whole.names[: self.images]) if self.images < len(whole) else whole

    def nets(self) -> Nets:
        """The segmenter and the feature net, opened when asked for."""
        return Nets(self.places, torch.device(self.device), self.random_weights)

    def bench(self) -> Bench:
        """All that scores."""
        features = [] if self.features is None else [self.features]
        return open_bench(
            self.opened_suite(),
            self.places,
            torch.device(self.device),
            self.protocol(),
            features,
            self.split,
            dataset=self.dataset(with_photos=True),
            nets=self.nets(),
        )


def one_pass(job: Job, cached: bool = False) -> Found:
    """Generate, segment and describe in one pass, and save the record; the Fréchet reference is kept, or taken."""
    loaded = open_weights(Path(job.checkpoint), job.suite, job.places)
    bench = job.bench()
    if cached and job.features is not None:
        bench.give_reference(job.features, FeatureStats.load(job.reference))
    if job.untrained:
        source, subject = generator_subject(loaded, bench, "untrained")
        subject = replace(subject, notes=("the generator is untrained, so the scores say nothing", *subject.notes[1:]))
    else:
        source, subject = weights_source(loaded, bench)
    settings = Settings(bench.device, job.batch, job.workers)
    record, confusion = evaluate(bench, source, subject, settings)
    Store(Path(job.folder) / "runs").save(record, confusion)
    for stats in bench.reference().values():
        if not cached:
            stats.save(job.reference)
    return {
        "miou": record.scores["miou"],
        "accuracy": record.scores["accuracy"],
        "distance": record.scores[bench.nets[0].key] if bench.nets else None,
        "key": bench.nets[0].key if bench.nets else None,
        "signature": record.protocol["signature"],
        "notes": record.notes,
        "title": record.title,
    }


def generate(job: Job) -> Found:
    """Make the images and save them as PNG."""
    loaded = open_weights(Path(job.checkpoint), job.suite, job.places)
    device = torch.device(job.device)
    source = GeneratorSource(load_generator(loaded, device, job.places), "", device, loaded.config["seed"])
    encoding = suite_encoding(loaded.config, checkpoint_classes(loaded))
    dataset = job.dataset(with_photos=False)
    job.made.mkdir()
    done = 0
    with exact_arithmetic():
        for batch in scoring_batches(dataset, encoding, batch=job.batch, photos=False, workers=job.workers):
            for image in source.images(batch):
                Image.fromarray(image).save(_file(job.made, done))
                done += 1
    return {"images": done}


def segment(job: Job) -> Found:
    """Read the PNGs, segment them, count up the confusion."""
    protocol, dataset = job.protocol(), job.dataset(with_photos=False)
    assert protocol.segmenter is not None
    segmenter = job.nets().segmenter(protocol.segmenter)
    total: NDArray[np.int64] | int = 0
    with exact_arithmetic():
        for start in range(0, len(dataset), job.batch):
            indices = range(start, min(start + job.batch, len(dataset)))
            images = [_read(_file(job.made, index)) for index in indices]
            labels = [dataset.load(index).label for index in indices]
            total = total + sum(confusions(images, labels, dataset, protocol, segmenter, torch.device(job.device)))
    found = scores(np.asarray(total), protocol.class_mean)
    return {
        "miou": found["miou"],
        "accuracy": found["accuracy_void_wrong" if protocol.void == "wrong" else "accuracy"],
    }


def photos(job: Job) -> Found:
    """Write the photos that the images are compared with as PNG at the suite's size.

    resized: how many had another size, so that the data set's own files would not do.
    """
    suite = job.opened_suite()
    trained = suite.protocol.reference == "train"
    dataset = open_data(suite, suite.train_split, job.places) if trained else job.dataset(with_photos=True)
    job.photos.mkdir()
    resized = 0
    for index in range(len(dataset)):
        photo = dataset.load(index).photo
        if photo is None:
            raise UserError("this data set was opened without photos", mend="Fréchet distances need them")
        resized += photo.shape[:2] != suite.size
        Image.fromarray(resized_photo(photo, suite.size)).save(_file(job.photos, index))
    return {"photos": len(dataset), "resized": resized}


def distance(job: Job, cached: bool = False) -> Found:
    """The Fréchet distance between the folders as pytorch-fid computes it, by another feature net than its own."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    made = _moments(job, job.made)
    if cached:
        with np.load(job.statistics) as file:
            reference = file["mu"], file["sigma"]
    else:
        reference = _moments(job, job.photos)
    return {"distance": float(calculate_frechet_distance(*made, *reference))}


def statistics(job: Job) -> Found:
    """Keep mean and covariance of the photos' features."""
    mean, covariance = _moments(job, job.photos)
    np.savez_compressed(job.statistics, mu=mean, sigma=covariance)
    return {}


PROGRAMS: dict[str, Callable[[Job], Found]] = {
    "one-pass": one_pass,
    "one-pass-cached": lambda job: one_pass(job, cached=True),
    "generate": generate,
    "segment": segment,
    "photos": photos,
    "distance": distance,
    "distance-cached": lambda job: distance(job, cached=True),
    "statistics": statistics,
}


def read_job(path: Path) -> Job:
    """The job in a file of `write_job`."""
    values = json.loads(path.read_text(encoding="utf-8"))
    return Job(**{**values, "user_code": tuple(values["user_code"])})


def write_job(job: Job, path: Path) -> None:
    """Keep a job for the programs."""
    path.write_text(json.dumps(asdict(job)), encoding="utf-8")


def _moments(job: Job, folder: Path) -> tuple[Floats, Floats]:
    """Mean (dim,) and covariance (dim, dim) of the features of a folder's images."""
    assert job.features is not None
    net, files = job.nets().feature_net(job.features), sorted(folder.glob("*.png"))
    rows = []
    with exact_arithmetic(), torch.inference_mode():
        for start in range(0, len(files), job.batch):
            images = np.stack([_read(path) for path in files[start : start + job.batch]])
            batch = torch.from_numpy(images).to(job.device).permute(0, 3, 1, 2).float()
            rows.append(net.extract(batch).double().cpu().numpy())
    features = np.concatenate(rows)
    return features.mean(axis=0), np.cov(features, rowvar=False)


def _file(folder: Path, index: int) -> Path:
    """pytorch-fid looks into no sub-folders, which samples' names may have; so files are named by number."""
    return folder / f"{index:06d}.png"


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image)


def main(program: str, job_file: str, report: str) -> int:
    """Run a program and leave its report: what it found, and the time (epoch) when all was imported."""
    job = read_job(Path(job_file))
    for name in job.user_code:
        import_plugin(name)
    torch.set_num_threads(job.threads)
    ready = time.time()
    try:
        found = PROGRAMS[program](job)
    except UserError as error:
        print(f"spadebench: error: {error}", file=sys.stderr)
        return 2
    Path(report).write_text(json.dumps({"ready": ready, **found}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
