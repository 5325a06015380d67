"""Hold the clones of one recipe against those of another, or two runs, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.evaluation.clones import shared_places, verdict
from darkroom.evaluation.label_set_clones import LabelSetsJudged
from darkroom.evaluation.label_set_ranking import RANKING_DRAWS, draw_images, drawn_mean_ap
from darkroom.evaluation.mask_answers import MaskAnswers
from darkroom.evaluation.mask_clones import shared_masks
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import GroupComparison
from darkroom.records import Interval
from darkroom.statistics import (
    around_both,
    clones_ahead,
    drawn_means,
    group_codes,
    percentile_interval,
    ratio_interval,
    undivided,
    welch_reach,
)
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.segmentation import image_miou, miou_of, resample

__all__ = ["compare_groups", "compare_label_set_groups", "compare_mask_groups"]


class _Side(NamedTuple):
    """The clones of one side."""

    figures: np.ndarray
    """(K,) of each clone, larger is better."""
    drawn: np.ndarray
    """(K, draws) the same in draws of the images."""
    images: np.ndarray
    """(K, N) what each clone is worth on each image."""


def compare_groups(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> GroupComparison:
    """Compares the shares of right answers of two groups of classifiers.

    Args:
        first: answers of the clones of one recipe, or of one run.
        second: of the other.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: they do not share an image, or say different things about what is right.
    """
    places = shared_places((*first, *second))
    right = [_right(one)[at].astype(np.float64) for one, at in zip((*first, *second), places, strict=True)]
    groups = _named(first[0].groups, places[0])
    drawn = drawn_means(np.array(right), groups, draws=draws, seed=seed)
    means, split = np.array([one.mean() for one in right]), len(first)
    sides = (
        _Side(means[:split], drawn[:split], np.array(right[:split])),
        _Side(means[split:], drawn[split:], np.array(right[split:])),
    )
    return _compared("accuracy", sides, groups, level, seed)


def compare_mask_groups(
    first: Sequence[MaskAnswers],
    second: Sequence[MaskAnswers],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> GroupComparison:
    """Compares the mean IoU of two groups of models that answer masks; see `compare_groups`.

    On one image the larger mean IoU within it is better.

    Raises:
        Invalid: they do not share an image, or say different things about what is right.
    """
    every = (*first, *second)
    places = shared_masks(every)
    counts = [np.asarray(one.counts)[at] for one, at in zip(every, places, strict=True)]
    groups = _named(first[0].groups, places[0])
    sums = [resample(one, groups, draws=draws, seed=seed) for one in counts]
    figures = np.array([float(miou_of(one.whole)) for one in sums])
    drawn = np.array([miou_of(one.drawn) for one in sums])
    images = np.array([np.nan_to_num(image_miou(one)) for one in counts])
    split = len(first)
    sides = (
        _Side(figures[:split], drawn[:split], images[:split]),
        _Side(figures[split:], drawn[split:], images[split:]),
    )
    return _compared("mean IoU", sides, groups, level, seed)


def compare_label_set_groups(
    first: Sequence[LabelSetsJudged],
    second: Sequence[LabelSetsJudged],
    *,
    level: float = 0.95,
    draws: int = RANKING_DRAWS,
    seed: int = 0,
) -> GroupComparison:
    """Compares the mean average precision of two groups of models that answer label sets.

    On one image that model is ahead whose labels are all right.

    Raises:
        Invalid: they do not share an image, or say different things about what is right.
    """
    every = (*first, *second)
    places = shared_places([one.predictions for one in every])
    truth = every[0].truth[places[0]]
    groups = _named(every[0].predictions.groups, places[0])
    weights = draw_images(len(truth), groups, draws=draws, seed=seed)
    probabilities = [
        np.asarray(one.predictions.probabilities)[at] for one, at in zip(every, places, strict=True)
    ]
    found = [drawn_mean_ap(truth, one, groups, weights) for one in probabilities]
    right = [
        (one.given[at] == truth).all(axis=1).astype(np.float64)
        for one, at in zip(every, places, strict=True)
    ]
    figures, drawn = np.array([one[0] for one in found]), np.array([one[1] for one in found])
    split = len(first)
    sides = (
        _Side(figures[:split], drawn[:split], np.array(right[:split])),
        _Side(figures[split:], drawn[split:], np.array(right[split:])),
    )
    return _compared("mean AP", sides, groups, level, seed)


def _compared(
    figure: str, sides: tuple[_Side, _Side], groups: Groups, level: float, seed: int
) -> GroupComparison:
    first, second = sides
    count = first.images.shape[1]
    images = _difference(first, second, groups, level)
    beside = welch_reach(first.figures.tolist(), second.figures.tolist(), level)
    clones = np.isfinite(beside)
    difference = around_both(images, beside) if clones else images
    ahead = first.images.mean(axis=0) - second.images.mean(axis=0)
    many = max(len(first.figures), len(second.figures)) > 1
    return GroupComparison(
        figure=figure,
        difference=difference,
        verdict=verdict(difference),
        first=tuple(first.figures.tolist()),
        second=tuple(second.figures.tolist()),
        on_an_image=ratio_interval(ahead > 0, ahead != 0, groups, level=level, seed=seed),
        between_clones=clones_ahead(
            first.figures, second.figures, first.drawn, second.drawn, count=count, level=level, seed=seed
        )
        if many
        else None,
        same_images=count,
        seeds_counted=bool(clones),
    )


def _difference(first: _Side, second: _Side, groups: Groups, level: float) -> Interval:
    """Returns the difference of the means over clones, with what other images would change."""
    value = float(first.figures.mean() - second.figures.mean())
    drawn = first.drawn.mean(axis=0) - second.drawn.mean(axis=0)
    count = first.images.shape[1]
    codes, method = group_codes(groups, count)
    if np.all(drawn == drawn[0]):  # no image tells the two apart
        return undivided(value, count if codes is None else int(codes.max()) + 1, count, level)
    return percentile_interval(value, drawn, level=level, count=count, method=method)


def _right(one: Predictions) -> np.ndarray:
    return one.answers == one.labels


def _named(groups: Sequence[str | None] | None, places: np.ndarray) -> list[str | None] | None:
    return None if groups is None else [groups[place] for place in places.tolist()]
