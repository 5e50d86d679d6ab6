"""A file of weights as an image source: a checkpoint of ours, an export of one, or an official checkpoint."""

from __future__ import annotations

from pathlib import Path

from harness.cells import config_id, load_suite
from harness.cost import generator_cost
from harness.errors import UserError
from harness.evaluation.bench import Bench, check_disjoint, open_data
from harness.evaluation.evaluate import Subject
from harness.evaluation.places import Places
from harness.evaluation.sources import GeneratorSource
from harness.launch.cells.beforehand import suite_classes
from harness.launch.cells.cell import checkpoint_classes, generator_subject, load_generator
from harness.official import Released, is_safetensors, read_export, read_official, read_safetensors
from harness.training.checkpoints import Checkpoint, checkpoint_of
from harness.training.loop import suite_encoding
from harness.training.memory import record_notes
from harness.weights import load_state


def open_weights(path: Path, suite: str | None, places: Places) -> Checkpoint:
    """The generator in a file: a checkpoint of a training, an export of one, or a Released for an official file.

    suite: name of that which an official checkpoint is read for; None is fine for files of our own.
    Raises UserError for a file that holds no generator, or one that does not go with the suite.
    """
    content, metadata = read_safetensors(path) if is_safetensors(path) else (load_state(path), {})
    if "spadebench_checkpoint" in content:
        return _of_suite(checkpoint_of(content, path), suite)
    if "spadebench_export" in metadata:
        return _of_suite(read_export(path, content, metadata), suite)
    if suite is None:
        raise UserError(
            "this is no checkpoint of spadebench, and an official one does not say what it was trained for",
            where=str(path),
            mend="name its suite by --suite",
        )
    chosen = load_suite(suite)
    return read_official(path, chosen, suite_classes(chosen, places), content)


def _of_suite(loaded: Checkpoint, suite: str | None) -> Checkpoint:
    trained_for = loaded.config["suite"]["name"]
    if suite not in (None, trained_for):
        raise UserError(
            f"this checkpoint was trained on suite '{trained_for}'",
            where=f"suite {suite}",
            mend=f"use it with --suite {trained_for}",
        )
    return loaded


def weights_source(loaded: Checkpoint, bench: Bench) -> tuple[GeneratorSource, Subject]:
    """What `open_weights` gave as an image source, and its words for the record.

    Raises UserError where it was trained for other label maps than the suite's, or on scored samples.
    """
    if isinstance(loaded, Released):
        return _released_source(loaded, bench)
    cell = config_id(loaded.config) if loaded.finished else f"{config_id(loaded.config)}-{loaded.iteration}it"
    source, subject = generator_subject(loaded, bench, cell)
    check_disjoint(open_data(bench.suite, loaded.config["suite"]["train_split"], bench.places), bench.dataset)
    return source, subject


def _released_source(loaded: Released, bench: Bench) -> tuple[GeneratorSource, Subject]:
    config = loaded.config
    classes = checkpoint_classes(loaded)
    if classes.names != bench.dataset.classes.names:
        raise UserError("these weights are for other classes than the suite's", where=f"suite {bench.suite.name}")
    generator = load_generator(loaded, bench.device, bench.places)
    subject = Subject(
        method=config["method"]["name"],
        title=f"{config['title']} ({loaded.detail['file']})",
        # Of its seed and schedule nothing is known, so it fills no row of a grid.
        seed=None,
        config={key: value for key, value in config.items() if key != "seed"},
        trained=generator_cost(config, suite_encoding(config, classes).spec),
        notes=(*loaded.notes, *record_notes(generator)),
    )
    return GeneratorSource(generator, loaded.id, bench.device, config["seed"], loaded.detail), subject
