"""Does one recipe beat another? Their clones on the same pictures, with what pictures and seeds move."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation import Predictions
from darkroom.evaluation.clones import verdict
from darkroom.records import Fact, Interval
from darkroom.statistics import paired_difference, spread, t_quantile

__all__ = ["Evidence", "compare_clones", "compare_figures"]


class Evidence(Fact):
    """What clones of two recipes show about the first of them."""

    verdict: str
    """"better", "worse" or "no difference shown"."""
    difference: Interval
    """Of the means over clones, larger is better."""
    first: tuple[float, ...]
    """Figure of each clone."""
    second: tuple[float, ...]
    pictures: int = 0
    """Pictures that both were asked about; 0 where only figures were compared."""


def compare_clones(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Evidence:
    """Compares the share of right answers, picture by picture.

    Two things move the difference: other pictures (drawn, of the means over clones per picture), and other
    seeds (Welch's t interval over clones). Their half-widths are added in squares.

    Args:
        first: answers of the clones of one recipe.
        second: answers of the clones of the other.
        level: share of such intervals that hold the true difference.
        draws: how many times the pictures are drawn.
        seed: the same seed gives the same interval.

    Raises:
        Invalid: they share no picture.

    Source: variances of independent causes add; Welch, The generalization of Student's problem, 1947.
    """
    shared = sorted(set(first[0].image_ids) & set(second[0].image_ids))
    if not shared:
        raise Invalid("tune.no-shared-pictures", "The clones of the two recipes share no picture.")
    right = [_right(one, shared) for one in (*first, *second)]
    ours, theirs = np.array(right[: len(first)]), np.array(right[len(first) :])
    groups = _groups(first[0], shared)
    pictures = paired_difference(
        ours.mean(axis=0), theirs.mean(axis=0), groups, level=level, draws=draws, seed=seed
    )
    means = tuple(map(float, ours.mean(axis=1))), tuple(map(float, theirs.mean(axis=1)))
    beside = _beside(*means, level)
    reach = (
        math.hypot(pictures.value - pictures.low, beside),
        math.hypot(pictures.high - pictures.value, beside),
    )
    found = _around(pictures.value, *reach, pictures)
    return Evidence(
        verdict=verdict(found), difference=found, first=means[0], second=means[1], pictures=len(shared)
    )


def compare_figures(
    first: Sequence[float], second: Sequence[float], *, smaller_is_better: bool = False, level: float = 0.95
) -> Evidence:
    """Compares one figure of each clone, where answers cannot be compared picture by picture.

    Source: Welch, The generalization of Student's problem, 1947.
    """
    sign = -1.0 if smaller_is_better else 1.0
    value = sign * (math.fsum(first) / len(first) - math.fsum(second) / len(second))
    reach = _beside(first, second, level)
    found = Interval(
        value=value,
        low=value - reach,
        high=value + reach,
        level=level,
        count=len(first) + len(second),
        method="t over seeds",
    )
    return Evidence(verdict=verdict(found), difference=found, first=tuple(first), second=tuple(second))


def _right(one: Predictions, shared: Sequence[str]) -> np.ndarray:
    places = {image_id: place for place, image_id in enumerate(one.image_ids)}
    chosen = np.array([places[image_id] for image_id in shared])
    return (one.answers == one.labels)[chosen].astype(np.float64)


def _groups(one: Predictions, shared: Sequence[str]) -> list[str | None] | None:
    if one.groups is None:
        return None
    places = {image_id: place for place, image_id in enumerate(one.image_ids)}
    return [one.groups[places[image_id]] for image_id in shared]


def _beside(first: Sequence[float], second: Sequence[float], level: float) -> float:
    """Returns how far other seeds move the difference of two means; unknown without two clones each."""
    if min(len(first), len(second)) < 2:
        return math.inf
    parts = [(spread(list(one)).sd or 0.0) ** 2 / len(one) for one in (first, second)]
    total = sum(parts)
    if total == 0:
        return 0.0
    free = total**2 / sum(
        part**2 / (len(one) - 1) for part, one in zip(parts, (first, second), strict=True) if part
    )
    return t_quantile(level, max(1, int(free))) * math.sqrt(total)


def _around(value: float, below: float, above: float, pictures: Interval) -> Interval:
    ends = {"value": value, "low": max(-1.0, value - below), "high": min(1.0, value + above)}
    return pictures.model_copy(update=ends | {"method": f"{pictures.method}, and t over seeds"})
