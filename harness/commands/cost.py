"""`spadebench cost`: what a method's networks cost at a suite's size, without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o

if TYPE_CHECKING:
    from harness.cost import Block, Cost

COUNTED = (
    "For one image, in eval mode. Multiply-adds: of convolutions and matrix products; norms, activation functions "
    "and resizing are left out. Activations: elements of the outputs of the same layers."
)


def cost(
    method: Annotated[str, typer.Argument(help="Method to count; see spadebench list methods.")],
    suite: o.Suite,
    overrides: o.Set = None,
    depth: Annotated[int, typer.Option(help="Levels of blocks within blocks that are listed.", min=1)] = 1,
    data_root: o.DataRoot = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
) -> None:
    """Count the parameters, multiply-adds and activations of a method on a suite.

    Nothing is run or allocated, so any size is counted in seconds.
    The data set is opened only where its classes are not known otherwise.

    \b
    Example:
      spadebench cost spade --suite camvid --set generator.ngf=48
    """
    o.import_user_code(user_code)
    from harness.cells import resolve
    from harness.cost import method_cost
    from harness.evaluation.places import Places
    from harness.launch.cells.beforehand import suite_classes
    from harness.training.loop import suite_encoding

    chosen, given = o.suite_and_overrides(suite, overrides)
    cell = resolve(method, chosen, overrides=given)
    encoding = suite_encoding(cell.config, suite_classes(chosen, Places(data_root)))
    found = method_cost(cell.config, encoding.spec, depth)
    height, width = encoding.size
    if as_json:
        what = {"method": method, "title": cell.title, "suite": chosen.name, "size": [height, width]}
        o.print_json({**what, "label_channels": encoding.spec.channels, **found.as_dict()})
        return
    _print(f"{cell.title} on {chosen.title}, {width}x{height}, {encoding.spec.channels} label channels", found)


def _print(title: str, found: Cost) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", title=title, title_justify="left", title_style="bold")
    for heading in ("block", "layer"):
        table.add_column(heading, overflow="fold")
    for heading in ("parameters", "multiply-adds", "share", "activations"):
        table.add_column(heading, justify="right", no_wrap=True)
    for block in found.blocks:
        table.add_row(*_row(block, found.generator))
    table.add_section()
    table.add_row(*_row(found.generator, found.generator), style="bold")
    for name, parameters in (("discriminator", found.discriminator), ("encoder", found.encoder)):
        if parameters is not None:
            table.add_row(name, "", f"{parameters:,}")
    console = Console()
    console.print(table)
    console.print(COUNTED, style="dim", highlight=False)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False, markup=False, emoji=False)


def _row(block: Block, whole: Block) -> tuple[Any, ...]:
    share = block.multiply_adds / whole.multiply_adds if whole.multiply_adds else 0.0
    return (
        block.name,
        block.kind,
        f"{block.parameters:,}",
        f"{block.multiply_adds / 1e9:.3f} G" if whole.multiply_adds < 1e10 else f"{block.multiply_adds / 1e9:.1f} G",
        f"{share:.1%}",
        f"{block.activations / 1e6:.2f} M",
    )
