"""`spadebench generate`: label maps in, images out; no photos needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands import generate_styles
from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say


def generate(
    checkpoint: Annotated[
        Path,
        typer.Option("--checkpoint", "-c", help="Checkpoint of a training, export, or official latest_net_G.pth."),
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder that the PNG images are written to.")],
    labels: Annotated[Path | None, typer.Option(help="Folder of label maps, PNG as in the suite's data set.")] = None,
    instances: Annotated[Path | None, typer.Option(help="Folder of instance maps, for suites with edges.")] = None,
    split: Annotated[str | None, typer.Option(help="In place of --labels: a split of the checkpoint's suite.")] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="For official checkpoints: the suite they were trained for.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Images of each label map, NAME_00.png and so on, for methods with z.", min=1)
    ] = None,
    style: Annotated[
        Path | None, typer.Option(help="Photo whose style to take, or a folder of them: NAME__STYLE.png.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise; default: the training's.", min=0)] = None,
    batch: o.ScoreBatch = 8,
    data_root: o.DataRoot = None,
    device: o.Device = None,
    workers: o.Workers = 0,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Generate an image for every label map of a folder, or of a split of a suite.

    \b
    Example:
      spadebench train spade --suite toyscapes --budget 20it --out demo
      spadebench generate --checkpoint demo/cells/*/checkpoints/iteration_00000020.pt --split val --to demo/images
    """
    o.refuse_torchrun("generate")
    o.import_user_code(user_code)
    if (labels is None) == (split is None):
        raise UserError("give --labels FOLDER or --split NAME, one of them", where="generate")
    asked = generate_styles.variants(samples, style)
    import torch

    from harness.cells import load_suite
    from harness.data.base import DataSet
    from harness.data.loading import scoring_batches
    from harness.data.pairs import PairedFiles, find_pairs
    from harness.evaluation.bench import open_data
    from harness.evaluation.evaluate import exact_arithmetic
    from harness.evaluation.one_pass import save_png
    from harness.evaluation.places import Places
    from harness.evaluation.sources import GeneratorSource
    from harness.launch.cells.cell import checkpoint_classes, load_generator
    from harness.launch.scores.official_source import open_weights
    from harness.registry import DATASETS, lookup
    from harness.training.loop import suite_encoding

    loaded = open_weights(checkpoint, suite, Places(data_root))
    classes = checkpoint_classes(loaded)
    dataset: DataSet
    if labels is not None:
        own = getattr(lookup(DATASETS, loaded.config["suite"]["data"]), "read_label", None)
        dataset = PairedFiles(labels, classes, find_pairs(labels, None, instances), read_label=own)
    else:
        dataset = open_data(load_suite(loaded.config["suite"]["name"]), str(split), Places(data_root))
    planned = generate_styles.planned(list(dataset.names), asked, to)
    if dry_run:
        if as_json:
            o.print_json({"checkpoint": str(checkpoint), "images": planned})
        else:
            say(f"would generate {len(planned)} images in {to}")
        return
    chosen = o.device_of(device)
    torch.set_num_threads(loaded.config["threads"])
    noise = loaded.config["seed"] if seed is None else seed
    source = GeneratorSource(load_generator(loaded, chosen, Places(data_root)), str(checkpoint), chosen, noise)
    encoding = suite_encoding(loaded.config, classes)
    with exact_arithmetic():
        sources = generate_styles.sources(source, asked, loaded)
    done = 0
    with bar("generating") as update, exact_arithmetic():
        for scored in scoring_batches(dataset, encoding, batch=batch, photos=False, workers=workers):
            for end, varied in sources.items():
                for name, image in zip(scored.names, varied.images(scored), strict=True):
                    save_png(to / f"{name}{end}.png", image)
                done += len(scored.names)
                update(done, len(planned), {})
    if as_json:
        o.print_json({"checkpoint": str(checkpoint), "images": planned})
    else:
        say(f"{len(planned)} images in {to}")
