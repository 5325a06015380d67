"""What a person asks of the run table: which runs, which figures, which parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.errors import InvalidConfig, NotFound, nearest

if TYPE_CHECKING:
    from darkroom.operations.run_table import RunRow

__all__ = ["Filter", "asked_parameters", "differing", "keeps", "known_figure", "read_filters"]

FACTS = ("run", "state", "tag", "note")
"""What can be asked beside figures and parameters; a note is searched for words."""

ONLY_ASKED = ("recipe.device", "recipe.threads", "recipe.chance.")
"""Beginnings of parameters that are shown when they are asked for: where it was computed, seeds of single
sources of chance."""

ALWAYS = ("recipe.chance.split",)

FORM = re.compile(r"\s*([A-Za-z][^<>=!~]*?)\s*(!=|>=|<=|=|>|<|~)\s*(.*?)\s*", re.DOTALL)

HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "~": lambda a, b: str(b).lower() in str(a).lower(),
}


class Filter(NamedTuple):
    """One condition."""

    name: str
    sign: str
    value: str


def read_filters(texts: Iterable[str], rows: Sequence[RunRow]) -> list[Filter]:
    """Returns the conditions that texts such as "val.accuracy>0.9" say.

    Raises:
        InvalidConfig: one is not of that form, or compares words by size.
        NotFound: no run has such a figure or parameter.
    """
    return [_read(text, rows) for text in texts]


def keeps(row: RunRow, filters: Sequence[Filter]) -> bool:
    """Says whether all conditions hold for a run; one about what a run does not have does not hold."""
    return all(_holds(row, one) for one in filters)


def known_figure(name: str, rows: Sequence[RunRow]) -> str:
    """Returns the name of a figure that some run has.

    Raises:
        NotFound: none has.
    """
    known = sorted({figure for row in rows for figure in row.figures})
    if rows and name not in known:
        raise NotFound(
            "runs.unknown-figure",
            "No run has a figure {name}.{meant} Known: {known}.",
            do="Figures of test and of classes are there once a run was asked: darkroom model evaluate",
            name=name,
            meant=nearest(name, known),
            known=", ".join(one for one in known if one.count(".") < 2) or "none",
        )
    return name


def asked_parameters(names: Sequence[str], rows: Sequence[RunRow]) -> tuple[str, ...]:
    """Returns parameters by name; "all" stands for all of them.

    Raises:
        NotFound: no run has such a parameter.
    """
    known = list(dict.fromkeys(name for row in rows for name in row.parameters))
    if "all" in names:
        return tuple(known)
    full = [_full(name, known) for name in names]
    return tuple(dict.fromkeys(full))


def differing(rows: Sequence[RunRow]) -> tuple[str, ...]:
    """Returns the parameters in which runs differ, in the recipe's order; a missing one differs too."""
    known = list(dict.fromkeys(name for row in rows for name in row.parameters))
    found = []
    for name in known:
        values = {repr(row.parameters.get(name)) for row in rows}
        if len(values) > 1 and (name in ALWAYS or not name.startswith(ONLY_ASKED)):
            found.append(name)
    return tuple(found)


def _read(text: str, rows: Sequence[RunRow]) -> Filter:
    found = FORM.fullmatch(text)
    if found is None:
        raise InvalidConfig(
            "runs.filter-form",
            "Cannot read the condition {text!r}: expected a name, one of = != > < >= <= ~, and a value.",
            do='For example: darkroom model runs --where "val.accuracy>0.9"',
            text=text,
        )
    one = Filter(*found.groups())
    figures = {name for row in rows for name in row.figures}
    if one.name in FACTS or one.name in figures:
        if one.name in figures and (one.sign == "~" or _number(one.value) is None):
            raise InvalidConfig(
                "runs.filter-number",
                "{name} is a number. Received: {sign}{value}.",
                do='For example: darkroom model runs --where "{name}>0.9"',
                name=one.name,
                sign=one.sign,
                value=one.value,
            )
        return one
    parameters = list(dict.fromkeys(name for row in rows for name in row.parameters))
    if not rows:
        return one
    return one._replace(name=_full(one.name, parameters, figures))


def _full(name: str, known: Sequence[str], others: Iterable[str] = ()) -> str:
    """Returns a parameter's name; "recipe." may be left out."""
    for candidate in (name, f"recipe.{name}"):
        if candidate in known:
            return candidate
    raise NotFound(
        "runs.unknown-parameter",
        "No run has {name}.{meant}",
        do="See all of them: darkroom model runs --parameters all",
        name=name,
        meant=nearest(name, [*known, *(one.removeprefix("recipe.") for one in known), *others, *FACTS]),
    )


def _holds(row: RunRow, one: Filter) -> bool:
    compare = HOLDS[one.sign]
    if one.name == "tag":
        has = any(HOLDS["~" if one.sign == "~" else "="](tag, one.value) for tag in row.tags)
        return not has if one.sign == "!=" else has
    if one.name in ("run", "state", "note"):
        return compare(getattr(row, one.name), one.value)
    if one.name in row.figures:
        return compare(row.figures[one.name].value, _number(one.value))
    value = row.parameters.get(one.name)
    if value is None:
        return one.sign == "!="
    number = _number(one.value)
    if isinstance(value, bool):
        return compare(value, one.value.lower() in ("yes", "true", "1"))
    if isinstance(value, int | float) and number is not None and one.sign != "~":
        return compare(value, number)
    return compare(str(value), one.value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
