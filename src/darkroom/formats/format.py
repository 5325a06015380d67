"""What a format is: a reader and a writer of labelled pictures, and what passes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from darkroom.errors import DarkroomError
from darkroom.records import AnnotationValue, ClassesLabel, ClassLabel, Slot, Split, Task

__all__ = ["Entry", "Export", "Format", "Picture", "Problem", "Reading"]


class Entry(NamedTuple):
    """What a folder says about one picture."""

    path: str
    """Of the picture, relative to the folder, with forward slashes."""
    value: AnnotationValue | None = None
    """Its class or classes; None: the folder does not say, or says it in `mask`."""
    split: Split | None = None
    """Where the folder puts it."""
    group: str | None = None
    metadata: Mapping[str, str] = {}
    mask: str | None = None
    """Its mask file, relative to the folder; `load_mask` reads it."""


class Problem(NamedTuple):
    """Something that could not be taken in, and why."""

    path: str
    """The file relative to the folder, with ":12" behind it for line 12 of a table."""
    error: DarkroomError
    """What a person reads."""


class Reading(NamedTuple):
    """A folder as a format reads it; no picture is opened."""

    classes: tuple[str, ...]
    """Names of the classes, in the format's order."""
    entries: Iterator[Entry]
    """The pictures, in an order that does not depend on the file system."""
    problems: list[Problem]
    """What could not be taken in; complete once the entries are read to the end."""
    skipped: list[str]
    """Files that are not pictures, or that nothing names; complete once the entries are read to the end."""
    mask_values: Mapping[int, int] = {}
    """Value in the mask files → index of its class, 255 for "not said"."""
    mask_colours: Mapping[tuple[int, int, int], int] = {}
    """Colour in the mask files → the same; empty where classes have no colours."""


class Picture(NamedTuple):
    """One picture to be written."""

    name: str
    """File name with suffix; in each folder that a format writes, a name stands once."""
    content: Path | bytes
    """The encoded picture."""
    value: ClassLabel | ClassesLabel | None = None
    split: Split | None = None
    group: str | None = None
    metadata: Mapping[str, str] = {}
    mask: bytes | None = None
    """8-bit grey PNG of class indices, of the picture's upright size."""


class Export(NamedTuple):
    """Pictures with labels to be written in a format."""

    classes: tuple[str, ...]
    """Names of the classes, in the order of the model's output."""
    task: Task
    pictures: Iterable[Picture]


class Format(NamedTuple):
    """One way in which a folder holds labelled pictures."""

    name: str
    summary: str
    """What it is, in one line."""
    holds: frozenset[Slot]
    """The questions whose answers it can hold."""
    also: frozenset[str]
    """What else it can hold: "split", "group", "metadata"."""
    read: Callable[[Path], Reading]
    """Reads a folder. Raises Invalid when the folder as a whole is not of this format."""
    write: Callable[[Path, Export], None]
    """Writes a new folder, whole or not at all. Raises Invalid when the format cannot hold something."""
