"""A protocol by name, or out of a user's YAML file.

name: ours                # default: the file's name
based_on: native          # a shipped protocol, which the suite fills in; default: native
image: own                # and any field of harness.evaluation.protocol.Protocol
label: image
features: [inception]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError, did_you_mean
from harness.evaluation.protocol import Protocol, protocol_of
from harness.registry import PROTOCOLS, lookup, names
from harness.suites.base import Suite

DEFAULT = "native"
_FILES = (".yaml", ".yml")


def shipped(suite: Suite) -> dict[str, Protocol]:
    """The protocols of the registry that mean something for a suite, by name: the suite's own first."""
    found = {name: lookup(PROTOCOLS, name)(suite) for name in (DEFAULT, *names(PROTOCOLS))}
    return {name: protocol for name, protocol in found.items() if protocol is not None}


def load_protocol(name: str, suite: Suite) -> Protocol:
    """A shipped protocol, or one from a .yaml file. Raises UserError for an unknown one or a broken file."""
    if name.endswith(_FILES):
        return _from_file(Path(name), suite)
    protocol: Protocol | None = lookup(PROTOCOLS, name)(suite)
    if protocol is None:
        raise UserError(
            f"protocol '{name}' means nothing for suite '{suite.name}'", mend=did_you_mean(name, shipped(suite))
        )
    return protocol


def _from_file(path: Path, suite: Suite) -> Protocol:
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read this protocol: {error.strerror}", where=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" at line {mark.line + 1}"
        raise UserError(f"broken YAML{line}", where=str(path), mend="correct that line") from error
    if not isinstance(values, dict):
        raise UserError("a protocol is a mapping of fields", where=str(path), mend="based_on: native")
    based_on = values.pop("based_on", DEFAULT)
    if str(based_on).endswith(_FILES):
        raise UserError(
            f"based_on names the file '{based_on}', and it has to name a shipped protocol",
            where=str(path),
            mend="copy that file's fields",
        )
    base = load_protocol(str(based_on), suite).as_dict()
    return protocol_of({**base, "name": path.stem, **values}, where=str(path))
