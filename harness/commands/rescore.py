"""`spadebench rescore`: other class means and void rules out of stored confusions; runs no network."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import options as o
from harness.errors import UserError, did_you_mean
from harness.progress import say


def rescore(
    records: Annotated[
        list[str] | None, typer.Argument(help="Ids of records, or how they begin; default: all of the suite.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Only records of this suite.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Protocol: a shipped one, your own YAML file, or all that the confusion answers."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Instead: the record's own protocol with this class mean: union, present, all.")
    ] = None,
    void: Annotated[
        str | None, typer.Option(help="Instead: the record's own protocol with this void rule: ignore, wrong.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the records.")] = Path("runs"),
    user_code: o.Import = None,
    as_json: o.Json = False,
    dry_run: o.DryRun = False,
) -> None:
    """Score stored confusions by another protocol and leave records beside the first ones.

    \b
    Example:
      spadebench rescore --suite toyscapes --protocol all
    """
    if (protocol is None) == (mean is None and void is None):
        raise UserError("give --protocol NAME, or --mean and --void", where="rescore")
    o.import_user_code(user_code)
    from harness.launch.scores.rescoring import can_rescore, rescored, signed_of_record
    from harness.records import Store

    store = Store(out)
    chosen = _chosen(store, records, suite)
    command = shlex.join(["spadebench", *sys.argv[1:]])
    rows: list[dict[str, Any]] = []
    for record in chosen:
        try:
            signed = signed_of_record(record)
        except UserError as error:
            if records:
                raise
            say(f"left out: {error}")
            continue
        rows.append(_row(record, "as it is"))
        for target in _targets(record["suite"], signed.protocol, protocol, mean, void):
            if protocol == "all" and can_rescore(signed, target) is not None:
                continue
            made, confusion = rescored(record, target, store.records_folder, command)
            known = made.id == record["id"] or store.load(made.id) is not None
            if not known and not dry_run:
                store.save(made, confusion)
            state = "the same" if made.id == record["id"] else "there already" if known else "new"
            rows.append({**_row(made.as_dict(), state), "protocol": target.name})
    if as_json:
        o.print_json({"rows": rows})
        return
    _print(rows)
    if dry_run:
        say("nothing was written")


def _chosen(store: Any, wanted: list[str] | None, suite: str | None) -> list[dict[str, Any]]:
    """The records to rescore: those that no rescoring made, or those that are named."""
    from reports.records import read_records

    every = [r for r in read_records(store.root) if r["status"] == "done" and suite in (None, r["suite"])]
    if not wanted:
        every = [record for record in every if "rescored_from" not in record["provenance"]]
        if not every:
            raise UserError("no record to rescore", where=str(store.records_folder), mend="score something first")
        return every
    found = []
    for name in wanted:
        matching = [record for record in every if record["id"].startswith(name)]
        if not matching:
            ids = [record["id"] for record in every]
            raise UserError(f"no record '{name}'", where=str(store.records_folder), mend=did_you_mean(name, ids))
        found += [record for record in matching if record not in found]
    return found


def _targets(suite_name: str, own: Any, protocol: str | None, mean: str | None, void: str | None) -> list[Any]:
    """The protocols asked for."""
    from harness.cells import load_suite
    from harness.evaluation.protocol import protocol_of
    from harness.protocols.load import load_protocol, shipped

    if protocol is None:
        values = {"class_mean": mean or own.class_mean, "void": void or own.void}
        name = "-".join(str(value) for value in (own.name, mean, void and f"void-{void}") if value)
        return [protocol_of({**own.as_dict(), **values, "name": name}, where="rescore")]
    suite = load_suite(suite_name)
    known = shipped(suite)
    every = known.values() if protocol == "all" else [load_protocol(protocol, suite)]
    # A folder's images may have been fitted, or read by a segmenter of the user's own (--fit, --segmenter): that
    # stays, as all protocols of one evaluate have it.
    suites = {target.segmenter for target in known.values()}
    given = {} if own.segmenter in suites else {"segmenter": own.segmenter}
    return [replace(target, fit=own.fit, **(given if target.segmenter in suites else {})) for target in every]


def _row(record: dict[str, Any], state: str) -> dict[str, Any]:
    scores = {key: value for key, value in record["scores"].items() if key != "iou"}
    return {
        "record": record["id"],
        "title": record["title"],
        "protocol": record["protocol"]["name"],
        "signature": record["protocol"]["signature"],
        "state": state,
        "scores": scores,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "protocol", "mIoU", "accuracy", "record", "", box=None)
    # Records that are rescorings of one another, or of one pass, come to the same ones: a line for each.
    once: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        once.setdefault((row["record"], row["protocol"]), row)
    for row in once.values():
        scores = row["scores"]
        table.add_row(
            row["title"],
            row["protocol"],
            f"{100 * scores['miou']:.2f}",
            f"{100 * scores['accuracy']:.2f}",
            row["record"],
            row["state"],
        )
    Console(emoji=False).print(table)
