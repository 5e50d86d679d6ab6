"""`spadebench weights`: the weight files of segmenters and feature nets, listed, fetched and checked.

The only command that downloads, and only when its `download` is called.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import options as o
from harness.errors import UserError
from harness.progress import bar, say

if TYPE_CHECKING:
    from harness.weights import WeightFile

weights = typer.Typer(
    no_args_is_help=True,
    help="List, download and verify the weight files of segmenters and feature nets.",
    epilog="Start here: spadebench weights list",
)
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Names that spadebench weights list shows.")
]
MIB = 1 << 20


@weights.command("list")
def list_files(weights_root: o.WeightsRoot = None, user_code: o.Import = None, as_json: o.Json = False) -> None:
    """List the weight files: what each is for, whether it is at hand, its size, hash and licence.

    \b
    Example:
      spadebench weights list
    """
    files, root = _chosen(None, user_code), _root(weights_root)
    found = [_described(file, root) for file in files]
    if as_json:
        o.print_json(found)
        return
    # Lines and no table: six columns of this length fit no terminal.
    for file, of in zip(files, found, strict=True):
        print(f"{file.name}  {_state(file, of)}")
        print(f"    {file.gives}")
        print(f"    {of['path'] or f'{file.file} from {file.address or file.page}'}")
        print(f"    licence {file.licence}")


@weights.command()
def download(
    chosen: Names = None,
    every: Annotated[bool, typer.Option("--all", help="All that can be downloaded and are not at hand.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder; default: SPADEBENCH_WEIGHTS, else torch's hub.")
    ] = None,
    user_code: o.Import = None,
    dry_run: o.DryRun = False,
) -> None:
    """Download weight files, and check them before they get their names.

    A download that broke off goes on where it stopped. A file that is at
    hand already is left alone; one with a wrong hash is refused. Some
    files have no address of their own: a line says where to find them.

    \b
    Example:
      spadebench weights download inception vgg19 --to weights --dry-run
    """
    if bool(chosen) == every:
        raise UserError("name weight files, or give --all", mend="spadebench weights list shows them")
    from harness.weights import weight_folders

    folder = (weight_folders(None)[0] if to is None else to).expanduser()
    files = _chosen(None if every else chosen, user_code)
    failed = [file for file in files if not _brought(file, folder, every, dry_run)]
    if failed:
        say(f"not at hand: {', '.join(file.name for file in failed)}")
        raise typer.Exit(2)


@weights.command()
def verify(
    chosen: Names = None, weights_root: o.WeightsRoot = None, user_code: o.Import = None, as_json: o.Json = False
) -> None:
    """Check every weight file at hand: by its hash, or by the names and shapes in it where no hash is known.

    Ends with exit code 2 if one is wrong, or if one that is named is missing.

    \b
    Example:
      spadebench weights verify
    """
    files, root = _chosen(chosen or None, user_code), _root(weights_root)
    results = [result for file in files if (result := _verified(file, root, bool(chosen)))]
    if as_json:
        o.print_json(results)
    else:
        for result in results:
            print(_line(result))
        if not results:
            say("no weight file is at hand")
    if any(result["wrong"] for result in results):
        raise typer.Exit(2)


def _root(given: Path | None) -> Path | None:
    """The folder that scoring looks in first. Raises UserError where the user names one that is not there."""
    from harness.data.roots import weights_root
    from harness.weights import WEIGHTS_VARIABLE

    # $SPADEBENCH_WEIGHTS may name a folder that the first download makes.
    return None if given is None and os.environ.get(WEIGHTS_VARIABLE) else weights_root(given)


def _chosen(chosen: list[str] | None, user_code: list[str] | None) -> list[WeightFile]:
    o.import_user_code(user_code)
    from harness.weights import weight_files

    return weight_files(None if chosen is None else list(dict.fromkeys(chosen)))


def _described(file: WeightFile, weights_root: Path | None) -> dict[str, Any]:
    path = file.path(weights_root)
    return {
        "name": file.name,
        "file": file.file,
        "gives": file.gives,
        "users": list(file.users),
        "path": None if path is None else str(path),
        "bytes": None if path is None else path.stat().st_size,
        "size": file.size,
        "sha256": file.sha256,
        "keys": file.keys,
        "address": file.address,
        "page": file.page,
        "licence": file.licence,
    }


def _state(file: WeightFile, of: dict[str, Any]) -> str:
    size = of["bytes"] or of["size"]
    words = ["at hand" if of["path"] else "can be downloaded" if file.address else "to be got by hand"]
    words += [] if size is None else [f"{size / MIB:.1f} MiB"]
    if of["path"] and file.size is not None and of["bytes"] != file.size:
        words.append(f"WRONG: {of['bytes']} bytes, not {file.size}")
    words.append("checked by " + (f"sha256 {file.sha256[:8]}" if file.sha256 else "names and shapes"))
    return ", ".join(words)


def _brought(file: WeightFile, folder: Path, every: bool, dry_run: bool) -> bool:
    """Bring one file, and say what became of it; False where it should be at hand and is not."""
    from harness.downloads import fetch

    target = folder / file.file
    known = file.path(folder)
    if known is not None:
        try:
            file.verify(known)
        except UserError as error:
            say(f"{file.name}: {error}")
        else:
            say(f"{file.name}: at hand, {known}")
            return True
    if file.address is None:
        say(f"{file.name}: no address to download from. Get it from {file.page}, and put it at {target}")
        return every and known is None  # --all asks for what can be had
    if dry_run:
        say(f"{file.name}: would download {file.address} to {target}")
        return True
    say(f"{file.name}: {file.address}, licence: {file.licence}")
    try:
        with bar(f"{file.name}, MiB") as update:
            fetch(
                file.address,
                target,
                file.size,
                accept=file.verify,
                progress=lambda done, total: update(done // MIB, (total or done) // MIB, {}),
            )
    except UserError as error:
        say(f"{file.name}: {error}. By hand: {file.page}, to {target}")
        return False
    say(f"{file.name}: {target}")
    return True


def _verified(file: WeightFile, weights_root: Path | None, named: bool) -> dict[str, Any] | None:
    """What became of one file; None for one that is not at hand and was not named."""
    path = file.path(weights_root)
    result: dict[str, Any] = {"name": file.name, "path": None, "sha256": None, "by": None, "wrong": None}
    if path is None:
        return {**result, "wrong": f"not at hand ({file.get})"} if named else None
    result["path"] = str(path)
    try:
        result["sha256"], result["by"] = file.verify(path)
    except UserError as error:
        result["wrong"] = str(error)
    return result


def _line(result: dict[str, Any]) -> str:
    if result["wrong"]:
        return f"{result['name']}: WRONG: {result['wrong']}"
    by = f"right by {result['by']}" if result["by"] else "nothing is known to check it by"
    return f"{result['name']}: {by}, sha256 {result['sha256']}, {result['path']}"
