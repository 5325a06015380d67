"""The space of a search: variables with their bounds, as a person said or as suits a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from darkroom.errors import InvalidConfig, nearest
from darkroom.networks import find
from darkroom.records import Contract
from darkroom.training import Recipe
from darkroom.tuning.bounds import Bounds, recipe_bounds
from darkroom.tuning.candidates import family_of
from darkroom.tuning.span import Span
from darkroom.tuning.trial import Value, Variable

__all__ = [
    "HEAD",
    "INPUT",
    "NETWORK",
    "TABLE",
    "WIDTH",
    "Given",
    "read_space",
    "refuse_empty",
    "resized",
    "sides_of",
]

NETWORK, WIDTH, INPUT = "recipe.network", "width", "input_px"
HEAD = "recipe.train_layers"

TABLE = "table"
"""Stands for every network of the table."""

USUAL: dict[str, tuple[float, float]] = {
    "recipe.weight_decay": (1e-6, 0.1),
    "recipe.dropout": (0.0, 0.6),
    "recipe.loss.label_smoothing": (0.0, 0.3),
    "recipe.loss.focal_gamma": (0.0, 5.0),
    "recipe.optimiser.momentum": (0.5, 0.99),
    "recipe.augment.rotate_deg": (0.0, 30.0),
    "recipe.augment.zoom": (0.0, 0.5),
    "recipe.augment.shift": (0.0, 0.2),
    "recipe.augment.crop": (0.0, 0.5),
    "recipe.augment.brightness": (0.0, 0.4),
    "recipe.augment.contrast": (0.0, 0.5),
    "recipe.augment.saturation": (0.0, 0.5),
    "recipe.augment.hue_deg": (0.0, 30.0),
    "recipe.augment.invert": (0.0, 0.5),
    "recipe.augment.noise": (0.0, 0.1),
}
"""Where an option is searched when nobody says: inside its bounds, where its effect is a usual one."""

AROUND = {"recipe.learning_rate": 20.0, "recipe.epochs": 2.0}
"""Options that are searched around the recipe's own value: so many times smaller and larger."""

BATCH = (16, 256)
POWERS = 1000.0
"""From this ratio of its ends on, a span above 0 is searched by powers."""


class Given(NamedTuple):
    """What the space is read against."""

    recipe: Recipe
    contract: Contract
    train_count: int


def read_space(spans: Mapping[str, Span], given: Given) -> tuple[Variable, ...]:
    """Returns the variables of a search, networks not yet held against any limit.

    Args:
        spans: what a person said, by variable; where that is nothing, the default set.
        given: recipe and data.

    Raises:
        InvalidConfig: a variable is unknown, or a bound lies outside the recipe's.
    """
    asked = {name.replace("-", "_"): span for name, span in (spans or _usual_set(given)).items()}
    known = (*recipe_bounds(), NETWORK, WIDTH, INPUT)
    for name in asked:
        if name not in known:
            raise InvalidConfig(
                "tune.unknown-variable",
                "Nothing called {name!r} can be varied.{meant}",
                do="Correct its name under space.",
                name=name,
                meant=nearest(name, known) or f" Known: {', '.join(sorted(known))}.",
            )
    if NETWORK in asked and WIDTH in asked:
        raise InvalidConfig(
            "tune.network-and-width",
            "{network} and {width} cannot both vary: the names of networks hold their widths.",
            do="Leave width out, and name the widths as networks: mobilenetv2_035|mobilenetv2_100.",
            network=NETWORK,
            width=WIDTH,
        )
    return tuple(_variable(name, asked[name], given) for name in sorted(asked, key=_order))


def refuse_empty(variables: tuple[Variable, ...]) -> None:
    """Refuses a space in which nothing varies.

    Raises:
        InvalidConfig: every variable has one value.
    """
    if all(one.kind == "choice" and len(one.choices) < 2 for one in variables):
        raise InvalidConfig(
            "tune.empty-space",
            "There is nothing to search: {said}.",
            do="Give a variable under space at least two values, or leave space out for the default set.",
            said=", ".join(f"{one.name} is always {one.words or 'nothing'}" for one in variables)
            or "no variable is named",
        )


def sides_of(contract: Contract, variables: tuple[Variable, ...]) -> tuple[tuple[int, int], ...]:
    """Returns the input sizes of a search as (height, width), the smallest first."""
    found = [one for one in variables if one.name == INPUT]
    if not found:
        return ((contract.height_px, contract.width_px),)
    return tuple(sorted(resized(contract, int(px)) for px in found[0].choices))


def resized(contract: Contract, side_px: int) -> tuple[int, int]:
    """Returns (height, width) with a shorter side of so many pixels, in the contract's proportions."""
    scale = side_px / min(contract.height_px, contract.width_px)
    return max(1, round(contract.height_px * scale)), max(1, round(contract.width_px * scale))


def _order(name: str) -> tuple[int, str]:
    """What other variables depend on comes first."""
    leading = (NETWORK, WIDTH, INPUT, HEAD)
    return (leading.index(name) if name in leading else len(leading) + (not name.endswith(".name")), name)


def _usual_set(given: Given) -> dict[str, Span]:
    names = ["recipe.learning_rate", "recipe.weight_decay", "recipe.batch_size"]
    if "dropout" in find(given.recipe.network).options:
        names.append("recipe.dropout")
    if given.recipe.loss.name == "cross-entropy":
        names.append("recipe.loss.label_smoothing")
    return {name: Span() for name in names}


