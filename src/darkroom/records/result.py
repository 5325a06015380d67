"""What an operation answers: a record that also says how a person sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from pydantic import ValidationError

from darkroom.records.record import Record

__all__ = ["Result", "Table", "result_of"]

DRAWING = "_drawing"


class Table(NamedTuple):
    """Rows of text under headings; the faces draw it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


class Result(Record):
    """The answer of an operation."""

    @property
    def exit_code(self) -> int:
        """What the shell exits with: 0 unless a limit is missed."""
        return 0

    def notes(self) -> Iterable[str]:
        """Yields what a person must hear even where many results are shown at once: warnings, outcomes."""
        return ()

    def display(self) -> Iterable[str | Table]:
        """Yields what a person sees: lines of text and tables."""
        shown = self.model_dump(exclude={"schema_version"}, mode="json")
        yield Table(("", ""), tuple((name, str(value)) for name, value in shown.items()))

    def drawn_by(self, draw: Callable[[], str]) -> Self:
        """Says who draws this result in a notebook; it changes nothing that the result says.

        Args:
            draw: returns HTML.
        """
        # As functools.cached_property does: no field, so that it is neither compared nor dumped.
        object.__setattr__(self, DRAWING, draw)
        return self

    def _repr_html_(self) -> str | None:
        """Returns what a notebook shows; None where nobody draws, so that it shows the text."""
        draw = self.__dict__.get(DRAWING)
        return draw() if draw is not None else None


R = TypeVar("R", bound=Result)


def result_of(model: type[R], values: Mapping[str, Any]) -> R:
    """Returns a result from its JSON values, in which a figure that is no number became null.

    Raises:
        ValidationError: they are not of this kind of result.
    """
    plain = _copied(values)
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        for found in error.errors():
            if found["type"] != "float_type" or found["input"] is not None:
                raise
            *way, last = found["loc"]
            place: Any = plain
            for step in way:
                place = place[step]
            place[last] = math.nan
    return model.model_validate(plain)


def _copied(value: Any) -> Any:
    """Returns JSON values that can be changed."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value
