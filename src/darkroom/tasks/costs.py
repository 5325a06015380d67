"""What mistakes cost: from the brief's entries to a table of classes, and to the cost of each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from darkroom.errors import InvalidConfig, nearest
from darkroom.records import Interval, Mistake
from darkroom.statistics import bootstrap_interval
from darkroom.statistics.bootstrap import Groups

__all__ = ["ANY", "cost_interval", "cost_table", "unpriced"]

ANY = "*"
"""Stands for any class."""


def cost_table(
    mistakes: Sequence[Mistake], classes: Sequence[str], rules: Sequence[str] = ()
) -> np.ndarray:
    """Returns what each answer costs, (C, C): a row per class that is right, a column per answer.

    The most specific entry wins: truth and answer named, then the truth alone, then the answer alone, then
    "*" for both. A right answer costs 0; so does a mistake that no entry speaks of.

    Args:
        mistakes: the entries of the brief.
        classes: names of the C classes.
        rules: rules of the brief; an entry about one that is no class has no effect.

    Raises:
        InvalidConfig: an entry names what is neither a class nor a rule, prices a right answer, or stands
            there twice.
    """
    prices = _prices(mistakes, (*classes, *rules))
    table = np.zeros((len(classes), len(classes)))
    for row, truth in enumerate(classes):
        for column, answer in enumerate(classes):
            if row != column:
                found = _price(prices, truth, answer)
                table[row, column] = 0.0 if found is None else found
    return table


def unpriced(mistakes: Sequence[Mistake], classes: Sequence[str]) -> int:
    """Returns how many kinds of mistakes no entry speaks of."""
    prices = {(one.truth, one.answer): one.cost for one in mistakes}
    pairs = ((truth, answer) for truth in classes for answer in classes if truth != answer)
    return sum(_price(prices, *pair) is None for pair in pairs)


def cost_interval(
    costs: np.ndarray, dearest: float, groups: Groups = None, *, draws: int = 2000, seed: int = 0
) -> Interval:
    """Returns the mean cost per image with its bootstrap interval.

    Where every image cost the same no draw can differ: Wilson's interval of "0 of N" stands in, as if each
    of the images that may still come and differ cost the most, or nothing.

    Args:
        costs: (N,) what each answer cost.
        dearest: the largest cost of the table, more than 0.
        groups: images of one group are drawn together.
        draws: how many times to draw.
        seed: the same seed gives the same interval.
    """
    share = bootstrap_interval(costs / dearest, groups, draws=draws, seed=seed)
    return share.model_copy(update={end: getattr(share, end) * dearest for end in ("value", "low", "high")})


def _price(prices: Mapping[tuple[str, str], float], truth: str, answer: str) -> float | None:
    for key in ((truth, answer), (truth, ANY), (ANY, answer), (ANY, ANY)):
        if key in prices:
            return prices[key]
    return None


def _prices(mistakes: Sequence[Mistake], known: Sequence[str]) -> dict[tuple[str, str], float]:
    prices: dict[tuple[str, str], float] = {}
    for one in mistakes:
        for name in (one.truth, one.answer):
            if name != ANY and name not in known:
                raise InvalidConfig(
                    "brief.mistake-of-no-class",
                    '[[brief.mistakes]] speaks of "{name}", which is neither a class nor a rule.{meant} '
                    "Known: {known}.",
                    do='Correct it in darkroom.toml; "*" stands for any class.',
                    name=name,
                    meant=nearest(name, known),
                    known=", ".join(known),
                )
        if one.truth == one.answer != ANY:
            raise InvalidConfig(
                "brief.right-answer-priced",
                '[[brief.mistakes]] gives "{name}" answered as "{name}" a cost; a right answer costs 0.',
                do="Remove that entry from darkroom.toml.",
                name=one.truth,
            )
        if (one.truth, one.answer) in prices:
            raise InvalidConfig(
                "brief.mistake-twice",
                '[[brief.mistakes]] prices "{truth}" answered as "{answer}" twice.',
                do="Keep one of the two entries in darkroom.toml.",
                truth=one.truth,
                answer=one.answer,
            )
        prices[one.truth, one.answer] = one.cost
    return prices
