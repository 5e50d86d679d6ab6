"""Found files ↔ samples by name, whoever named them: other people's images, and photos beside label files.

The rules, each asked about what the ones before it left over:

1. the path below the folder, without its extension, is the sample's name;
2. the same below the folder that all files (or all samples) lie in;
3. the file name alone is that of one sample, and of one file only;
4. the same after the data set's own naming, `sample_key` of its class, where it has one: `sample_key(stem)`
   gives what the file names of one sample share;
5. the same without an ending that official code puts behind an image's name (pix2pixHD, pix2pix).

A name that a rule finds more than once is ambiguous and stays so: the rules become coarser, not finer.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.data.pairs import PHOTO_SUFFIXES
from harness.errors import UserError

SampleKey = Callable[[str], str]
Rule = tuple[Callable[[str], str], Callable[[str], str]]  # a file's key (extension taken off), a sample's key

OUTPUT_ENDINGS = ("_synthesized_image", "_fake_B")


@dataclass(frozen=True)
class Matching:
    """Which file is which sample's.

    matched: sample -> file, in the order of the samples. missing: samples without a file. extra: files
    without a sample. ambiguous: sample -> the files that could be its; they are in no other field.
    """

    matched: dict[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    ambiguous: dict[str, tuple[str, ...]]

    @property
    def complete(self) -> bool:
        """Every sample has its file and every file its sample."""
        return not (self.missing or self.extra or self.ambiguous)

    def summary(self, kind: str = "image", sample: str = "sample", most: int = 2) -> str:
        """One line: what did not match, with the first few names of each sort."""
        parts = [
            _counted(self.missing, f"{sample} has no {kind}", f"{sample}s have no {kind}", f"no {kind} for", most),
            _counted(self.extra, f"{kind} has no {sample}", f"{kind}s have no {sample}", f"no {sample} for", most),
            _counted(
                [f"{name} ({' or '.join(files[:3])})" for name, files in self.ambiguous.items()],
                f"{sample} has no {kind} of its own",
                f"{sample}s have no {kind} of their own",
                "which for",
                most,
            ),
        ]
        return "; ".join(part for part in parts if part) or f"every {sample} has its {kind}"

    def lines(self, kind: str = "image", sample: str = "sample") -> list[str]:
        """The whole list for people, one line for each name that did not match."""
        return [
            *(f"no {kind} for {name}" for name in self.missing),
            *(f"no {sample} for {name}" for name in self.extra),
            *(f"which for {name}: {' or '.join(files)}" for name, files in self.ambiguous.items()),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the number matched, and the whole lists of what did not."""
        return {
            "matched": len(self.matched),
            "missing": list(self.missing),
            "extra": list(self.extra),
            "ambiguous": {name: list(files) for name, files in self.ambiguous.items()},
        }


class UnmatchedError(UserError):
    """Files and samples do not fit. matching: the whole lists, for who wants more than the one line."""

    def __init__(self, matching: Matching, what: str, where: str, mend: str) -> None:
        super().__init__(what, where, mend)
        self.matching = matching


class SampleNames:
    """The samples that files are matched to: finds that of a single name, where not all names are known yet."""

    def __init__(self, samples: Sequence[str], key: SampleKey | None = None) -> None:
        self._rules = _rules(key)
        self._samples = [_grouped(samples, map(of_sample, samples)) for _, of_sample in self._rules]

    def find(self, name: str) -> str | None:
        """The sample of a file name, None where there is none or more than one."""
        stem = without_extension(name)
        for (of_file, _), samples in zip(self._rules, self._samples, strict=True):
            found = samples.get(of_file(stem))
            if found:
                return found[0] if len(found) == 1 else None
        return None


def match_names(files: Iterable[str], samples: Sequence[str], key: SampleKey | None = None) -> Matching:
    """Match files, as paths below their folder with `/` between, to samples. key: the data set's `sample_key`."""
    files = list(files)
    stems = {file: without_extension(file) for file in files}
    matched: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    open_files, open_samples = files, list(samples)
    for of_file, of_sample in _rules(key, _below(list(stems.values())), _below(samples)):
        found = _grouped(open_files, [of_file(stems[file]) for file in open_files])
        for name, group in _grouped(open_samples, map(of_sample, open_samples)).items():
            candidates = found.get(name, [])
            if len(candidates) == 1 and len(group) == 1:
                matched[group[0]] = candidates[0]
            elif candidates:
                ambiguous.update((sample, tuple(candidates)) for sample in group)
        taken = set(matched.values()).union(*ambiguous.values())
        open_files = [file for file in open_files if file not in taken]
        open_samples = [sample for sample in open_samples if sample not in matched and sample not in ambiguous]
    in_order = {sample: matched[sample] for sample in samples if sample in matched}
    unclear = {sample: ambiguous[sample] for sample in samples if sample in ambiguous}
    return Matching(in_order, tuple(open_samples), tuple(sorted(open_files)), unclear)


