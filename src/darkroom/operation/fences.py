"""The paths inside a request that are free in the shell and fenced over HTTP: found, and replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic.fields import FieldInfo

from darkroom.errors import DarkroomError
from darkroom.operation.vocabulary import bare, fence, named_file, without_none
from darkroom.records import Config, FrozenDict

__all__ = ["ChangePath", "as_named", "error_as_named", "with_paths"]

ChangePath = Callable[[str, str, Path], Path]
"""From kind ("path", "code" or "picture"), dotted key and path to the path that takes its place."""

C = TypeVar("C", bound=Config)


def with_paths(request: C, change: ChangePath) -> C:
    """Returns a request in which every fenced path is replaced; nested models, lists and maps too.

    Which keys were given, and which left to their default, stays as it was.

    Args:
        request: a validated request, or a model inside one.
        change: called with each `LocalPath` ("path"), each `UserCode` ("code"), and each `PictureName` that
            is a file ("picture").
    """
    return _changed_model(request, change, "")


def as_named(value: Any, names: Mapping[str, str]) -> Any:
    """Returns an answer in which paths stand as whoever asked wrote them, not as they were looked up.

    Args:
        value: an answer as plain values; texts, lists and dictionaries are gone through.
        names: looked-up path → path as written.
    """
    if isinstance(value, dict):
        return {key: as_named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [as_named(item, names) for item in value]
    if isinstance(value, str):
        for path, written in names.items():
            if value == path or value.startswith(f"{path}/"):
                return written + value[len(path) :]
    return value


def error_as_named(error: DarkroomError, names: Mapping[str, str]) -> DarkroomError:
    """Returns an error whose words name paths as `as_named` does."""
    shape = error.as_dict()
    for path in sorted(names, key=len, reverse=True):
        shape = {key: text.replace(path, names[path]) for key, text in shape.items()}
    return DarkroomError.from_dict(shape)


def _changed_model(model: C, change: ChangePath, prefix: str) -> C:
    changed: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        old = getattr(model, name)
        new = _changed(old, _annotation(info), change, f"{prefix}{name}")
        if new is not old:
            changed[name] = new
    if not changed:
        return model
    given = model.model_fields_set | changed.keys()
    copy = model.model_copy(update=changed)
    copy.__pydantic_fields_set__.clear()
    copy.__pydantic_fields_set__.update(given)
    return copy


def _changed(value: Any, annotation: Any, change: ChangePath, key: str) -> Any:
    if isinstance(value, Config):
        return _changed_model(value, change, f"{key}.")
    if isinstance(value, Path):
        return change(fence(annotation) or "path", key, value)
    if isinstance(value, str):
        return _changed_name(value, change, key) if fence(annotation) == "picture" else value
    if isinstance(value, tuple):
        items = tuple(
            _changed(item, _item_type(annotation, place), change, f"{key}.{place}")
            for place, item in enumerate(value)
        )
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, Mapping):
        inside = _item_type(annotation, 1)
        pairs = {name: _changed(item, inside, change, f"{key}.{name}") for name, item in value.items()}
        return FrozenDict(pairs) if any(pairs[name] is not value[name] for name in pairs) else value
    return value


def _changed_name(name: str, change: ChangePath, key: str) -> str:
    """Returns what a picture is named by, its file replaced where that is one."""
    file = named_file(name)
    changed = name if file is None else str(change("picture", key, file))
    return name if changed == name else changed


def _item_type(annotation: Any, place: int) -> Any:
    """Returns the type of one item of a tuple, or (place 1) of a mapping's values."""
    parts = get_args(bare(without_none(bare(annotation))))
    if parts[1:] == (Ellipsis,):
        return parts[0]
    return parts[place] if place < len(parts) else Any


def _annotation(info: FieldInfo) -> Any:
    """Returns a field's type with the marks that pydantic keeps beside it."""
    annotation: Any = info.annotation
    for mark in info.metadata:
        annotation = Annotated[annotation, mark]
    return annotation
