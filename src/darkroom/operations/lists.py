"""Read which pictures a person wants answers for: files, folders, and lists with or without the truth."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from darkroom.errors import DarkroomError, Invalid, NotFound
from darkroom.formats import is_picture
from darkroom.operations.image_names import images_named
from darkroom.spreadsheet import unescape
from darkroom.workspace import Workspace

__all__ = ["Listed", "listed"]

NAMES = ("picture", "image", "file", "path")
TRUTHS = ("label", "class", "truth")
"""Columns of a list, in the order in which they are looked for."""


class Listed(NamedTuple):
    """One picture that is asked about."""

    name: str
    """As it was named."""
    truth: str
    """What is right; empty where nobody says."""
    path: Path | None
    """Its file; None for a picture of the project that is named by its id, or for one that is not there."""
    image_id: str = ""
    why: str = ""
    """Why it cannot be asked about; empty where it can."""

    def read(self, workspace: Workspace) -> bytes:
        """Returns its bytes.

        Raises:
            NotFound: it is not there.
            OSError: it cannot be read.
        """
        if self.why:
            raise NotFound("ask.not-there", "{why}", why=self.why)
        return self.path.read_bytes() if self.path is not None else workspace.read_image(self.image_id)


def listed(
    workspace: Workspace, places: Sequence[Path], classes: Sequence[str], *, truth: bool
) -> Iterator[Listed]:
    """Yields pictures one by one, in the order of the lists and of names in folders.

    Args:
        workspace: the project.
        places: pictures, folders, or lists (.csv) with a column "image" and, where it is known, "label".
        classes: names of the classes; a folder of that name in a folder says what its pictures show.
        truth: whether to take what is right from there.

    Raises:
        NotFound: there is no such file.
        Invalid: a list has no column of pictures.
    """
    for place in places:
        if place.is_dir():
            yield from _of_folder(place, frozenset(classes) if truth else frozenset())
        elif not place.is_file():
            raise NotFound(
                "ask.no-file",
                "No file {path}.",
                do="Name a picture, a folder of pictures, or a list: darkroom model ask LIST.csv --run RUN",
                path=place,
            )
        elif place.suffix.lower() == ".csv":
            yield from _of_table(workspace, place, truth=truth)
        else:
            yield Listed(str(place), "", place)


def _of_folder(folder: Path, classes: frozenset[str]) -> Iterator[Listed]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_picture(path.name):
            parent = path.relative_to(folder).parent.name
            yield Listed(str(path), parent if parent in classes else "", path)


def _of_table(workspace: Workspace, table: Path, *, truth: bool) -> Iterator[Listed]:
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.DictReader(file)
        columns = {name.strip().lower(): name for name in rows.fieldnames or () if name}
        name = next((columns[one] for one in NAMES if one in columns), None)
        if name is None:
            raise Invalid(
                "ask.no-column",
                "The list {path} has no column of pictures. Its columns: {columns}.",
                do='Call the column of files "image", and that of what is right "label".',
                path=table,
                columns=", ".join(rows.fieldnames or ()) or "none",
            )
        right = next((columns[one] for one in TRUTHS if one in columns), None)
        try:
            for row in rows:
                said = unescape((row.get(right) or "").strip()) if right and truth else ""
                yield _named(workspace, table.parent, unescape((row.get(name) or "").strip()), said)
        except csv.Error as error:
            raise Invalid(
                "ask.damaged-list",
                "The list {path} cannot be read: {why}.",
                path=table,
                why=error,
                do="Save it as text: comma-separated values in UTF-8, with a first line of column names.",
            ) from error


def _named(workspace: Workspace, folder: Path, name: str, truth: str) -> Listed:
    """Finds one picture of a list: a file beside or below it, or a picture of the project."""
    if not name or "\0" in name:
        return Listed(name, truth, None, why="The row names no picture.")
    path = folder / name
    try:
        there = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except OSError:
        there = False
    if there:
        return Listed(name, truth, path)
    try:
        (image_id,) = images_named(workspace, [name])
    except DarkroomError:
        why = f"No picture {name!r} beside the list or below it, and none of the project."
        return Listed(name, truth, None, why=why)
    return Listed(name, truth, None, image_id)