def check_matching(
    matching: Matching, where: str | Path, allow_partial: bool = False, kind: str = "image", sample: str = "sample"
) -> None:
    """Raise UnmatchedError unless every sample has its file and every file its sample.

    allow_partial: samples without a file and files without a sample may be, as long as some match.
    """
    if matching.complete:
        return
    mend = f"name each {kind} after its {sample}"
    if matching.ambiguous:
        mend = f"point to the folder that holds one {kind} a {sample}"
    elif not matching.matched:
        mend += f", such as {PurePosixPath(matching.missing[0]).name}.png" if matching.missing else ""
    elif allow_partial:
        return
    elif kind == "image":
        mend += ", or allow a partial set: --allow-partial"
    raise UnmatchedError(matching, matching.summary(kind, sample), str(where), mend)


def find_files(folder: Path, kind: str, suffixes: frozenset[str] = PHOTO_SUFFIXES) -> dict[str, Path]:
    """Path below `folder` with `/` between -> file, for the files of a kind in it and its sub-folders, sorted.

    Extensions are compared without case; hidden files and folders are left out, links to folders not
    followed. Raises UserError where the folder is missing, cannot be listed or holds no such file.
    """
    if not folder.is_dir():
        raise UserError(f"no such {kind} folder", where=str(folder))
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder, onerror=_cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if is_wanted(name, suffixes):
                found[path.relative_to(folder).as_posix()] = path
    if not found:
        extensions = " ".join(sorted(suffixes))
        raise UserError(f"this folder holds no {kind}s", where=str(folder), mend=f"endings: {extensions}")
    return dict(sorted(found.items()))


def is_wanted(path: str, suffixes: frozenset[str] = PHOTO_SUFFIXES) -> bool:
    """Whether a path below a folder or in an archive has one of the extensions and is not hidden."""
    pure = PurePosixPath(path)
    return pure.suffix.lower() in suffixes and not any(part.startswith(".") for part in pure.parts)


def without_extension(file: str) -> str:
    """A path with the extension of an image taken off; other dots stay."""
    stem, suffix = posixpath.splitext(file)
    return stem if suffix.lower() in PHOTO_SUFFIXES else file


def _rules(
    key: SampleKey | None, below_files: Callable[[str], str] | None = None, below: Callable[[str], str] | None = None
) -> list[Rule]:
    named = key or (lambda stem: stem)
    rules: list[Rule] = [(_path, _path)]
    if below_files is not None and below is not None:
        rules.append((lambda file: _path(below_files(file)), lambda sample: _path(below(sample))))
    rules.append((_stem, _stem))
    if key is not None:
        rules.append((lambda file: named(_stem(file)), lambda sample: named(_stem(sample))))
    # What is no output becomes a key that no sample has.
    rules.append((lambda file: named(_output(_stem(file))), lambda sample: named(_stem(sample))))
    return rules


def _path(name: str) -> str:
    """File systems and archives differ in how they write an accent."""
    return unicodedata.normalize("NFC", name)


def _stem(name: str) -> str:
    return _path(posixpath.basename(name))


def _output(stem: str) -> str:
    for ending in OUTPUT_ENDINGS:
        if stem.endswith(ending):
            return stem.removesuffix(ending)
    return ""


def _below(names: Sequence[str]) -> Callable[[str], str]:
    """Takes the folder off that all names lie in."""
    common = posixpath.commonpath({posixpath.dirname(name.lstrip("/")) for name in names}) if names else ""
    start = f"{common}/" if common else ""
    return lambda name: name.lstrip("/").removeprefix(start)


def _grouped(names: Iterable[str], keys: Iterable[str]) -> dict[str, list[str]]:
    """Names by their keys, which come in the same order."""
    groups: dict[str, list[str]] = {}
    for name, key in zip(names, keys, strict=True):
        groups.setdefault(key, []).append(name)
    return groups


def _counted(names: Sequence[str], one: str, many: str, each: str, most: int) -> str:
    if not names:
        return ""
    shown = ", ".join(f"{each} {name}" for name in names[:most])
    return f"{len(names)} {one if len(names) == 1 else many}: {shown}{', …' if len(names) > most else ''}"


def _cannot_list(error: OSError) -> None:
    raise UserError(f"cannot list this folder: {error.strerror}", where=str(error.filename)) from error
