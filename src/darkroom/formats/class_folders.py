"""Class folders: the folder that a picture lies in is its class, perhaps below train, val and test."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from darkroom import atomic
from darkroom.errors import Invalid
from darkroom.formats.format import Entry, Export, Picture, Problem, Reading
from darkroom.formats.tree import (
    SPLIT_FOLDERS,
    Tree,
    is_picture,
    put_picture,
    refuse_full_folder,
    subfolders,
)
from darkroom.records import ClassesLabel, ClassLabel, Split

__all__ = ["read_class_folders", "write_class_folders"]

LONGEST_NAME_BYTES = 255
"""Source: NAME_MAX of Linux and macOS."""


def read_class_folders(folder: Path) -> Reading:
    """Reads a folder of class folders.

    The first folder on a picture's way is its class, deeper ones only keep order; a picture beside the
    class folders has no label. Where all folders are called train, val, test (or training, validation,
    …), the classes are the folders in them. Class names are brought to one Unicode form (NFC).
    """
    with_splits = _has_splits(folder)
    problems: list[Problem] = []
    skipped: list[str] = []
    parents = [folder / name for name in subfolders(folder)] if with_splits else [folder]
    classes = sorted({_class_name(name) for parent in parents for name in subfolders(parent)})
    return Reading(tuple(classes), _entries(folder, with_splits, problems, skipped), problems, skipped)


def write_class_folders(folder: Path, export: Export) -> None:
    """Writes `class/picture`, or `split/class/picture` for pictures with a split.

    Raises:
        Invalid: a class cannot be the name of a folder, or a picture has several classes.
        Conflict: the folder is not empty.
        StorageFailed: the disk refuses; nothing is left.
    """
    refuse_full_folder(folder)
    _refuse_split_names(export)
    with atomic.write_folder(folder) as aside:
        for name in export.classes:
            _folder_name(name)
        for picture in export.pictures:
            place = aside / picture.split if picture.split else aside
            put_picture(picture, place / _folder_of(picture) / picture.name)


def _entries(
    folder: Path, with_splits: bool, problems: list[Problem], skipped: list[str]
) -> Iterator[Entry]:
    values: dict[str, ClassLabel] = {}  # one record per class, not per picture
    for path in Tree(folder, problems):
        if not is_picture(path):
            skipped.append(path)
            continue
        *folders, _ = path.split("/")
        split: Split | None = None
        if with_splits and folders:
            split = SPLIT_FOLDERS[folders.pop(0).lower()]
        if not folders:
            yield Entry(path, None, split)
            continue
        name = folders[0]
        if name not in values:
            values[name] = ClassLabel(label=_class_name(name))
        yield Entry(path, values[name], split)


def _has_splits(folder: Path) -> bool:
    names = subfolders(folder)
    if not names or not all(name.lower() in SPLIT_FOLDERS for name in names):
        return False
    # A lone folder "test" full of pictures is a class; with folders in it, it is a split.
    return len(names) > 1 or bool(subfolders(folder / names[0]))


def _class_name(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folder_of(picture: Picture) -> str:
    if picture.value is None:
        return "."
    if isinstance(picture.value, ClassesLabel):
        raise Invalid(
            "class-folders.several-classes",
            "{name} has several classes; a picture lies in one class folder.",
            do="Use the format csv.",
            name=picture.name,
        )
    return _folder_name(picture.value.label)


def _folder_name(name: str) -> str:
    plain = name not in ("", ".", "..") and not set(name) & set("/\\\0") and name[0] != "."
    if not plain or len(name.encode("utf-8", "replace")) > LONGEST_NAME_BYTES or _class_name(name) != name:
        raise Invalid(
            "class-folders.class-name",
            "Class {name!r} cannot be the name of a folder.",
            do="Use the format csv, or rename the class.",
            name=name,
        )
    return name


def _refuse_split_names(export: Export) -> None:
    """Classes that are all called like splits would be read back as splits."""
    if export.classes and all(name.lower() in SPLIT_FOLDERS for name in export.classes):
        raise Invalid(
            "class-folders.classes-like-splits",
            "The classes {names} are called like splits; as folders they would be read as such.",
            do="Use the format csv, or rename a class.",
            names=", ".join(export.classes),
        )
