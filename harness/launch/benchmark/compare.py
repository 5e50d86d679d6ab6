"""How much faster one pass scores than the same work by programs that hand each other PNG files.

One side is `spadebench evaluate`: images are generated, read back and described in one process, and never
written. The other generates and saves PNGs, reads them to segment them, and reads them again for pytorch-fid,
in three processes. Both are run in turns on one machine, in the same number of threads, and must come to the
same scores. docs/benchmark.md says what is counted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness import __version__
from harness.cells import load_suite, resolve
from harness.data.roots import weights_root
from harness.errors import UserError
from harness.evaluation.bench import RANDOM, Bench, Nets, Say, open_bench, open_data
from harness.evaluation.places import Places
from harness.evaluation.protocol import short_hash
from harness.features.inception import FILE_NAME, RELEASE
from harness.hardware import provenance
from harness.launch.benchmark.programs import Job, write_job
from harness.launch.benchmark.results import Timed, check_scores, summary
from harness.suites.base import Suite
from harness.training.checkpoints import Checkpoint, save_checkpoint
from harness.training.loop import suite_encoding
from harness.training.networks import build_networks

Progress = Callable[[str, int, int], None]
INCEPTION = "inception"


@dataclass(frozen=True)
class Ask:
    """What is to be timed. checkpoint, or method: a generator of untrained weights, as fast as a trained one.

    images: the first so many samples; None takes all. features: at most one feature net; None takes the
    protocol's. threads: None takes the suite's. repeat: times everything is run; medians are taken.
    """

    suite: str
    checkpoint: Path | None = None
    method: str | None = None
    overrides: Mapping[str, Any] | None = None
    split: str | None = None
    images: int | None = None
    features: Sequence[str] | None = None
    random_weights: bool = False
    batch: int = 8
    workers: int = 0
    threads: int | None = None
    repeat: int = 1
    user_code: tuple[str, ...] = ()


def benchmark(
    ask: Ask,
    places: Places,
    device: torch.device,
    folder: Path,
    progress: Progress = lambda what, done, total: None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Time both sides and compare their scores; plain values, seconds throughout.

    folder: an empty one for the files between the programs. progress: told the program that is run next, and
    how many have been of how many, the last one once more at its end. say: told what is left out.
    Raises UserError where something is not at hand, where a program fails, and where the sides do not come to
    the same scores.
    """
    job, weights = _job(ask, places, device, folder, say)
    write_job(job, folder / "job.json")
    runner = Runner(job, _environment(job), progress, ask.repeat)
    if job.features == INCEPTION:
        _weights_for_pytorch_fid(_torch_home(job), places, weights == RANDOM)
    runs: list[dict[str, Timed]] = []
    for number in range(ask.repeat):
        runs.append(runner.once(number))
        check_scores(runs[-1])
    first = runs[0]["one-pass"].found
    given = {key: value for key, value in asdict(job).items() if key not in ("folder", "data_root", "weights_root")}
    generator = {"method": ask.method} if ask.checkpoint is None else {"checkpoint": ask.checkpoint.name}
    return {
        "schema": 1,
        **{**given, "checkpoint": None, **generator, "overrides": dict(ask.overrides or {})},
        "user_code": list(job.user_code),
        "repeat": ask.repeat,
        "title": first["title"] + (", untrained" if job.untrained else ""),
        **summary(runs),
        "protocol": {"signature": first["signature"], "hash": short_hash(first["signature"])},
        "notes": first["notes"],
        "runs": [{name: {"seconds": t.seconds, "start": t.start} for name, t in run.items()} for run in runs],
        "provenance": {"spadebench": __version__, **provenance(device)},
    }


