"""From the shell's texts to the nested values of a request, and from parameters to dotted options."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from darkroom.errors import InvalidConfig
from darkroom.operation import Operation, put
from darkroom.operation.docstring import as_sentence
from darkroom.operation.vocabulary import bare, nested_model, spoken_type, without_none
from darkroom.records import field_sentences

__all__ = ["Option", "options", "read_sweep", "request_values"]


class Option(NamedTuple):
    """One leaf of a request as the shell takes it."""

    path: str
    """Dotted: "recipe.epochs"."""
    annotation: Any
    default: Any
    """`inspect.Parameter.empty` when it must be given."""
    doc: str

    @property
    def flag(self) -> str:
        """The option as it is typed: two dashes, underscores as dashes."""
        return "--" + self.path.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """Whether it is a plain yes or no."""
        return bare(self.annotation) is bool

    @property
    def takes_several(self) -> bool:
        """Whether it may be repeated."""
        inner = bare(without_none(bare(self.annotation)))
        return get_origin(inner) in (tuple,) or _is_mapping(inner)

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed words, for Literal types."""
        inner = bare(without_none(bare(self.annotation)))
        return tuple(map(str, get_args(inner))) if get_origin(inner) is Literal else ()

    @property
    def help(self) -> str:
        """The sentence, the type in words and the default."""
        facts = [] if self.is_switch or self.choices else [spoken_type(self.annotation)]
        if self.default is not inspect.Parameter.empty and self.default not in (None, (), "", {}):
            facts.append(f"default {_spoken_value(self.default)}")
        sentence = as_sentence(self.doc)
        return f"{sentence} [{'; '.join(facts)}]" if facts else sentence


def options(operation: Operation) -> Iterator[Option]:
    """Yields every leaf of an operation's request, nested models flattened to dotted names."""
    for parameter in operation.parameters:
        yield from _leaves(parameter.name, parameter.annotation, parameter.default, parameter.doc)


def request_values(found: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    """Returns the nested values of a request from the shell's texts by dotted path."""
    values: dict[str, Any] = {}
    for path, given in found.items():
        values = put(values, path, read_value(given, known[path].annotation, path))
    return values


def read_value(given: Any, annotation: Any, path: str) -> Any:
    """Reads one option: "a,b" for several, "key=value" for maps, JSON for what is deeper."""
    inner = bare(without_none(bare(annotation)))
    if inner is not bare(annotation) and given in ("none", ["none"]):
        return None
    if _is_mapping(inner):
        return dict(_pair(text, path) for text in _pieces(given))
    if get_origin(inner) is tuple:
        if nested_model(get_args(inner)[0]):
            return [json.loads(text) for text in given]
        return _pieces(given)
    return given


def read_sweep(texts: list[str]) -> dict[str, list[str]]:
    """Reads `--sweep recipe.learning_rate=0.1,0.01`, repeatable.

    Raises:
        InvalidConfig: a text has no "=".
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, given = _pair(text, "sweep")
        found[name.replace("-", "_")] = _pieces(given)
    return found


def _leaves(path: str, annotation: Any, default: Any, doc: str) -> Iterator[Option]:
    model = nested_model(annotation)
    if model is None:
        yield Option(path, annotation, default, doc)
        return
    sentences = field_sentences(model)
    for name, info in model.model_fields.items():
        marked = info.annotation
        inside = info.get_default(call_default_factory=True)
        if default is not inspect.Parameter.empty and default is not None:
            inside = getattr(default, name)
        yield from _leaves(f"{path}.{name}", marked, inside, sentences[name])


def _pieces(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    return [piece.strip() for text in texts for piece in str(text).split(",") if piece.strip()]


def _pair(text: str, path: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidConfig(
            "option.no-pair",
            'Option "{path}": expected name=value. Received: {text!r}.',
            do="Write the name, = and the value, without blanks between them.",
            path=path,
            text=text,
        )
    return name.strip(), value.strip()


def _is_mapping(inner: Any) -> bool:
    origin = get_origin(inner)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _spoken_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
