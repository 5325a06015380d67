"""Does one recipe beat another? Their clones on the same pictures, with what pictures and seeds move."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation import MaskAnswers, Predictions
from darkroom.evaluation.clones import verdict
from darkroom.records import Fact, Interval
from darkroom.statistics import (
    around_both,
    paired_difference,
    percentile_interval,
    undivided,
    welch_reach,
)
from darkroom.tasks.segmentation import miou_of, resample

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
    shared = _shared_ids(first[0].image_ids, second[0].image_ids)
    right = [_right(one, shared) for one in (*first, *second)]
    ours, theirs = np.array(right[: len(first)]), np.array(right[len(first) :])
    groups = _groups(first[0], shared)
    pictures = paired_difference(
        ours.mean(axis=0), theirs.mean(axis=0), groups, level=level, draws=draws, seed=seed
    )
    means = tuple(map(float, ours.mean(axis=1))), tuple(map(float, theirs.mean(axis=1)))
    found = around_both(pictures, welch_reach(*means, level))
    return Evidence(
        verdict=verdict(found), difference=found, first=means[0], second=means[1], pictures=len(shared)
    )


def compare_mask_clones(
    first: Sequence[MaskAnswers],
    second: Sequence[MaskAnswers],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Evidence:
    """Compares the mean IoU, picture by picture; see `compare_clones`.

    Raises:
        Invalid: they share no picture.
    """
    shared = _shared_ids(first[0].image_ids, second[0].image_ids)
    counts = [_counts(one, shared) for one in (*first, *second)]
    pictures = _mask_pictures(
        counts, len(first), _groups(first[0], shared), level=level, draws=draws, seed=seed
    )
    figures = [float(miou_of(one.sum(axis=0, dtype=np.int64))) for one in counts]
    ours, theirs = tuple(figures[: len(first)]), tuple(figures[len(first) :])
    found = around_both(pictures, welch_reach(ours, theirs, level))
    return Evidence(
        verdict=verdict(found), difference=found, first=ours, second=theirs, pictures=len(shared)
    )


def paired_masks(
    first: MaskAnswers, second: MaskAnswers, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Returns the difference of two runs' mean IoU with what other pictures would change of it.

    Raises:
        Invalid: they share no picture.
    """
    shared = _shared_ids(first.image_ids, second.image_ids)
    counts = [_counts(one, shared) for one in (first, second)]
    return _mask_pictures(counts, 1, _groups(first, shared), level=level, draws=draws, seed=seed)


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


def _shared_ids(first: Sequence[str], second: Sequence[str]) -> list[str]:
    shared = sorted(set(first) & set(second))
    if not shared:
        raise Invalid(
            "tune.no-shared-pictures",
            "The clones of the two recipes share no picture.",
            do="Vary something else than the split, so that all answer about the same pictures.",
        )
    return shared


def _counts(one: MaskAnswers, shared: Sequence[str]) -> np.ndarray:
    """Returns the counts of pixels of some pictures, (N, 7, C)."""
    places = {image_id: place for place, image_id in enumerate(one.image_ids)}
    return one.counts[[places[image_id] for image_id in shared]]


def _mask_pictures(
    counts: Sequence[np.ndarray],
    ours: int,
    groups: list[str | None] | None,
    *,
    level: float,
    draws: int,
    seed: int,
) -> Interval:
    """Returns mean over clones less mean over the others, each picture drawn with all of its answers.

    Args:
        counts: (N, 7, C) of each clone, those of the first recipe before the others.
        ours: how many of them are of the first recipe.
        groups: pictures of one group are drawn together.
        level: share of such intervals that hold the true difference.
        draws: how many times the pictures are drawn.
        seed: the same seed gives the same interval.

    Source: as `tasks.segmentation.paired_miou`, of means over clones.
    """
    found = [resample(one, groups, draws=draws, seed=seed, level=level) for one in counts]
    weights = np.where(np.arange(len(counts)) < ours, 1 / ours, -1 / (len(counts) - ours))
    value = float(weights @ [float(miou_of(one.whole)) for one in found])
    drawn = weights @ np.stack([miou_of(one.drawn) for one in found])
    first, count = found[0], len(counts[0])
    if count == 1 or all(np.array_equal(one, counts[0]) for one in counts):
        return undivided(value, first.groups or first.images, count, level)
    return percentile_interval(value, drawn, level=level, count=count, method=first.method)


def _right(one: Predictions, shared: Sequence[str]) -> np.ndarray:
    places = {image_id: place for place, image_id in enumerate(one.image_ids)}
    chosen = np.array([places[image_id] for image_id in shared])
    return (one.answers == one.labels)[chosen].astype(np.float64)


def _groups(one: Predictions | MaskAnswers, shared: Sequence[str]) -> list[str | None] | None:
    if one.groups is None:
        return None
    places = {image_id: place for place, image_id in enumerate(one.image_ids)}
    return [one.groups[places[image_id]] for image_id in shared]
