"""The types that an operation's parameters may have, the same through every face.

bool  int  float  str  Literal[…]  date  AwareDatetime
LocalPath  UserCode            free in the shell and in Python; fenced over HTTP
PictureName                    a picture of the project, by its id or its file
DatasetRef  RunRef  RunRefs …  names of things, which a stage may take as "@stage"
X | None                       left out means None
tuple[X, …, ...]               several; "a,b" or repeated in the shell
FrozenMap[str, X]              by name; "key=value" in the shell
a Config model                 nested; "--recipe.epochs 30" in the shell
"""

from __future__ import annotations

import os
import re
import types
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import AfterValidator, AwareDatetime

from darkroom.records import Config

__all__ = [
    "BundleRef",
    "DatasetRef",
    "FolderName",
    "LocalPath",
    "PictureName",
    "Produced",
    "Reference",
    "RunRef",
    "SourceRef",
    "UserCode",
    "bare",
    "is_known",
    "named_file",
    "nested_model",
    "reference_kind",
    "spoken_type",
]


class Reference(NamedTuple):
    """Marks a text that names a thing of the project."""

    kind: str
    """"dataset", "run", "source" or "bundle"."""


class _Fenced(NamedTuple):
    """Marks a path that is free in the shell and in Python, and fenced over HTTP."""

    kind: str


class _Produced(NamedTuple):
    """Marks a result's path that a stage made: when it is gone, the stage is stale."""


def _fit_for_disk(path: Path) -> Path:
    try:
        written = os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError("a path that this machine can write") from None
    if (
        b"\0" in written
        or len(written) >= LONGEST_PATH
        or max(map(len, written.split(b"/"))) > LONGEST_NAME
    ):
        raise ValueError("a path that this machine can hold")
    return path


def _home(path: Path) -> Path:
    _fit_for_disk(path)
    try:
        return path.expanduser()
    except RuntimeError:  # "~nobody": there is no such user, but there may be such a file
        return path


LocalPath = Annotated[Path, _Fenced("path"), AfterValidator(_home)]
"""A file or folder; over HTTP an upload or a path under an allowed root."""

FolderName = Annotated[str, AfterValidator(lambda name: _fit_for_disk(Path(name)) and name)]
"""What a new folder is called, or the way to it."""

UserCode = Annotated[Path, _Fenced("code"), AfterValidator(_home)]
"""A Python file of the user; over HTTP only with the admin's setting."""

PictureName = Annotated[str, _Fenced("picture")]
"""A picture of the project: its id, the beginning of its id, "s-1/roses/a.jpg", or its file.

A file is only looked up in the catalogue, so it is free over HTTP. Each face says where a relative one
starts.
"""

DatasetRef = Annotated[str, Reference("dataset")]
"""A dataset version, "digits@1"; "digits" means its newest."""

RunRef = Annotated[str, Reference("run")]
"""A run, "r-12"."""

SourceRef = Annotated[str, Reference("source")]
"""A source, "s-1"."""

BundleRef = Annotated[str, Reference("bundle")]
"""A bundle, "b-3"."""

Produced = Annotated[str, _Produced()]
"""In a result: a path inside the project that the operation made."""

_NO_FILE = re.compile(r"[0-9A-Fa-f]{8,64}|s-[0-9]+/.*|~.*", re.DOTALL)
"""Names of pictures that mean the same wherever one stands."""

LONGEST_PATH = 4096
LONGEST_NAME = 255
"""Bytes of a path, and of one name in it. Source: PATH_MAX and NAME_MAX of Linux."""

SCALARS = (bool, int, float, str, date, AwareDatetime, Path)


def bare(annotation: Any) -> Any:
    """Returns a type without its Annotated marks."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def marks(annotation: Any) -> tuple[Any, ...]:
    """Returns the Annotated marks of a type, looking through `| None` and `tuple[X, ...]`."""
    found: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            found += more
        elif without_none(annotation) is not annotation:
            annotation = without_none(annotation)
        elif get_origin(annotation) is tuple and get_args(annotation)[1:] == (Ellipsis,):
            annotation = get_args(annotation)[0]
        else:
            return tuple(found)


def without_none(annotation: Any) -> Any:
    """Returns X for `X | None`, everything else as it is."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return annotation


def reference_kind(annotation: Any) -> str | None:
    """Returns what a type names ("dataset", "run", …), or None when it names nothing."""
    return next((mark.kind for mark in marks(annotation) if isinstance(mark, Reference)), None)


def is_produced(annotation: Any) -> bool:
    """Returns whether a result's field is a path that the operation made."""
    return any(isinstance(mark, _Produced) for mark in marks(annotation))


def fence(annotation: Any) -> str | None:
    """Returns "path", "code" or "picture" for a type that names files, else None."""
    return next((mark.kind for mark in marks(annotation) if isinstance(mark, _Fenced)), None)


def named_file(name: str) -> Path | None:
    """Returns the file by which a picture is named, None where it is named by its id or its source."""
    return None if not name or _NO_FILE.fullmatch(name) else Path(name)


def nested_model(annotation: Any) -> type[Config] | None:
    """Returns the Config model that a type is, or None."""
    inner = bare(without_none(bare(annotation)))
    return inner if isinstance(inner, type) and issubclass(inner, Config) else None


def is_known(annotation: Any) -> bool:
    """Returns whether a type stands in the vocabulary."""
    inner = bare(without_none(bare(annotation)))
    origin, parts = get_origin(inner), get_args(inner)
    if origin is Literal:
        return all(isinstance(part, str | int) for part in parts)
    if origin is tuple:
        items = parts[:-1] if parts[-1:] == (Ellipsis,) else parts
        return bool(items) and all(is_known(part) for part in items)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return parts[0] is str and (parts[1] is Any or is_known(parts[1]))
    if not isinstance(inner, type):
        return False
    if issubclass(inner, Config):
        return all(is_known(field.annotation) for field in inner.model_fields.values())
    return inner in SCALARS


def spoken_type(annotation: Any) -> str:
    """Returns a type in words for help pages: "whole number", "a | b", "run, several"."""
    inner = bare(without_none(bare(annotation)))
    origin, parts = get_origin(inner), get_args(inner)
    kind = reference_kind(annotation)
    if origin is Literal:
        return " | ".join(str(part) for part in parts)
    if origin is tuple:
        if parts[-1:] == (Ellipsis,):
            return f"{kind or spoken_type(parts[0])}, several"
        return ", ".join(spoken_type(part) for part in parts)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"name = {spoken_type(parts[1]) if parts[1] is not Any else 'values'}"
    if kind:
        return kind
    words = {bool: "yes or no", int: "whole number", float: "number", str: "text", date: "date"}
    words |= {AwareDatetime: "moment", Path: "path"}
    return words.get(inner, getattr(inner, "__name__", str(inner)))
