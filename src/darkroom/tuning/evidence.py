"""Does one recipe beat another? Their clones on the same pictures, with what pictures and seeds move."""

from __future__ import annotations

import math
from collections.abc import Sequence

from darkroom.evaluation import (
    GroupComparison,
    MaskAnswers,
    Predictions,
    compare_groups,
    compare_mask_groups,
)
from darkroom.evaluation.clones import verdict
from darkroom.evaluation.mask_clones import shared_masks
from darkroom.records import Fact, Interval
from darkroom.statistics import welch_reach
from darkroom.tasks.segmentation import paired_miou

__all__ = ["Evidence", "compare_clones", "compare_figures", "compare_mask_clones", "paired_masks"]


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
    """Compares the share of right answers, picture by picture; see `compare_groups`.

    Args:
        first: answers of the clones of one recipe.
        second: answers of the clones of the other.
        level: share of such intervals that hold the true difference.
        draws: how many times the pictures are drawn.
        seed: the same seed gives the same interval.

    Raises:
        Invalid: they share no picture, or say different things about what is right.
    """
    return _evidence(compare_groups(first, second, level=level, draws=draws, seed=seed))


def compare_mask_clones(
    first: Sequence[MaskAnswers],
    second: Sequence[MaskAnswers],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Evidence:
    """Compares the mean IoU, picture by picture; see `compare_mask_groups`.

    Raises:
        Invalid: they share no picture, or say different things about what is right.
    """
    return _evidence(compare_mask_groups(first, second, level=level, draws=draws, seed=seed))


def paired_masks(
    first: MaskAnswers, second: MaskAnswers, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Returns the difference of two runs' mean IoU with what other pictures would change of it.

    Raises:
        Invalid: they share no picture, or say different things about what is right.
    """
    mine, theirs = shared_masks((first, second))
    groups = None if first.groups is None else [first.groups[place] for place in mine.tolist()]
    return paired_miou(
        first.counts[mine], second.counts[theirs], groups, level=level, draws=draws, seed=seed
    )


def compare_figures(
    first: Sequence[float], second: Sequence[float], *, smaller_is_better: bool = False, level: float = 0.95
) -> Evidence:
    """Compares one figure of each clone, where answers cannot be compared picture by picture.

    Source: Welch, The generalization of Student's problem, 1947.
    """
    sign = -1.0 if smaller_is_better else 1.0
    value = sign * (math.fsum(first) / len(first) - math.fsum(second) / len(second))
    reach = welch_reach(first, second, level)
    found = Interval(
        value=value,
        low=value - reach,
        high=value + reach,
        level=level,
        count=len(first) + len(second),
        method="t over seeds",
    )
    return Evidence(verdict=verdict(found), difference=found, first=tuple(first), second=tuple(second))


def _evidence(found: GroupComparison) -> Evidence:
    return Evidence(
        verdict=found.verdict,
        difference=found.difference,
        first=found.first,
        second=found.second,
        pictures=found.same_images,
    )
