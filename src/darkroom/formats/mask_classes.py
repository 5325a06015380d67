"""What the values or colours in masks mean: the lines of classes.txt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from darkroom.errors import Invalid

__all__ = [
    "CLASSES_FILE",
    "IGNORE",
    "NOT_CLASSES",
    "Colour",
    "MaskClasses",
    "check_class_names",
    "read_mask_classes",
]

CLASSES_FILE = "classes.txt"

IGNORE = 255
"""Index that means "not said"."""

NOT_CLASSES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "not said", "don't care"})
"""Names, in small letters, of what is no class: pixels of it are not said."""

Colour = tuple[int, int, int]
"""Red, green and blue."""

_NUMBERED = re.compile(r"\s*(\d{1,5})[\s:,;]+(\S.*)")
_COLOUR_FIRST = re.compile(r"\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s:,;]+(\S.*)")
_COLOUR_LAST = re.compile(r"(.*\S)[\s:,;]+#([0-9a-fA-F]{6})\s*")


class MaskClasses(NamedTuple):
    """The classes of some masks, and how they are written."""

    names: tuple[str, ...]
    """Without those that are no class."""
    values: Mapping[int, int]
    """Value in a file → index of its class, or `IGNORE`."""
    colours: Mapping[Colour, int]
    """Colour in a file → the same; empty where none are given."""


class _Line(NamedTuple):
    name: str
    value: int | None
    colour: Colour | None


def read_mask_classes(path: Path) -> MaskClasses:
    """Reads classes.txt: each line a name, the first for value 0, or a number and a name.

    A colour may stand behind every name (`1 road #804080`), or before it as three numbers
    (`128 64 128 road`). A class called void, ignore or unlabelled is none: its pixels are not said.

    Raises:
        Invalid: there is no such file, or it cannot be understood.
    """
    lines = _parsed([line for line in _text(path).splitlines() if line.strip()])
    numbered = bool(lines) and all(line.value is not None for line in lines)
    pairs = [
        (line.value if numbered and line.value is not None else place, line)
        for place, line in enumerate(lines)
    ]
    rows = [line for _, line in sorted(pairs, key=lambda pair: pair[0])]
    values = dict(sorted((value, line.name) for value, line in pairs))
    check_class_names([line.name for line in rows], path=path, twice=len(values) < len(pairs))
    names = tuple(line.name for line in rows if not _is_none(line.name))
    check_class_names(names, path=path)
    index = {name: place for place, name in enumerate(names)}
    colours = {line.colour: index.get(line.name, IGNORE) for line in rows if line.colour is not None}
    if colours and len(colours) < len(rows):
        raise Invalid(
            "masks.bad-colours",
            "{path}: expected a colour of its own for every class, or none.",
            do="Give each class a colour of its own, or take all colours out of it.",
            path=path,
        )
    return MaskClasses(names, {value: index.get(name, IGNORE) for value, name in values.items()}, colours)


def check_class_names(names: Iterable[str], *, path: Path | None = None, twice: bool = False) -> None:
    """Makes sure that names can be the classes of masks.

    Args:
        names: of the classes.
        path: where they were read.
        twice: whether a number stands there twice.

    Raises:
        Invalid: there are none or more than 255, one is empty or stands there twice, or spans lines.
    """
    names = list(names)
    broken = [name for name in names if not name or name != name.strip() or len(name.splitlines()) != 1]
    if names and len(names) <= IGNORE and not broken and not twice and len(set(names)) == len(names):
        return
    raise Invalid(
        "masks.bad-classes",
        "{path}: expected 1 to 255 classes, each number and each name once and on a line of its own.",
        do="Write a line per class, for example: 0 background",
        path=path or CLASSES_FILE,
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError:
        raise Invalid(
            "masks.no-classes",
            "No {file} in {folder}: expected one class per line, the first for index 0.",
            do="Write one, for example: 0 background",
            file=CLASSES_FILE,
            folder=path.parent,
        ) from None
    except UnicodeDecodeError:
        raise Invalid(
            "masks.classes-not-text",
            "{path} is not UTF-8.",
            do="Save it as UTF-8, then: darkroom run",
            path=path,
        ) from None


def _parsed(lines: list[str]) -> list[_Line]:
    """Returns the lines in parts; what not all of them have is part of the names."""
    first = [_COLOUR_FIRST.fullmatch(line) for line in lines]
    if lines and all(first):
        rows = [match.groups() for match in first if match]
        if all(int(part) <= 255 for *colour, _ in rows for part in colour):
            return [
                _Line(name.strip(), None, (int(red), int(green), int(blue)))
                for red, green, blue, name in rows
            ]
    last = [_COLOUR_LAST.fullmatch(line) for line in lines]
    colours: list[Colour | None] = [None] * len(lines)
    if lines and all(last):
        colours = [_colour(match[2]) for match in last if match]
        lines = [match[1] for match in last if match]
    numbers = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(numbers):
        found = [(int(match[1]), match[2].strip()) for match in numbers if match]
        return [_Line(name, value, colour) for (value, name), colour in zip(found, colours, strict=True)]
    return [_Line(line.strip(), None, colour) for line, colour in zip(lines, colours, strict=True)]


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text)
    return (red, green, blue)


def _is_none(name: str) -> bool:
    return name.lower() in NOT_CLASSES
