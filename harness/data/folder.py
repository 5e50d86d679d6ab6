"""Any user's data: a folder of label maps, with photos and instance maps beside them where there are some.

    my_data/
      classes.yaml
      labels/      0001.png …    8 or 16 bit grey (or palette) images of class indices
      photos/      0001.jpg …    the same names; not needed to generate from label maps
      instances/   0001.png …    optional: instance ids, 8 or 16 bit grey

Splits are sub-folders (labels/train, photos/train, …). Where `labels` has no sub-folders, every split
is the whole folder; `splits` in classes.yaml can then name a text file of sample names, one a line.
classes.yaml:

    names: [sky, water, rock]          # in index order, from 0
    void: 255                          # optional: value of unlabelled pixels
    palette: [[0, 0, 255], …]          # optional: one RGB triple a class
    labels: labels                     # optional: folders, relative; `{split}` stands for the split
    photos: photos/{split}/rgb         # optional
    instances: instances               # optional; used where the folder `instances` is there
    splits: {train: train.txt}         # optional
    labels_by: net@0123abcd            # optional: the segmenter that made the labels, with its weights
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.data.base import Classes
from harness.data.pairs import Pair, PairedFiles, find_pairs
from harness.errors import UserError, did_you_mean
from harness.registry import DATASETS

Colour = tuple[
    Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]
]


class Description(BaseModel):
    """What classes.yaml holds."""

    model_config = ConfigDict(extra="forbid", strict=False)

    names: list[str] = Field(min_length=1)
    void: int | None = Field(default=None, ge=0, le=65535)
    palette: list[Colour] | None = None
    labels: str | None = None
    photos: str | None = None
    instances: str | None = None
    splits: dict[str, str] = Field(default_factory=dict)
    labels_by: str | None = None


def distinct_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """`count` different RGB triples, none black, a pure function of the index.

    The bits of index + 1 are dealt to red, green and blue in turn, highest bit of a channel first, so
    that neighbouring indices lie far apart.
    """
    colours = []
    for index in range(1, count + 1):
        channels = [0, 0, 0]
        for bit in range(24):
            channels[bit % 3] |= ((index >> bit) & 1) << (7 - bit // 3)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


def read_description(path: Path) -> Description:
    """classes.yaml, checked. Raises UserError with file and line."""
    if not path.is_file():
        raise UserError("no such file", where=str(path), mend="it names the classes: `names: [sky, water, …]`")
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        problem = getattr(error, "problem", None) or "it is no UTF-8 text"
        raise UserError(f"not valid YAML: {problem}", where=f"{path}{line}") from error
    if not isinstance(values, dict):
        raise UserError("must hold keys and values", where=str(path), mend="start with `names: [sky, water, …]`")
    try:
        description = Description.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        where = f"{path}:{_line(tree, place)}"
        if first["type"] == "extra_forbidden":
            known = did_you_mean(str(place[0]), Description.model_fields)
            raise UserError(f"unknown key '{place[0]}'", where=where, mend=known) from error
        raise UserError(f"{'.'.join(map(str, place))}: {first['msg']}", where=where) from error
    _check(description, path, tree)
    return description


def _check(description: Description, path: Path, tree: Any) -> None:
    names, void, palette = description.names, description.void, description.palette
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"class '{repeated[0]}' stands twice", where=f"{path}:{_line(tree, ('names',))}")
    if void is not None and void < len(names):
        raise UserError(
            f"void value {void} is the index of class '{names[void]}'",
            where=f"{path}:{_line(tree, ('void',))}",
            mend=f"void must be {len(names)} or above",
        )
    if palette is not None and len(palette) != len(names):
        raise UserError(
            f"palette has {len(palette)} colours for {len(names)} classes",
            where=f"{path}:{_line(tree, ('palette',))}",
        )


def _line(node: Any, place: tuple[int | str, ...]) -> int:
    """1-based line of the innermost value of `place` in a composed YAML tree; 1 for a missing key."""
    line = node.start_mark.line + 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step)]
            if not found:
                return line
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            return line
    return line


@DATASETS.register_module(name="folder")
class Folder(PairedFiles):
    """A split of a user's data in `root`.

    classes: the description's file, relative to root. labels, photos, instances: folders, over those of
    the description. with_photos=False reads no photos. Instance maps are read where the folder
    `instances` exists or one is named. labels_by: name@weights of the segmenter that made the labels, as
    the description says, or None: labels that a net made are no truth to score that net's answers by.
    """

    markers: ClassVar[tuple[str, ...]] = ()
    howto: ClassVar[str] = (
        "expected a folder with classes.yaml (names of the classes), labels and photos, each with a sub-folder a split"
    )

    def __init__(
        self,
        root: Path | None,
        split: str,
        *,
        with_photos: bool = True,
        classes: str = "classes.yaml",
        labels: str | None = None,
        photos: str | None = None,
        instances: str | None = None,
    ) -> None:
        if root is None:
            raise UserError("folder needs its folder", mend=self.howto)
        description = read_description(root / classes)
        label_folder = _place(root, labels or description.labels, "labels", split)
        photo_folder = _place(root, photos or description.photos, "photos", split) if with_photos else None
        named = instances or description.instances
        instance_folder = None
        if named or (root / "instances").is_dir():
            instance_folder = _place(root, named, "instances", split)
        pairs = find_pairs(label_folder, photo_folder, instance_folder)
        if split in description.splits:
            pairs = _listed(pairs, root / description.splits[split])
        elif description.splits:
            raise UserError(
                f"no split '{split}'", where=str(root / classes), mend=did_you_mean(split, description.splits)
            )
        palette = tuple(description.palette) if description.palette else distinct_colours(len(description.names))
        super().__init__(root, Classes(tuple(description.names), description.void, palette), pairs)
        self.labels_by = description.labels_by


def _place(root: Path, named: str | None, default: str, split: str) -> Path:
    """The folder of one kind of file for a split."""
    pattern = named or default
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UserError(f"'{pattern}' leads out of the data set", where=str(root), mend="name a folder inside it")
    if "{split}" in pattern:
        return root / pattern.replace("{split}", split)
    whole = root / pattern
    if (whole / split).is_dir():
        return whole / split
    splits = (
        sorted(p.name for p in whole.iterdir() if p.is_dir() and not p.name.startswith(".")) if whole.is_dir() else []
    )
    if splits:
        raise UserError(f"no split '{split}'", where=str(whole), mend=did_you_mean(split, splits))
    return whole


def _listed(pairs: list[Pair], path: Path) -> list[Pair]:
    """The pairs whose names stand in a text file, one a line."""
    if not path.is_file():
        raise UserError("no such list of samples", where=str(path))
    known = {pair.name: pair for pair in pairs}
    wanted: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name = line.strip()
        if not name:
            continue
        if name not in known:
            raise UserError(f"no sample '{name}'", where=f"{path}:{number}", mend=did_you_mean(name, known))
        wanted.add(name)
    if not wanted:
        raise UserError("this list of samples is empty", where=str(path))
    return [known[name] for name in sorted(wanted)]
