"""Write darkroom.toml with every default spelled out and explained."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, get_args, get_origin

import tomlkit
from pydantic import BaseModel

from darkroom.operation import find_operation
from darkroom.operation.docstring import as_sentence
from darkroom.operation.vocabulary import bare, nested_model, spoken_type
from darkroom.records import Brief, StageEntry, field_sentences

__all__ = ["project_text"]

HEAD = """\
# What we want: the brief, and the stages that lead to a proven model.
# Every option stands here with its default. Change one and run `darkroom run`:
# only what depends on it runs again. `darkroom run --explain` says what would.
"""


def project_text(name: str, stages: list[StageEntry]) -> str:
    """Returns the text of a new darkroom.toml.

    Args:
        name: name of the project.
        stages: its stages; what they do not set is written with its default.
    """
    lines = [HEAD, "schema_version = 1", "", "[project]", f"name = {_value(name)}", "", "[brief]"]
    lines += _fields("brief", _model_rows(Brief, Brief()))
    for stage in stages:
        lines += ["", "", *_stage(stage)]
    return "\n".join(lines) + "\n"


def _stage(stage: StageEntry) -> Iterator[str]:
    operation = find_operation(stage.operation)
    yield f"# {operation.summary}"
    yield "[[stage]]"
    yield f"name = {_value(stage.name)}"
    yield f"operation = {_value(stage.operation)}"
    rows = []
    for parameter in operation.parameters:
        if parameter.name in operation.indifferent:
            continue
        default = None if parameter.required else parameter.default
        given = stage.request.get(parameter.name, default)
        rows.append((parameter.name, parameter.annotation, given, parameter.doc, None))
    yield from _fields("stage", rows)


Row = tuple[str, Any, Any, str, Any]
"""Name, type, value, sentence and example of one key; an example stands where nothing is set."""


def _fields(path: str, rows: list[Row]) -> Iterator[str]:
    """Yields the keys of one table, then its nested tables, as TOML wants them."""
    nested: list[Row] = []
    for row in rows:
        if nested_model(row[1]):
            nested.append(row)
        else:
            yield from _key(*row)
    for name, annotation, value, doc, _ in nested:
        model = nested_model(annotation)
        assert model is not None
        yield ""
        yield from _comment(as_sentence(doc))
        yield f"[{path}.{name}]"
        yield from _fields(f"{path}.{name}", _model_rows(model, _filled(model, value)))


def _filled(model: type[BaseModel], value: Any) -> BaseModel:
    if isinstance(value, BaseModel):
        return value
    return model.model_validate(value if isinstance(value, Mapping) else {})


def _model_rows(model: type[BaseModel], value: BaseModel) -> list[Row]:
    sentences = field_sentences(model)
    return [
        (name, info.annotation, getattr(value, name), sentences[name], (info.examples or [None])[0])
        for name, info in model.model_fields.items()
    ]


def _key(name: str, annotation: Any, value: Any, doc: str, example: Any) -> Iterator[str]:
    yield from _comment(f"{as_sentence(doc)} ({_type_words(annotation)})")
    if example is not None and value in (None, {}):
        yield f"# {name} = {_value(example)}"
    elif value is None:
        yield f"# {name} ="
    else:
        yield f"{name} = {_value(value)}"


def _type_words(annotation: Any) -> str:
    """Returns a type in words; of several tables with the keys that each takes."""
    inner = bare(annotation)
    parts = get_args(inner)
    model = nested_model(parts[0]) if get_origin(inner) is tuple and parts[1:] == (Ellipsis,) else None
    return f"{{{', '.join(model.model_fields)}}}, several" if model else spoken_type(annotation)


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, 96, break_on_hyphens=False):
        yield f"# {line}"


def _value(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return '""'
    return tomlkit.item(_plain(value)).as_string()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _plain(item) for key, item in value.items()})
        return table
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, date | datetime | bool | int | float | str):
        return value
    return str(value)