@dataclass
class Runner:
    """Runs the programs of a job one after another, `repeat` times. done: programs run so far. start_of_fid: seconds
    until pytorch-fid is imported, once measured."""

    job: Job
    environment: dict[str, str]
    progress: Progress
    repeat: int
    done: int = 0
    start_of_fid: float = 0.0

    def once(self, number: int) -> dict[str, Timed]:
        """All programs once, the two sides in turns. What is kept for the cached runs is made the first time."""
        for made in (self.job.made, self.job.photos):
            shutil.rmtree(made, ignore_errors=True)
        names = ["one-pass", "generate", "segment"]
        if self.job.features is not None:
            kept = ["statistics"] if number == 0 else []
            names += ["photos", "distance", *kept, "one-pass-cached", "distance-cached"]
        left = (self.repeat - number) * len(names) - (self.repeat - number - 1) * names.count("statistics")
        total = self.done + left
        return {name: self._run(name, total) for name in names}

    def _run(self, name: str, total: int) -> Timed:
        self.progress(name, self.done, total)
        timed = self._fid(name) if self._of_fid(name) else self._own(name)
        self.done += 1
        if self.done == total:
            self.progress(name, total, total)
        return timed

    def _of_fid(self, name: str) -> bool:
        return self.job.features == INCEPTION and name in ("distance", "distance-cached", "statistics")

    def _own(self, name: str) -> Timed:
        folder = Path(self.job.folder)
        report = folder / f"{name}.json"
        began = time.time()
        seconds, _ = self._process(
            name, ["-m", "harness.launch.benchmark.programs", name, str(folder / "job.json"), str(report)]
        )
        found = json.loads(report.read_text(encoding="utf-8"))
        return Timed(seconds, found.pop("ready") - began, found)

    def _fid(self, name: str) -> Timed:
        """pytorch-fid with its own defaults for batches and loader processes."""
        job = self.job
        if not self.start_of_fid:
            self.start_of_fid, _ = self._process("import of pytorch-fid", ["-c", "import pytorch_fid.fid_score"])
        command = ["-m", "pytorch_fid", "--device", job.device]
        if name == "statistics":
            seconds, _ = self._process(name, [*command, "--save-stats", str(job.photos), str(job.statistics)])
            return Timed(seconds, self.start_of_fid, {})
        reference = job.statistics if name == "distance-cached" else job.photos
        seconds, said = self._process(name, [*command, str(job.made), str(reference)])
        return Timed(seconds, self.start_of_fid, {"distance": _printed(said)})

    def _process(self, name: str, arguments: list[str]) -> tuple[float, str]:
        """Seconds of a Python process, and what it printed. Raises UserError where it fails."""
        # pytorch-fid looks for its weights in a folder of the benchmark's, so that it downloads nothing.
        home = {"TORCH_HOME": str(_torch_home(self.job))} if "pytorch_fid" in arguments else {}
        began = time.perf_counter()
        done = run_python(arguments, {**self.environment, **home})
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise UserError(f"a program failed: {last.removeprefix('spadebench: error: ')}", where=name)
        return seconds, done.stdout


def run_python(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments to its end."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def _printed(said: str) -> float:
    """The distance in what pytorch-fid prints."""
    for line in said.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "FID":
            return float(value)
    raise UserError("pytorch-fid printed no FID", where="distance")


def _job(ask: Ask, places: Places, device: torch.device, folder: Path, say: Say) -> tuple[Job, str | None]:
    """The job, everything it needs opened once; and the weights of its feature net."""
    suite = load_suite(ask.suite)
    suite = replace(suite, threads=suite.threads if ask.threads is None else ask.threads)
    split = ask.split or suite.score_split
    # Opened on the CPU and dropped: what is missing is said before anything is timed.
    nets = Nets(places, torch.device("cpu"), ask.random_weights)
    bench = open_bench(suite, places, torch.device("cpu"), None, ask.features, split, say, nets=nets)
    if len(bench.nets) > 1:
        raise UserError(
            f"one feature net at a time is timed, not {len(bench.nets)}",
            where="--features",
            mend=f"name one of {', '.join(net.name for net in bench.nets)}",
        )
    net = bench.nets[0] if bench.nets else None
    images = min(len(bench.dataset), ask.images or len(bench.dataset))
    if net is not None and images < 2:
        raise UserError("a Fréchet distance needs 2 images or more", where="--images", mend="or --features none")
    checkpoint = ask.checkpoint if ask.checkpoint is not None else _untrained(ask, suite, bench, places, folder)
    job = Job(
        folder=str(folder),
        suite=ask.suite,
        split=split,
        checkpoint=str(checkpoint),
        untrained=ask.checkpoint is None,
        images=images,
        features=None if net is None else net.name,
        random_weights=ask.random_weights,
        batch=ask.batch,
        workers=ask.workers,
        threads=suite.threads,
        device=str(device),
        data_root=None if places.data is None else str(places.data),
        weights_root=None if places.weights is None else str(places.weights),
        user_code=ask.user_code,
    )
    return job, None if net is None else net.weights


def _untrained(ask: Ask, suite: Suite, bench: Bench, places: Places, folder: Path) -> Path:
    """A checkpoint of a method at step 0. Raises UserError where no method is named."""
    if ask.method is None:
        raise UserError("nothing to generate with", where="benchmark", mend="give --checkpoint FILE or --method NAME")
    config = resolve(ask.method, suite, overrides=ask.overrides).config
    classes = bench.dataset.classes
    networks = build_networks(config, suite_encoding(config, classes).spec)
    # A memory is made of training photos, and named by their fingerprint.
    remembers = hasattr(networks.generator, "memory_key")
    data = open_data(suite, suite.train_split, places).fingerprint() if remembers else ""
    states = {"generator": networks.generator.state_dict()}
    return save_checkpoint(folder, Checkpoint(config, 0, states, {}, 0.0, 0, data, asdict(classes), "", {}), keep=1)


def _environment(job: Job) -> dict[str, str]:
    """The same for all programs."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(job.threads))
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **threads}


def _torch_home(job: Job) -> Path:
    return Path(job.folder) / "torch"


def _weights_for_pytorch_fid(home: Path, places: Places, random: bool) -> None:
    """Put the weights that the one pass has to where pytorch-fid looks for its own."""
    target = home / "hub" / "checkpoints" / FILE_NAME
    target.parent.mkdir(parents=True)
    if random:
        from harness.features.untrained import draw_state, fid_shapes

        torch.save(draw_state(fid_shapes()), target)
    else:
        target.symlink_to(RELEASE.find(weights_root(places.weights)).resolve())
