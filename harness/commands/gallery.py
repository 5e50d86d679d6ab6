"""`spadebench gallery`: a picture that compares the methods of a grid on a few samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import options as o
from harness.commands.grids import chosen_grid
from harness.errors import UserError
from harness.progress import say


def gallery(
    grid: Annotated[str, typer.Argument(help="Grid whose cells were run, such as table1.")],
    to: Annotated[Path, typer.Option("--to", help="PNG file to write.")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Suite; default: the grid's own.")] = None,
    methods: Annotated[str | None, typer.Option(help="Only these rows, or these methods, comma-separated.")] = None,
    samples: Annotated[str, typer.Option(help="Names of samples, comma-separated, or how many to take.")] = "4",
    scale: Annotated[int, typer.Option(help="Screen pixels for an image's pixel.", min=1)] = 2,
    generated_only: Annotated[
        bool, typer.Option("--generated-only", help="Leave label maps and photos out, where they may not be passed on.")
    ] = False,
    overrides: o.RowSet = None,
    budget: o.Budget = None,
    out: o.Out = Path("runs"),
    data_root: o.DataRoot = None,
    device: o.Device = None,
    user_code: o.Import = None,
) -> None:
    """Draw label map, photo and every method's image side by side, one sample a row.

    \b
    Example:
      spadebench run table1 --suite toyscapes --methods spade --budget 20it --out demo
      spadebench gallery table1 --suite toyscapes --methods spade --budget 20it --out demo --to demo/gallery.png
    """
    o.import_user_code(user_code)
    from harness.cells import load_suite, resolve
    from harness.data.encode import Encoding, resized_label, resized_photo
    from harness.data.loading import scoring_batches
    from harness.evaluation.bench import open_data
    from harness.evaluation.evaluate import exact_arithmetic
    from harness.evaluation.places import Places
    from harness.evaluation.sources import GeneratorSource
    from harness.launch.cells.cell import load_generator
    from harness.launch.cells.out_of_memory import as_trained
    from harness.records import Store
    from harness.training.checkpoints import list_checkpoints, load_checkpoint
    from reports.gallery import comparison, paint

    loaded, suite_name = chosen_grid(grid, suite, methods, None, overrides)
    chosen = load_suite(suite_name)
    places = Places(data_root)
    loaded = replace(loaded, set=o.with_budget(dict(loaded.set), budget, chosen, places))
    dataset = open_data(chosen, chosen.score_split, places)
    where = _indices(samples, list(dataset.names))
    encoding = Encoding(dataset.classes, chosen.size, chosen.unknown, chosen.edges)
    batches = [next(iter(scoring_batches(dataset, encoding, batch=1, indices=range(i, i + 1)))) for i in where]
    columns = []
    if not generated_only:
        painted = [
            paint(resized_label(batch.native[0], chosen.size), dataset.classes.palette, (0, 0, 0)) for batch in batches
        ]
        photos = [resized_photo(batch.photos[0], chosen.size) for batch in batches if batch.photos is not None]
        columns = [("label map", painted), ("photo", photos)]
    machine = o.device_of(device)
    for row in loaded.methods:
        cell = resolve(row.name, chosen, loaded.seeds[0], loaded.overrides(row))
        found = list_checkpoints(Store(out).cell_folder(as_trained(cell, Store(out)).id) / "checkpoints")
        if not found:
            raise UserError(
                f"cell {cell.id} ({cell.name}) has no checkpoint", where=str(out), mend=f"spadebench run {grid} first"
            )
        generator = load_generator(load_checkpoint(found[-1]), machine, places)
        source = GeneratorSource(generator, cell.id, machine, cell.config["seed"])
        with exact_arithmetic():
            columns.append((row.label or cell.title, [source.images(batch)[0] for batch in batches]))
    comparison(columns, scale, to)
    say(f"picture: {to}")


def _indices(samples: str, names: list[str]) -> list[int]:
    """Indices of the samples named, or of as many as asked for, spread over the split."""
    if samples.isdigit():
        count = int(samples)
        if not 1 <= count <= len(names):
            raise UserError(f"{count} samples of {len(names)}", where="--samples", mend=f"choose 1 to {len(names)}")
        return [i * len(names) // count for i in range(count)]
    wanted = [name.strip() for name in samples.split(",")]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UserError(f"no sample '{missing[0]}'", where="--samples", mend=f"names such as {names[0]}")
    return [names.index(name) for name in wanted]
