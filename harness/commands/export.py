"""`spadebench export`: a checkpoint's or an official file's generator as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.progress import say


def export(
    checkpoint: Annotated[
        Path,
        typer.Option("--checkpoint", "-c", help="Checkpoint of a training, export, or official latest_net_G.pth."),
    ],
    to: Annotated[Path, typer.Option("--to", help="File that is written.")],
    form: Annotated[
        str | None, typer.Option("--format", help="safetensors or onnx; default: what the file's ending says.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="For official checkpoints: the suite they were trained for.")
    ] = None,
    data_root: o.DataRoot = None,
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Write the generator of a checkpoint, or of an official file, as safetensors or as ONNX.

    safetensors holds the weights under their own names, and the config
    and classes as metadata. ONNX holds the network at the suite's size,
    from class indices to image; where onnxruntime is installed, a file
    is kept only if it makes the same image as torch.

    \b
    Example:
      spadebench train spade --suite toyscapes --budget 20it --out demo
      spadebench export --checkpoint demo/cells/*/checkpoints/iteration_00000020.pt --to demo/spade.onnx
    """
    o.refuse_torchrun("export")
    o.import_user_code(user_code)
    from harness.evaluation.places import Places
    from harness.export import check_onnx, export_onnx, export_safetensors, format_of
    from harness.launch.scores.official_source import open_weights
    from harness.official_release import Released

    chosen = format_of(to, form)
    loaded = open_weights(checkpoint, suite, Places(data_root))
    summary: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "file": str(to),
        "format": chosen,
        "method": loaded.config["method"]["name"],
        "suite": loaded.config["suite"]["name"],
        "size": loaded.config["suite"]["size"],
        "notes": list(loaded.notes) if isinstance(loaded, Released) else [],
    }
    if chosen == "onnx":
        check_onnx(loaded, to)
    if dry_run:
        if as_json:
            o.print_json(summary)
        else:
            say(f"would write the generator of {checkpoint} to {to} as {chosen}")
        return
    if chosen == "onnx":
        made = export_onnx(loaded, to)
        summary |= {"inputs": made.inputs, "output": made.output, "difference": made.difference}
    else:
        export_safetensors(loaded, to)
    summary["bytes"] = to.stat().st_size
    if as_json:
        o.print_json(summary)
    else:
        _say(summary)


def _say(summary: dict[str, Any]) -> None:
    say(f"{summary['file']}: {summary['method']} as {summary['format']}, {summary['bytes'] / 1e6:.1f} MB")
    for note in summary["notes"]:
        say(f"note: {note}")
    if "output" not in summary:
        return
    for name, of in summary["inputs"].items():
        say(f"input {name}: {_signature(of)}")
    say(f"output image: {_signature(summary['output'])} in [-1, 1]")
    if summary["difference"] is None:
        say("not checked: onnxruntime is not installed (pip install 'spadebench[onnx]')")
    else:
        say(f"onnxruntime and torch differ by {summary['difference']:.1e} at most")


def _signature(of: dict[str, Any]) -> str:
    return f"{of['type']} ({', '.join(map(str, of['shape']))})"
