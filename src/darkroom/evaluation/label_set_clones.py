"""Compare models that answer label sets on the same images: spread over clones, differences, churn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.evaluation.clones import (
    check_alike,
    figure_spread,
    mean_over_pairs,
    share_spread,
    shared_places,
    taken,
    verdict,
)
from darkroom.evaluation.label_set_ranking import RANKING_DRAWS, apart, draw_images, drawn_mean_ap
from darkroom.evaluation.label_set_record import LabelSetClonesSummary, LabelSetEvaluation, LabelSpread
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import Comparison
from darkroom.records import FrozenDict, Spread
from darkroom.statistics import paired_difference
from darkroom.tasks.figures import LabelFigures
from darkroom.tasks.label_sets import given

__all__ = ["LabelSetsJudged", "compare_label_sets", "summarise_label_sets"]


class LabelSetsJudged(NamedTuple):
    """One run that answers label sets, on one split."""

    evaluation: LabelSetEvaluation
    predictions: Predictions

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of the images."""
        return self.predictions.image_ids

    @property
    def truth(self) -> np.ndarray:
        """Which labels each image has, (N, C) bool."""
        return np.asarray(self.predictions.labels) > 0

    @property
    def given(self) -> np.ndarray:
        """Which labels each image was given at the operating point, (N, C) bool."""
        return given(self.predictions.probabilities, self.evaluation.labels, self.evaluation.point)


def summarise_label_sets(found: Sequence[LabelSetsJudged], *, level: float = 0.95) -> LabelSetClonesSummary:
    """Returns the spread of each figure over clones.

    Args:
        found: one per clone, on the same images.
        level: share of the t intervals that hold the true mean over seeds.

    Raises:
        Invalid: there are none, or they are not of the same labels and images.
    """
    evaluations = [one.evaluation for one in found]
    check_alike(evaluations)
    figures = [one.figures for one in evaluations]

    def of(name: str) -> Spread:
        return share_spread([getattr(one, name).value for one in figures], level)

    rows = zip(*(one.classes for one in figures), strict=True)
    return LabelSetClonesSummary(
        runs=tuple(one.source.run for one in evaluations),
        count=figures[0].count,
        mean_ap=figure_spread([one.mean_ap for one in figures], level),
        macro_f1=of("macro_f1"),
        micro_f1=of("micro_f1"),
        exact_match=of("exact_match"),
        hamming_loss=of("hamming_loss"),
        classes=tuple(_label_spread(row, level) for row in rows),
        churn=mean_over_pairs(found, _churn),
    )


def compare_label_sets(
    first: LabelSetsJudged,
    second: LabelSetsJudged,
    *,
    level: float = 0.95,
    draws: int = RANKING_DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compares two models on the images that both were asked about, image by image.

    The difference is that of their mean average precision, drawn in pairs. "Right" is an image whose labels
    are all right, each model at its own thresholds.

    Args:
        first: one run.
        second: the other.
        level: share of the intervals that hold the true difference.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: they share no image, say different things about what is right, or no image has a label.
    """
    mine, theirs = _shared(first, second)
    truth, groups = mine.truth, mine.predictions.groups
    weights = draw_images(len(truth), groups, draws=draws, seed=seed)
    one, other = (
        drawn_mean_ap(truth, np.asarray(found.predictions.probabilities), groups, weights)
        for found in (mine, theirs)
    )
    difference = apart(one, other, groups, len(truth), level)
    right = [(found.given == truth).all(axis=1) for found in (mine, theirs)]
    exact = paired_difference(right[0], right[1], groups, level=level, draws=draws, seed=seed)
    return Comparison(
        difference=difference,
        figure="mean AP",
        verdict=verdict(difference),
        only_first_right=int((right[0] & ~right[1]).sum()),
        only_second_right=int((right[1] & ~right[0]).sum()),
        churn=_churn(mine, theirs),
        same_images=len(truth),
        metrics=FrozenDict({"exact_match": exact}),
    )


def _label_spread(rows: Sequence[LabelFigures], level: float) -> LabelSpread:
    return LabelSpread(
        label=rows[0].label,
        support=rows[0].support,
        average_precision=figure_spread([row.average_precision for row in rows], level),
        f1=figure_spread([row.f1 for row in rows], level),
    )


def _churn(first: LabelSetsJudged, second: LabelSetsJudged) -> float:
    mine, theirs = _shared(first, second)
    return float((mine.given != theirs.given).any(axis=1).mean())


def _shared(*models: LabelSetsJudged) -> list[LabelSetsJudged]:
    """Returns models, cut down to the images that all were asked about, in one order."""
    places = shared_places([one.predictions for one in models])
    return [
        one._replace(predictions=taken(one.predictions, at)) for one, at in zip(models, places, strict=True)
    ]
