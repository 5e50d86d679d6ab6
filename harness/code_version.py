"""A version of the code that decides a cell's weights, so that an edited layer is a new cell.

The version is a hash of source tokens: comments, docstrings and layout do not change it, code does.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import time
import tokenize
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_IGNORED = {tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER}
# By the modules asked for: a grid asks for the same ones a thousand times, and reading them takes half a second.
_Stamp = tuple[str, int, int]
_known: dict[tuple[str, ...], tuple[str, dict[str, _Stamp | None]]] = {}
_looked: dict[tuple[str, ...], float] = {}
_SETTLED = 2.0
_FRESH = 0.5  # seconds for which files that were found unchanged are not looked at again
_MARKS = {tokenize.NEWLINE: ";", tokenize.INDENT: "{", tokenize.DEDENT: "}"}


def code_version(modules: Iterable[str]) -> str:
    """First 12 hex digits of a hash over the given modules and what they import of our methods and the user's code.

    `modules` are dotted names of imported or importable modules; those of `harness` are taken with what they
    import of their own subpackage alone (the engine's parts that matter are named one by one).
    """
    asked = tuple(sorted(set(modules)))
    if asked in _known and _unchanged(asked):
        return _known[asked][0]
    total = hashlib.sha256()
    stamps = {}
    for name in sorted(_closure(asked)):
        stamps[name] = _stamp(name)
        total.update(name.encode() + b"\0" + _tokens(_source(name)).encode() + b"\0")
    version = total.hexdigest()[:12]
    # A file changed a moment ago may change again within one tick of its clock: not kept.
    if all(stamp is not None and time.time() - stamp[1] / 1e9 > _SETTLED for stamp in stamps.values()):
        _known[asked] = (version, stamps)
    return version


def _unchanged(asked: tuple[str, ...]) -> bool:
    """Whether the files behind a known version are the same still."""
    now = time.monotonic()
    if now - _looked.get(asked, -_FRESH) >= _FRESH:
        if any(_stamp(name) != stamp for name, stamp in _known[asked][1].items()):
            return False
        _looked[asked] = now
    return True


def _stamp(name: str) -> _Stamp | None:
    """What changes when a module is another file, or its file is written."""
    path = _file(name)
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (str(path), found.st_mtime_ns, found.st_size)


def _closure(modules: Iterable[str]) -> set[str]:
    """The modules and what they import of the code that counts."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in found or path is None:
            continue
        found.add(name)
        waiting += [other for other in _imports(name) if _counts(other, name, path)]
    return found


def _imports(name: str) -> list[str]:
    """Dotted names that a module imports; `from a import b` may mean the module a.b, so both are given."""
    found: list[str] = []
    for node in ast.walk(ast.parse(_source(name))):
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, name)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


def _counts(other: str, importer: str, importer_path: Path) -> bool:
    """Whether an import is code of the same author: its package, our methods, or a file beside a user's file.

    For an engine's module: of its own subpackage, as harness.data.
    """
    top = other.split(".")[0]
    if importer.split(".")[0] == "harness":
        return other.split(".")[:2] == importer.split(".")[:2]
    if top in (importer.split(".")[0], "baselines"):
        return True
    path = _file(other)
    return path is not None and "." not in other and path.parent == importer_path.parent


def _absolute(node: ast.ImportFrom, importer: str) -> str:
    if not node.level:
        return node.module or ""
    parts = importer.split(".")
    is_package = (_file(importer) or Path()).name == "__init__.py"
    parent = parts[: len(parts) - node.level + int(is_package)]
    return ".".join([*parent, *([node.module] if node.module else [])])


def _file(name: str) -> Path | None:
    module = sys.modules.get(name)
    if module is not None:
        found = getattr(module, "__file__", None)
    else:
        spec = _spec(name)
        found = spec.origin if spec is not None else None
    return Path(found) if found and found.endswith(".py") else None


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, found without importing what is above it: `a.b.c` may be a function of the module a.b."""
    parent = name.rpartition(".")[0]
    try:
        if not parent:
            return importlib.util.find_spec(name)
        above = _spec(parent)
        places = above.submodule_search_locations if above is not None else None
        return PathFinder.find_spec(name, places) if places is not None else None
    except (ImportError, ValueError):
        return None


def _source(name: str) -> str:
    path = _file(name)
    return path.read_text(encoding="utf-8") if path else ""


def _tokens(source: str) -> str:
    """The tokens that decide what a source does: line ends and indentation as marks, no comments or docstrings."""
    kept: list[str] = []
    at_statement_start, bare_docstring = True, False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _IGNORED:
            continue
        if token.type in _MARKS:
            if not (token.type == tokenize.NEWLINE and bare_docstring):
                kept.append(_MARKS[token.type])
            at_statement_start, bare_docstring = True, False
            continue
        bare_docstring = token.type == tokenize.STRING and at_statement_start
        at_statement_start = False
        if not bare_docstring:
            kept.append(token.string)
    return "\0".join(kept)