def _variable(name: str, span: Span, given: Given) -> Variable:
    if name == NETWORK:
        return _choice(name, span.choices or (TABLE,), span)
    if name == WIDTH:
        return _width(span, given.recipe.network)
    if name == INPUT:
        return _input(span)
    bounds = recipe_bounds()[name]
    if bounds.kind == "choice":
        return _choice(name, _among(name, span.choices, bounds) or bounds.choices, span)
    if span.choices:
        return _choice(name, tuple(_number(name, text, bounds) for text in span.choices), span)
    return _numbers(name, span, bounds, given)


def _choice(name: str, choices: tuple[Value, ...], span: Span) -> Variable:
    if span.low is not None:
        raise InvalidConfig(
            "tune.words-have-no-ends",
            "{name} is chosen from words, and has no low and high.",
            do="Give its values: choices, or one|other in the shell.",
            name=name,
        )
    return Variable(name=name, kind="choice", choices=tuple(dict.fromkeys(choices)))


def _width(span: Span, network: str) -> Variable:
    family = family_of(network)
    if not family:
        raise InvalidConfig(
            "tune.no-width",
            "Network {network} comes in one width only.",
            do="Vary recipe.network instead, or take one of a family, such as mobilenetv2_100.",
            network=network,
        )
    known = {f"{width:g}": width for width in family}
    for text in span.choices:
        if _plain(text) not in known:
            raise InvalidConfig(
                "tune.unknown-width",
                "{network} has no width {text}. Known: {known}.",
                do="Take some of them.",
                network=network,
                text=text,
                known=", ".join(known),
            )
    chosen = tuple(known[_plain(text)] for text in span.choices) or tuple(family)
    return _choice(WIDTH, chosen, span)


def _input(span: Span) -> Variable:
    sides = [_plain(text) for text in span.choices]
    if not sides or not all(text.isdecimal() and 1 <= int(text) <= 8192 for text in sides):
        raise InvalidConfig(
            "tune.input-sizes",
            "input_px needs the sizes of the shorter side, each from 1 to 8192. Received: {received}.",
            do="Name some: input_px=28|48. Each is rendered once.",
            received=" | ".join(span.choices) or "none",
        )
    return _choice(INPUT, tuple(sorted(int(text) for text in sides)), span)


def _among(name: str, texts: tuple[str, ...], bounds: Bounds) -> tuple[Value, ...]:
    known = {
        "true" if one is True else "false" if one is False else str(one): one for one in bounds.choices
    }
    for text in texts:
        if text not in known:
            raise InvalidConfig(
                "tune.unknown-choice",
                "{name} cannot be {text!r}.{meant} Known: {known}.",
                do="Correct it under space.",
                name=name,
                text=text,
                meant=nearest(text, known),
                known=", ".join(known),
            )
    return tuple(known[text] for text in texts)


def _number(name: str, text: str, bounds: Bounds) -> int | float:
    try:
        value = int(text) if bounds.kind == "int" else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not bounds.holds(value):
        raise _outside(name, text, bounds)
    return value


def _numbers(name: str, span: Span, bounds: Bounds, given: Given) -> Variable:
    low, high = (span.low, span.high) if span.low is not None else _usual_ends(name, bounds, given)
    assert low is not None
    assert high is not None
    whole = bounds.kind == "int"
    for end in (low, high):
        if not bounds.holds(end) or (whole and not float(end).is_integer()):
            raise _outside(name, f"{end:g}", bounds)
    log = span.log if span.log is not None else _by_powers(name, low, high)
    return Variable(name=name, kind=bounds.kind, low=low, high=high, log=log and low > 0)


def _usual_ends(name: str, bounds: Bounds, given: Given) -> tuple[float, float]:
    """Returns where an option is searched when nobody says."""
    if name == "recipe.batch_size":
        most = max(2, min(BATCH[1], given.train_count))
        own = given.recipe.batch_size  # inside in any case, so that the recipe as it stands is a trial
        return float(max(1, min(BATCH[0], most // 2, own))), float(max(most, own))
    if name in USUAL:
        return USUAL[name]
    if name in AROUND:
        own = float(getattr(given.recipe, name.rpartition(".")[2]))
        low, high = own / AROUND[name], own * AROUND[name]
        if bounds.kind == "int":
            low, high = math.floor(low), math.ceil(high)
        return max(low, bounds.low or 0.0, 1.0 if bounds.kind == "int" else 0.0), min(
            high, bounds.high or high
        )
    if bounds.low is None or bounds.high is None or bounds.low_open or bounds.high_open:
        raise InvalidConfig(
            "tune.ends-needed",
            "{name} may be {words}; say where to search.",
            do="Give low and high, for example {name}=0.1..0.9 in the shell.",
            name=name,
            words=bounds.words,
        )
    return bounds.low, bounds.high


def _by_powers(name: str, low: float, high: float) -> bool:
    rates = name in ("recipe.learning_rate", "recipe.weight_decay", "recipe.batch_size", "recipe.epochs")
    return low > 0 and (rates or high / low >= POWERS)


def _outside(name: str, received: str, bounds: Bounds) -> InvalidConfig:
    return InvalidConfig(
        "tune.outside-bounds",
        "{name} may be {words}. Received: {received}.",
        do="Correct it under space.",
        name=name,
        words=bounds.words + (", whole numbers" if bounds.kind == "int" else ""),
        received=received,
    )


def _plain(text: str) -> str:
    """Returns a number as it is compared: "1.0" and "1" are one width."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
