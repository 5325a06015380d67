"""Say in words why a value was refused: the key, what was expected, what came, the key that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from darkroom.errors import InvalidConfig, nearest

__all__ = ["explain", "validated"]

M = TypeVar("M", bound=BaseModel)

LONGEST_SHOWN = 300
"""Letters of a refused value that a message repeats."""


def validated(model: type[M], values: Any, *, where: str, explained: str) -> M:
    """Validates values against a model.

    Args:
        model: the model that the values must fit.
        values: a mapping, as read from TOML, JSON or the shell.
        where: what is being read, for the message: "darkroom.toml", "model.train", …
        explained: what explains the keys: a command or a page.

    Raises:
        InvalidConfig: a key is unknown, missing, or its value is not what was expected.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise explain(error, model=model, where=where, explained=explained) from None


def explain(error: ValidationError, *, model: type[BaseModel], where: str, explained: str) -> InvalidConfig:
    """Turns pydantic's error into one sentence per refused key."""
    sentences = [_sentence(dict(found), model) for found in error.errors(include_url=False)]
    return InvalidConfig(
        "config.refused",
        "{where}: {why}",
        do="What is expected: {explained}",
        where=where,
        why=" ".join(dict.fromkeys(sentences)),
        explained=explained,
    )


def _sentence(found: dict[str, Any], model: type[BaseModel]) -> str:
    location = [str(part) for part in found["loc"]]
    key = ".".join(location) or "the whole"
    if found["type"] == "extra_forbidden":
        siblings = _keys_beside(model, location[:-1])
        meant = nearest(location[-1], siblings) or (f" Known: {', '.join(siblings)}." if siblings else "")
        return f'unknown key "{key}".{meant}'
    if found["type"] == "missing":
        return f'"{key}" is missing.{_misspelt(location[-1], found["input"])}'
    expected = str(found["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    if not location:
        return f"{expected}."
    return f'"{key}": expected {expected}. Received: {_shown(found["input"])}.'


def _shown(value: Any) -> str:
    """Returns what came, cut where it is longer than a person reads."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _misspelt(missing: str, given: Any) -> str:
    """Returns the key that stands there in place of the one that is missing, if one is like it."""
    keys: list[str] = []
    for part in (given, given.get("request")) if isinstance(given, Mapping) else ():
        keys += map(str, part) if isinstance(part, Mapping) else ()
    like = difflib.get_close_matches(missing, keys, n=1)
    return f' There is "{like[0]}". Did you mean "{missing}"?' if like else ""


def _keys_beside(model: type[BaseModel], path: list[str]) -> list[str]:
    """Returns the keys that the model knows at a path, walking through nested models."""
    here: Any = model
    for part in path:
        fields = getattr(here, "model_fields", {})
        if part in fields:
            here = _model_inside(fields[part].annotation)
    return sorted(getattr(here, "model_fields", {}))


def _model_inside(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_inside(inner)
        if found is not None:
            return found
    return None
