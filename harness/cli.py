"""The command `spadebench`."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any

import typer

from harness import __version__
from harness.commands.benchmark import benchmark
from harness.commands.cost import cost
from harness.commands.evaluate import evaluate
from harness.commands.explain import explain
from harness.commands.export import export
from harness.commands.figure import figure
from harness.commands.generate import generate
from harness.commands.instance_maps import instance_maps
from harness.commands.list import list_entries
from harness.commands.make_labels import make_labels
from harness.commands.outdoor_list import outdoor_list
from harness.commands.report import report
from harness.commands.rescore import rescore
from harness.commands.run import run
from harness.commands.sampling import sampling
from harness.commands.status import status
from harness.commands.train import train
from harness.commands.train_segmenter import train_segmenter
from harness.commands.validate_norm import validate_norm
from harness.commands.weights import weights
from harness.errors import UserError
from harness.quick_start import quick_start

app = typer.Typer(
    name="spadebench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, score and tabulate label-map-to-photo generators by a stated protocol.",
    epilog="Start here: spadebench run table1 --suite toyscapes",
)
app.command("list")(list_entries)
app.command()(train)
app.command()(generate)
app.command()(evaluate)
app.command()(rescore)
app.command()(run)
app.command()(report)
app.command()(explain)
app.command()(status)
app.add_typer(figure, name="figure")
app.command()(sampling)
app.command()(benchmark)
app.command()(cost)
app.command()(export)
app.command("train-segmenter")(train_segmenter)
app.add_typer(weights, name="weights")
app.command("instance-maps")(instance_maps)
app.command("outdoor-list")(outdoor_list)
app.command("make-labels")(make_labels)
app.command("validate-norm")(validate_norm)

# The base of all of typer's usage errors, which newer versions keep in a module of their own.
_USAGE_ERROR: type[Any] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


_INTERRUPTED = 130


def _version(asked: bool) -> None:
    if asked:
        print(f"spadebench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: exit code 0, 2 for bad input (one line on stderr), 130 for an interrupt."""
    # torch's threads spin while they wait, which on a shared machine takes the time of the one waited for.
    # Read when torch is imported, which is later; it changes no number.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    quick_start()
    from harness.training.interrupt import Interrupted

    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:  # typer's own answer to ctrl-C
            _fail("nothing was half-written; the same command goes on", _INTERRUPTED, "interrupted")
    except UserError as error:
        code = _fail(str(error), 2)
    except Interrupted as stopped:
        code = _fail(str(stopped), _INTERRUPTED, "interrupted")
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        code = _fail(f"{error.filename or 'writing'}: {error.strerror}", 2)
    except _USAGE_ERROR as error:
        code = _fail(error.format_message(), 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(line: str, code: int, word: str = "error") -> int:
    sys.stdout.flush()
    print(f"spadebench: {word}: {' '.join(line.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
