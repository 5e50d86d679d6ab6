"""A version of the code that decides a cell's weights, so that an edited layer is a new cell.

The version is a hash of source tokens: comments, docstrings and layout do not change it, code does.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path

_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_version(modules: Iterable[str]) -> str:
    """First 12 hex digits of a hash over the given modules and what they import of their own package.

    `modules` are dotted names of imported or importable modules; those of `harness` are taken without
    their imports (the engine's parts that matter are named one by one).
    """
    total = hashlib.sha256()
    for name in sorted(_closure(modules)):
        total.update(name.encode() + b"\0" + _tokens(_source(name)).encode() + b"\0")
    return total.hexdigest()[:12]


def _closure(modules: Iterable[str]) -> set[str]:
    """The modules and, for all but the engine's own, the modules of the same package that they import."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or _file(name) is None:
            continue
        found.add(name)
        top = name.split(".")[0]
        if top == "harness":
            continue
        for node in ast.walk(ast.parse(_source(name))):
            if isinstance(node, ast.ImportFrom):
                base = _absolute(node, name)
                # `from package import module` and `from module import name` look alike: try both.
                waiting += [m for m in (base, *(f"{base}.{a.name}" for a in node.names)) if m.split(".")[0] == top]
            elif isinstance(node, ast.Import):
                waiting += [a.name for a in node.names if a.name.split(".")[0] == top]
    return found


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
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        found = spec.origin if spec is not None else None
    return Path(found) if found and found.endswith(".py") else None


def _source(name: str) -> str:
    path = _file(name)
    return path.read_text(encoding="utf-8") if path else ""


def _tokens(source: str) -> str:
    kept: list[str] = []
    at_statement_start = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _LAYOUT:
            at_statement_start = at_statement_start or token.type in (tokenize.NEWLINE, tokenize.INDENT)
            continue
        docstring = token.type == tokenize.STRING and at_statement_start
        at_statement_start = False
        if not docstring:
            kept.append(token.string)
    return "".join(kept)
