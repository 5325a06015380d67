"""The recipe's own bounds: what of it can be varied, and how far."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from darkroom.operation.vocabulary import bare, nested_model
from darkroom.records import Config
from darkroom.training import Recipe

__all__ = ["Bounds", "recipe_bounds"]

STAYS = (
    *("allow_smaller_batch", "device", "threads", "precision", "quantise"),
    *("select_by", "snapshot_every"),
)
"""What says where and how it is computed and kept, and not how it learns."""


class Bounds(NamedTuple):
    """What a field of the recipe may hold."""

    kind: Literal["int", "float", "choice"]
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    """Whether `low` itself is refused."""
    high_open: bool = False
    """Whether `high` itself is refused."""
    choices: tuple[Any, ...] = ()

    @property
    def words(self) -> str:
        """The bounds as a person reads them."""
        if self.kind == "choice":
            return " | ".join(map(str, self.choices))
        low = "any" if self.low is None else f"{self.low:g}{' (not included)' if self.low_open else ''}"
        high = "any" if self.high is None else f"{self.high:g}{' (not included)' if self.high_open else ''}"
        return f"{low} to {high}"

    def holds(self, value: float) -> bool:
        """Says whether a number lies inside."""
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        below = self.high is None or (value < self.high if self.high_open else value <= self.high)
        return above and below


@cache
def recipe_bounds() -> dict[str, Bounds]:
    """Returns the bounds of every option that can be varied, by its dotted name: "recipe.learning_rate"."""
    return dict(_leaves("recipe", Recipe))


def _leaves(path: str, model: type[Config]) -> Iterator[tuple[str, Bounds]]:
    for name, info in model.model_fields.items():
        inner = nested_model(info.annotation)
        if inner is not None:
            yield from _leaves(f"{path}.{name}", inner)
        elif name not in STAYS:
            found = _bounds(info)
            if found is not None:
                yield f"{path}.{name}", found


def _bounds(info: FieldInfo) -> Bounds | None:
    kind = bare(info.annotation)
    if get_origin(kind) is Literal:
        return Bounds("choice", choices=get_args(kind))
    if kind is bool:
        return Bounds("choice", choices=(False, True))
    if kind not in (int, float):
        return None
    ends = {
        end: getattr(mark, end)
        for mark in info.metadata
        for end in ("ge", "gt", "le", "lt")
        if hasattr(mark, end)
    }
    return Bounds(
        "int" if kind is int else "float",
        low=ends.get("ge", ends.get("gt")),
        high=ends.get("le", ends.get("lt")),
        low_open="gt" in ends,
        high_open="lt" in ends,
    )
