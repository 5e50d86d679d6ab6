"""Any text as LaTeX that prints it as it is: names and signatures come from users, and may hold whatever they like."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from reports.table import clean

_NAMES = """alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"""
_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", re.split(r"\s", _NAMES), strict=True))
_SIGNS = {
    "±": "pm",
    "×": "times",
    "−": "-",
    "→": "to",
    "←": "leftarrow",
    "↑": "uparrow",
    "↓": "downarrow",
    "≤": "leq",
    "≥": "geq",
    "≠": "neq",
    "≈": "approx",
    "∞": "infty",
}
ESCAPES = {
    "\0": "{}",  # put in by escape() alone: clean() lets no control character through
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # no optional argument behind \\
    "]": "{]}",
    "*": "{*}",  # no starred \\
    "—": "---",
    "–": r"\textendash{}",
    **{letter: rf"$\{name}$" for letter, name in _GREEK.items()},
    **{sign: f"${name}$" if name == "-" else rf"$\{name}$" for sign, name in _SIGNS.items()},
}
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
# Where a line may break in a long word: behind a separator, and anywhere in a run that has none.
_BREAKS = re.compile(r"[^\s:/@>=,;.#|_+-]{1,16}(?:[:/@>=,;.#|_+-](?=\S))?|[:/@>=,;.#|_+-](?=\S)|.")
_LONG = 18


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, outside of mathematics; an apostrophe within a word as a typographer sets it."""
    apart = re.sub(r"([-,])(?=\1)", "\\1\0", _normal(text))  # two hyphens would join to a dash, two commas to a quote
    kept = _APOSTROPHE.sub("\1", apart)
    return "".join("'" if c == "\1" else ESCAPES.get(c, c) for c in kept)


def breakable(text: str) -> str:
    r"""`escape`, with \allowbreak in long words, so that a signature or a path stays inside the margin."""
    return " ".join(_word(word) for word in _normal(text).split(" "))


def unusual(texts: Iterable[str]) -> list[str]:
    """Characters beyond ASCII that are printed as they are: pdfLaTeX may not know them."""
    return sorted({c for text in texts for c in _normal(text) if not c.isascii() and c not in ESCAPES})


def fallbacks(characters: Iterable[str]) -> list[str]:
    """Preamble lines by which pdfLaTeX prints a character that it does not know as its code point, and goes on."""
    return [
        rf"\ifcsname u8:\detokenize{{{c}}}\endcsname\else"
        rf"\DeclareUnicodeCharacter{{{ord(c):04X}}}{{{{\scriptsize[U+{ord(c):04X}]}}}}\fi"
        for c in characters
    ]


def _word(word: str) -> str:
    if len(word) <= _LONG:
        return escape(word)
    return r"\allowbreak{}".join(escape(part) for part in _BREAKS.findall(word))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", clean(text))
