"""Find the pictures that a person names: by id, by the beginning of one, or by file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from darkroom.errors import Invalid, NotFound
from darkroom.workspace import Workspace

__all__ = ["forgotten_named", "images_named"]

_HEX = re.compile(r"[0-9a-f]{8,64}")
SHOWN = 5


def images_named(workspace: Workspace, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the ids of pictures, each once, forgotten ones among them.

    Args:
        workspace: the project.
        names: ids, beginnings of ids of at least eight digits, files, or "s-1/roses/a.jpg".

    Raises:
        NotFound: the project never held such a picture.
        Invalid: a beginning fits several pictures, or nothing is named.
    """
    found = tuple(dict.fromkeys(_named(workspace, name) for name in names))
    if not found:
        raise Invalid(
            "image.none-named",
            "No picture is named.",
            do="Name one by its id, the beginning of its id, or its file: darkroom image forget photo.jpg",
        )
    return found


def forgotten_named(workspace: Workspace, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the ids of forgotten pictures.

    Raises:
        NotFound: no such picture was forgotten.
        Invalid: a beginning fits several.
    """
    forgotten = [one.image_id for one in workspace.catalogue.forgotten.list()]
    found: list[str] = []
    for name in names:
        fitting = [
            one for one in forgotten if _HEX.fullmatch(name.lower()) and one.startswith(name.lower())
        ]
        if not fitting:
            raise NotFound(
                "image.not-forgotten",
                "No picture {name!r} was forgotten here. Forgotten: {known}.",
                do="See what was forgotten: darkroom image forgotten",
                name=name,
                known=", ".join(one[:12] for one in forgotten[:SHOWN]) or "none",
            )
        found.append(_one_of(name, fitting))
    return tuple(dict.fromkeys(found))


def _named(workspace: Workspace, name: str) -> str:
    if _HEX.fullmatch(name.lower()):
        fitting = _beginning_with(workspace, name.lower())
        if fitting:
            return _one_of(name, fitting)
    by_file = _of_file(workspace, name)
    if by_file is None:
        raise NotFound(
            "image.unknown-name",
            "No picture {name!r} in this project.",
            do="{begun}Name it by its id, the beginning of its id (8 digits or more), or its file. The ids "
            "stand in deliverables/03-raw/*/pictures.csv",
            name=name,
            begun=_begun(workspace),
        )
    return by_file


def _begun(workspace: Workspace) -> str:
    """Returns how to finish what was broken off: a picture whose rows are gone has no file any more."""
    left = [one.image_id[:12] for one in workspace.catalogue.forgotten.list() if not one.finished]
    names = " ".join(left[:SHOWN])
    return f"A forgetting was broken off; finish it: darkroom image forget {names}. " if left else ""


def _beginning_with(workspace: Workspace, start: str) -> list[str]:
    catalogue = workspace.catalogue
    held = islice(catalogue.images.beginning_with(start), SHOWN)
    forgotten = (one.image_id for one in catalogue.forgotten.list() if one.image_id.startswith(start))
    return list(dict.fromkeys([*held, *forgotten]))


def _one_of(name: str, fitting: list[str]) -> str:
    if len(fitting) > 1:
        raise Invalid(
            "image.several",
            "{name!r} is the beginning of several pictures: {fitting}.",
            do="Give more digits.",
            name=name,
            fitting=", ".join(one[:16] for one in fitting[:SHOWN]),
        )
    return fitting[0]


def _of_file(workspace: Workspace, name: str) -> str | None:
    """Returns the picture that was last read from a file of a source."""
    catalogue, sources = workspace.catalogue, workspace.catalogue.sources.list()
    source_id, _, rest = name.partition("/")
    places = [(source.id, rest) for source in sources if source.id == source_id]
    for start in (Path.cwd(), workspace.root):
        path = os.path.normpath(start / Path(name).expanduser())
        for source in sources:
            folder = workspace.source_folder(source)
            if Path(path).is_relative_to(folder):
                places.append((source.id, Path(path).relative_to(folder).as_posix()))
    found = (catalogue.locations.at(*place) for place in places)
    return next((place.image_id for place in found if place is not None), None)
